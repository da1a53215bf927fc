"""`vendor check` of vendors of other protocols, at their stubs: what each promises is tried, and nothing is paid."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, cast

import pytest

from gpuagent import settings
from gpuagent.adapters.discovery.client import HttpDiscovery
from gpuagent.adapters.vendors.adapter import Parts
from gpuagent.adapters.vendors.http import no_content
from gpuagent.adapters.vendors.registry import PROTOCOLS, VendorRegistry
from gpuagent.agent.enlist import Wishes
from gpuagent.core.dialects import DIALECTS
from gpuagent.core.model import OWN_PROTOCOL
from gpuagent.doctor.probe import ConformanceResult, Probe
from gpuagent.doctor.promises import NO_PAYMENT, PROMISES
from gpuagent.doctor.stranger_conformance import ALIKE, ASKS, QUOTES, VERSION, check_stranger
from gpuagent.errors import BadInput
from gpuagent.wire.bounded_http import BoundedHttp, Reply
from mock_vendor.stubs.serve import StubMarket
from tests.support.factories import PAYER, VENDOR
from tests.support.market import Market
from tests.support.stub_market import running_stubs
from tests.support.world import World

GPUS = {"hypercli": "A100", "prism": "A100", "openvps": "CPU"}
SWITCHES = {
    "hypercli": {"price_up": "asks for the amount that its buyer names", "large_extension": QUOTES},
    "prism": {"no_gpu": ASKS, "too_many": ASKS, "large_extension": QUOTES},
    "openvps": {"large_extension": QUOTES},
}
"""Modes of the stubs, and a check that goes red by each."""
EVERYWHERE = {"down": ASKS, "v1_only": VERSION}
Check = Callable[..., dict[str, ConformanceResult]]


@pytest.fixture(scope="module")
def stubs(shared_market: Market) -> Iterator[StubMarket]:
    with running_stubs(shared_market.environment) as stubs:
        yield stubs


@pytest.fixture
def check(stubs: StubMarket, market: Market) -> Iterator[Check]:
    token = settings.read(market.environment).token
    parts = Parts(market.environment.get, market.clock.now, no_content)
    with (
        closing(HttpDiscovery()) as discovery,
        closing(VendorRegistry(parts)) as vendor_api,
        closing(BoundedHttp(10)) as http,
    ):

        def run(name: str, *modes: str, pay_to: str = "") -> dict[str, ConformanceResult]:
            stubs.stub(name).switch(*modes)
            wishes = Wishes(name, (GPUS[name],), "", pay_to, name)
            url = stubs.stub(name).base_url
            results = check_stranger(url, wishes, token, discovery, vendor_api, http, "a" * 24)
            return {result.check: result for result in results}

        yield run
    stubs.heal()


def wrong(results: dict[str, ConformanceResult]) -> dict[str, str]:
    return {name: result.detail for name, result in results.items() if not result.passed}


@pytest.mark.parametrize("name", list(PROMISES))
@pytest.mark.safety("a check of a seller of another protocol pays nothing, whatever the seller answers")
def test_what_a_protocol_promises_is_tried_without_a_payment(
    check: Check, stubs: StubMarket, world: World, name: str
) -> None:
    stub = stubs.stub(name)
    stub.payments.clear()
    before = world.chain.head(stub.recorded_pay_to).balance
    results = check(name)
    assert wrong(results) == {}
    assert len(results) >= 9
    assert all(result.detail for result in results.values())
    for mode, red in {**EVERYWHERE, **SWITCHES[name]}.items():
        assert red in wrong(check(name, mode)), mode
    assert PAYER in wrong(check(name, "other_payee", pay_to=PAYER))[ASKS]
    assert wrong(check(name, pay_to=stub.recorded_pay_to)) == {}
    assert set(stub.payments) == {NO_PAYMENT}
    assert stub.jobs == {}
    assert world.chain.head(stub.recorded_pay_to).balance == before


def test_hypercli_s_other_body_is_tried_as_well(check: Check) -> None:
    results = check("hypercli", "flat_body")
    assert wrong(results) == {}
    assert "asks twice as much for twice the runtime" in results


class Welcoming:
    """Takes everything that is sent to it."""

    def request(self, *_: object, **__: object) -> Reply:
        return Reply(200, {}, b"{}")


@pytest.mark.parametrize("name", list(PROMISES))
def test_a_vendor_that_takes_everything_keeps_no_promise(name: str) -> None:
    probe = Probe(VENDOR, cast("BoundedHttp", Welcoming()), {})
    results: list[Any] = PROMISES[name](probe, GPUS[name])
    assert [result.check for result in results if result.passed] == []
    assert all("answered 200" in result.detail or "none for" in result.detail for result in results)


def test_every_protocol_that_is_known_from_outside_is_checked_and_spoken() -> None:
    assert {OWN_PROTOCOL, *PROMISES} == set(DIALECTS)
    assert set(DIALECTS) <= set(PROTOCOLS)


def test_what_is_not_asked(check: Check, stubs: StubMarket) -> None:
    none: Any = None
    with pytest.raises(BadInput, match="not https"):
        check_stranger("http://vendor.example", Wishes(protocol="prism"), none, none, none, none, "")
    assert ALIKE in check("openvps")
