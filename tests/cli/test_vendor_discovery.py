"""`gpuagent vendor search` and `gpuagent vendor add`, on a database, with the stub lists and a seller beside them."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from click.testing import Result

from gpuagent.cli import vendor_discovery
from tests.conftest import SafetyNote
from tests.support.discovery_lists import DiscoveryLists, ListQuirks, challenge, terms, v1_terms, well_known
from tests.support.factories import PAYEE, PAYER, WIRE_QUOTE
from tests.support.world import World

Command = Callable[..., Result]


@pytest.fixture
def stub() -> Iterator[DiscoveryLists]:
    with closing(DiscoveryLists()) as lists:
        yield lists


def seller(stub: DiscoveryLists, asset: str, **changes: Any) -> None:
    """A seller of ours at the stub's URL, whose document has these changes."""
    stub.serves("/.well-known/x402", well_known(stub.url, **{"asset": asset, **changes}))
    stub.serves("/quote", {**WIRE_QUOTE, "asset": asset})
    stub.sellers["/submit-job"] = challenge(terms(asset=asset))


def test_search_over_two_lists(world: World, gpuagent: Command, stub: DiscoveryLists) -> None:
    asset = world.ports.wallet.token.address
    own = terms(asset=asset)
    stub.lists["bazaar"].rows = [
        stub.sells("/good", challenge(own), accepts=[own]),
        stub.sells("/liar", challenge(terms(9_000_000, asset=asset)), accepts=[own], serviceName="Liar"),
        stub.sells("/thief", challenge(terms(asset=asset, payTo=PAYER)), accepts=[own], serviceName="[red]\x1b[2J"),
        stub.row("/dead", own),
        stub.row("/elsewhere", terms(asset=asset, network="eip155:1")),
        stub.row("/dear", terms(50_000_000, asset=asset)),
        {"resource": "http://169.254.169.254/"},
    ]
    stub.lists["plain"].rows = [
        stub.sells("/old", challenge(v1_terms(asset=asset), version=1, in_body=True), accepts=[v1_terms(asset=asset)]),
        stub.sells("/good", challenge(own), accepts=[own]),
    ]
    stub.lists["plain"].quirks = ListQuirks(searches=False, total=40)
    lists = [option for name in stub.lists for option in ("--list", stub.list_url(name))]
    result = gpuagent("vendor", "search", "h100 job", "--max-price", "2", *lists, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    by_path = {vendor["url"].removeprefix(stub.url): vendor for vendor in answer["vendors"]}
    assert {path for path, vendor in by_path.items() if vendor["fit"]} == {"/good", "/old"}
    assert by_path["/good"]["amount"] == 1_400_000
    assert by_path["/good"]["payTo"] == PAYEE
    assert by_path["/good"]["protocol"] == "gpuagent/1"
    assert by_path["/liar"]["problems"][0] == "listed at 1.40 USD, its 402 asks 9.00 USD"
    assert by_path["/dead"]["problems"] == ["it answered 404 instead of 402"]
    assert answer["leftOut"] == {"another network or token": 1, "above the price": 1}
    assert any("2 of 40 rows were read" in note for note in answer["notes"])
    shown = gpuagent("vendor", "search", "h100 job", "--max-price", "2", *lists)
    assert "\x1b[2J" not in shown.output
    for text in ("fit", "its 402 names", "left out: 1 above the price", "`gpuagent vendor add URL`"):
        assert text in " ".join(shown.output.split())
    nothing = gpuagent("vendor", "search", "!!", *lists)
    assert (nothing.exit_code, "say what to search for" in nothing.stderr) == (2, True)
    stub.lists["bazaar"].quirks.raw = (500, {}, b"")
    silent = gpuagent("vendor", "search", "h100 job", DISCOVERY_LISTS=stub.list_url("bazaar"))
    assert (silent.exit_code, "it answered 500" in silent.stderr) == (1, True)
    wrong = gpuagent("vendor", "search", "h100 job", DISCOVERY_LISTS="everywhere")
    assert (wrong.exit_code, "DISCOVERY_LISTS" in wrong.stderr) == (2, True)


@pytest.mark.safety("a new vendor is recorded by the user's word alone, after its payee, token and price were shown")
def test_a_vendor_is_added_by_the_users_word(
    world: World, gpuagent: Command, stub: DiscoveryLists, monkeypatch: pytest.MonkeyPatch, safety_note: SafetyNote
) -> None:
    asset = world.ports.wallet.token.address
    seller(stub, asset)
    before = world.store.vendors()
    add = ("vendor", "add", stub.url, "--secret-env", "BOX_SECRET")
    token = {"BOX_SECRET": "a-token-of-the-box"}
    result = gpuagent(*add, **token)
    assert (result.exit_code, "say --yes" in result.stderr) == (3, True)
    for text in (PAYEE, asset, "eip155:31337", "1.40 USD for 1 h of A100", "gpuagent/1", stub.url):
        assert text in result.output
    monkeypatch.setattr(vendor_discovery, "at_terminal", lambda: True)
    assert gpuagent(*add, **token).exit_code == 1  # no answer at all
    monkeypatch.setattr(vendor_discovery.typer, "confirm", lambda *_, **__: False)
    assert gpuagent(*add, **token).exit_code == 3
    assert world.store.vendors() == before
    result = gpuagent(*add, "--yes", "--json", **token)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["recorded"], answer["vendor"]["payTo"]) == (True, PAYEE)
    assert answer["vendor"]["basePricePerHour"] == "1.400000"
    (vendor,) = [vendor for vendor in world.store.vendors() if vendor not in before]
    assert (vendor.vendor_id, vendor.endpoint, vendor.pay_to) == ("box_in_the_cellar", stub.url, PAYEE)
    assert not vendor.trusted
    assert "a-token-of-the-box" not in result.output
    again = gpuagent(*add, **token)
    assert (again.exit_code, "nothing was changed" in again.output) == (0, True)
    safety_note("shown, and recorded once --yes was said; nothing signed or paid")


