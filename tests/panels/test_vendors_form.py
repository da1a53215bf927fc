"""Finding vendors at the console: what is shown is recorded, and nothing else."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from gpuagent import settings
from gpuagent.session import Session
from tests.panels.conftest import Seat, play_scene
from tests.support.discovery_lists import DiscoveryLists, challenge, terms, well_known
from tests.support.factories import PAYEE, PAYER, WIRE_QUOTE
from tests.support.world import World


@pytest.fixture
def stub() -> Iterator[DiscoveryLists]:
    with closing(DiscoveryLists()) as lists:
        yield lists


def test_a_vendor_is_found_looked_at_and_recorded(world: World, session: Session, stub: DiscoveryLists) -> None:
    asset = world.ports.wallet.token.address
    own = terms(asset=asset)
    stub.lists["bazaar"].rows = [
        stub.sells("/good", challenge(own), accepts=[own]),
        stub.sells("/ours/submit-job", (401, {}, b"{}"), accepts=[own]),
        stub.sells("/thief", challenge(terms(asset=asset, payTo=PAYER)), accepts=[own], serviceName="<b>Thief</b>"),
    ]
    stub.serves("/.well-known/x402", well_known(stub.url, asset=asset, bearer=True))
    stub.serves("/quote", {**WIRE_QUOTE, "asset": asset})
    stub.sellers["/submit-job"] = challenge(own)
    world.environment["BOX_SECRET"] = "a-token-of-the-box"
    environment = {**world.environment, "DISCOVERY_LISTS": stub.list_url("bazaar")}
    before = len(world.store.vendors())

    async def scene(seat: Seat) -> None:
        form = seat.console.vendors
        assert form.record.disabled
        await seat.click(form.search)
        assert "1 of 3 sellers fit" in form.message.text
        assert "needs a secret" in form.results.value
        assert "&lt;b&gt;Thief" in form.results.value
        assert PAYER in form.results.value
        form.price_max.value = "many"
        await seat.click(form.search)
        assert "not an amount in USD" in form.message.text
        form.url.value, form.secret_env.value = stub.url, "X402_PRIVATE_KEY"
        await seat.click(form.look)
        assert "the agent&#x27;s own" in form.message.text
        assert form.record.disabled
        form.secret_env.value = "BOX_SECRET"
        await seat.click(form.look)
        assert PAYEE in form.preview.value, form.message.text
        form.url.value = stub.url + "/"
        assert form.record.disabled, "what is shown is not what stands in the fields"
        assert form.preview.value == ""
        form.look.click()
        form.url.value = stub.url
        await seat.console.settled()
        assert "have changed meanwhile" in form.message.text
        assert form.record.disabled
        await seat.click(form.look)
        assert len(world.store.vendors()) == before
        await seat.click(form.record)
        assert f"it is paid at {PAYEE}" in form.message.text
        assert form.record.disabled
        await seat.click(form.look)
        assert "It is on record as it is" in form.message.text
        assert form.record.disabled

    play_scene(scene, replace(session, settings=settings.read(environment)))
    (vendor,) = [vendor for vendor in world.store.vendors() if vendor.vendor_id == "box_in_the_cellar"]
    assert (vendor.pay_to, vendor.endpoint) == (PAYEE, stub.url)