@pytest.mark.safety("a vendor on record is not changed by what its URL says: another payee is refused")
def test_a_changed_payee_is_refused(
    world: World, gpuagent: Command, stub: DiscoveryLists, safety_note: SafetyNote
) -> None:
    asset = world.ports.wallet.token.address
    seller(stub, asset)
    add = ("vendor", "add", stub.url, "--secret-env", "BOX_SECRET", "--yes")
    assert gpuagent(*add, BOX_SECRET="a-token-of-the-box").exit_code == 0
    before = world.store.vendors()
    asked = len(stub.headers)
    seller(stub, asset, payTo=PAYER)
    result = gpuagent(*add, BOX_SECRET="a-token-of-the-box")
    assert (result.exit_code, f"another payee {PAYEE}, and this names {PAYER}" in result.stderr) == (3, True)
    seller(stub, asset, vendorId="gpu_vendor_1")
    result = gpuagent("vendor", "add", stub.url, "--secret-env", "GPU_VENDOR_SECRET", "--yes")
    assert (result.exit_code, "holds the token of gpu_vendor_1" in result.stderr) == (3, True)
    assert len(stub.headers) == asked, "a token was sent to a vendor that is refused"
    seller(stub, asset, vendorId="attic", gpus=[{"gpu": "A100", "pricePerHour": "0.10"}])
    result = gpuagent(*add, BOX_SECRET="a-token-of-the-box")
    assert (result.exit_code, "declares 0.10 USD per hour" in result.stderr) == (3, True)
    assert world.store.vendors() == before
    safety_note("refused before a token was sent; the record stays")


def test_a_vendor_without_a_document_is_added_by_its_quote(
    world: World, gpuagent: Command, stub: DiscoveryLists
) -> None:
    asset = world.ports.wallet.token.address
    seller(stub, asset)
    del stub.sellers["/.well-known/x402"]
    add, token = (
        ("vendor", "add", stub.url, "--secret-env", "BOX_SECRET", "--yes"),
        {"BOX_SECRET": "a-token-of-the-box"},
    )
    result = gpuagent(*add, **token)
    assert (result.exit_code, "say --vendor-id and --gpu" in result.stderr) == (2, True)
    result = gpuagent(*add, "--vendor-id", "box", "--gpu", "A100", "--pay-to", PAYER, **token)
    assert (result.exit_code, "its quote is to be paid to" in result.stderr) == (3, True)
    result = gpuagent(*add, "--vendor-id", "box", "--gpu", "A100", **token)
    assert result.exit_code == 0, result.output
    (added,) = [vendor for vendor in world.store.vendors() if vendor.vendor_id == "box"]
    assert (added.pay_to, added.base_price_per_hour, added.gpu_types) == (PAYEE, 1_400_000, ("A100",))
    missing = gpuagent("vendor", "add", stub.url, "--vendor-id", "attic", "--gpu", "A100")
    assert (missing.exit_code, "--secret-env NAME" in missing.stderr) == (2, True)
    for url in ("http://acme.example", "https://192.168.0.1", "https://user@acme.example"):
        assert gpuagent("vendor", "add", url).exit_code == 2


def test_vendors_of_other_protocols_are_added_by_their_402(
    world: World, gpuagent: Command, stub: DiscoveryLists
) -> None:
    asset = world.ports.wallet.token.address
    stub.sellers["/run"] = challenge(terms(asset=asset, maxTimeoutSeconds=1_920))
    stub.sellers["/v1/jobs"] = challenge(v1_terms(20_000, asset=asset), version=1, in_body=True)
    stub.sellers["/api/x402/job"] = challenge(terms(asset=asset))
    stub.serves("/instances/pricing", {"a100_x1": {"us": {"interruptable": 1.4}}})
    add = ("vendor", "add", stub.url, "--gpu", "A100", "--yes")
    for protocol in ("hypercli", "openvps", "prism"):
        result = gpuagent(*add, "--vendor-id", protocol, "--protocol", protocol)
        assert result.exit_code == 0, result.output
        assert f"{protocol}, x402 version" in result.output
    records = {vendor.protocol: vendor for vendor in world.store.vendors() if not vendor.proven}
    assert {vendor.pay_to for vendor in records.values()} == {PAYEE}
    assert {vendor.secret_env for vendor in records.values()} == {""}
    assert [records[name].x402_version for name in sorted(records)] == [2, 1, 2]
    assert (records["prism"].settles, records["prism"].max_authorization_s) == ("after", 2_040)
    assert records["prism"].base_price_per_hour == 2_800_000  # it asks 1.40 USD for half an hour
    stub.sellers["/run"] = challenge(terms(asset=asset), terms(asset=asset, payTo=PAYER))
    result = gpuagent(*add, "--vendor-id", "two_payees", "--protocol", "prism")
    assert (result.exit_code, "names 2 payees" in result.stderr) == (3, True)
    stub.sellers["/run"] = challenge(terms(asset=asset, payTo=PAYER, maxTimeoutSeconds=1_920))
    result = gpuagent(*add, "--vendor-id", "prism", "--protocol", "prism")
    assert (result.exit_code, "another payee" in result.stderr) == (3, True)
    for wrong in ("acme", "gpuagent/1"):
        assert gpuagent(*add, "--vendor-id", "x", "--protocol", wrong).exit_code == 2


def test_our_own_sellers_are_added_by_their_document(world: World, gpuagent: Command) -> None:
    name = "gpu_vendor_2"
    (vendor,) = [vendor for vendor in world.store.vendors() if vendor.vendor_id == name]
    world.store.connection.database.vendors.delete_one({"vendorId": name})
    add = ("vendor", "add", vendor.endpoint, "--secret-env", vendor.secret_env, "--yes")
    several = gpuagent(*add)
    assert (several.exit_code, "say which, --vendor-id NAME" in several.stderr) == (2, True)
    result = gpuagent(*add, "--vendor-id", name, "--gpu", "A100")
    assert result.exit_code == 0, result.output
    (added,) = [vendor for vendor in world.store.vendors() if vendor.vendor_id == name]
    assert (added.pay_to, added.endpoint, added.proven) == (vendor.pay_to, vendor.endpoint, False)
    assert added.base_price_per_hour == vendor.base_price_per_hour
