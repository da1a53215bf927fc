"""Public lists: what is taken of a row, and where reading of a list ends."""

from typing import Any

import pytest

from gpuagent.adapters.discovery import lists
from gpuagent.adapters.discovery.addresses import list_base
from gpuagent.adapters.discovery.client import HttpDiscovery
from gpuagent.adapters.discovery.rows import listing_from
from gpuagent.core.dialects import protocol_of
from gpuagent.core.listings import Listing
from gpuagent.errors import BadInput, ListUnavailable
from tests.support.discovery_lists import DiscoveryLists, ListQuirks, v1_terms
from tests.support.factories import TERMS


def resources(listings: tuple[Listing, ...]) -> list[str]:
    return [listing.resource.rpartition("/")[2] for listing in listings]


def test_what_the_sdks_model_drops_is_read(stub: DiscoveryLists, client: HttpDiscovery) -> None:
    stub.lists["bazaar"].rows = [stub.row("/job")]
    reading = client.listings(stub.list_url("bazaar"), "h100 job")
    (listing,) = reading.listings
    assert reading.searched
    assert (listing.name, listing.description) == ("Acme GPUs", "Runs an H100 job")
    assert (listing.tags, listing.payers, listing.calls) == (("gpu", "h100"), 61, 627)
    assert listing.offers == (TERMS,)
    assert protocol_of(listing.resource, frozenset(listing.fields)) == "gpuagent/1"
    assert listing.body == {"vendorJobTemplateId": "quote-1", "jobParams": {}}


def test_rows_of_version_1_and_without_a_schema(stub: DiscoveryLists, client: HttpDiscovery) -> None:
    old = stub.row("/old", v1_terms(), x402Version=1)
    for name in ("extensions", "quality", "serviceName", "description", "tags"):
        del old[name]
    stub.lists["plain"].rows = [old]
    reading = client.listings(stub.list_url("plain"), "job")
    (listing,) = reading.listings
    assert not reading.searched
    assert (listing.version, listing.payers, listing.fields, listing.body) == (1, None, (), {})
    assert listing.description == "GPU job of version 1"
    assert [(offer.network, offer.amount) for offer in listing.offers] == [(TERMS.network, "1400000")]


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "mcp"},
        {"resource": 7},
        {"resource": "ftp://acme.example/job"},
        {"resource": "http://acme.example/job"},
        {"resource": "https://user@acme.example/job"},
        {"resource": "https://acme.example/\x1b[2J"},
        {"resource": "https://10.0.0.8/job"},
        {"resource": "https://169.254.169.254/latest/meta-data"},
        {"resource": "https://2130706433/job"},
        {"resource": "https://[::ffff:192.168.0.1]/job"},
        {"resource": "https://db.internal/job"},
        {"resource": "http://127.0.0.1:27017/job"},
        {"resource": "https://localhost/job"},
        {"resource": "https://acme.example/" + "a" * 500},
        {"extensions": {"bazaar": {"info": {"input": {"type": "http", "method": "DELETE"}}}}},
    ],
)
@pytest.mark.safety("a listed URL within this network, or not by GET or POST over https, is never asked")
def test_rows_that_are_not_asked(stub: DiscoveryLists, changes: dict[str, Any]) -> None:
    row = {**stub.row("/job"), "resource": "https://acme.example/job"}
    assert listing_from(row, "https://list.example", local=False)
    assert listing_from({**row, **changes}, "https://list.example", local=False) is None


@pytest.mark.parametrize("row", [None, 7, "text", [], {}, {"resource": None}, {"type": "http", "accepts": "many"}])
def test_rows_that_are_none(row: object) -> None:
    assert listing_from(row, "https://list.example", local=False) is None


def test_odd_values_are_left_out(stub: DiscoveryLists) -> None:
    odd = {
        "resource": "https://acme.example/job",
        "accepts": [7, {}, {"network": "base", "amount": True, "asset": "0x", "payTo": "0x"}, *[{}] * 100],
        "quality": {"l30DaysUniquePayers": -5, "l30DaysTotalCalls": "many"},
        "tags": ["\x1b[31mred", 7, *["tag"] * 500],
        "serviceName": "[bold]<script>\x1b[2J\u202e" + "n" * 5_000,
        "description": "d" * 100_000,
        "extensions": [],
        "x402Version": "2",
    }
    listing = listing_from({**stub.row("/job"), **odd}, "https://list.example", local=False)
    assert listing
    assert (listing.offers, listing.payers, listing.calls, listing.version) == ((), None, None, 1)
    texts = (listing.name, listing.description, *listing.tags)
    assert all(text.isprintable() and len(text) <= 300 for text in texts)
    assert len(listing.tags) < 25


def test_rows_count_once_and_vanished_ones_are_said(stub: DiscoveryLists, client: HttpDiscovery) -> None:
    plain = stub.lists["plain"]
    rows = [stub.row(f"/{number}") for number in range(30)]
    plain.rows, plain.quirks = [*rows[:15], rows[3], *rows[15:]], ListQuirks(searches=False, page_rows=10, vanish=2)
    reading = client.listings(stub.list_url("plain"), "job")
    assert resources(reading.listings) == [str(number) for number in range(30)]
    assert reading.notes == ("30 of 31 rows were read: the others are not on its pages",)
    plain.pages, plain.quirks.vanish = 0, 7  # more than pages share
    reading = client.listings(stub.list_url("plain"), "job")
    assert len(reading.listings) < 30
    assert "the others are not on its pages" in reading.notes[0]


def test_cursors_are_followed(stub: DiscoveryLists, client: HttpDiscovery) -> None:
    bazaar = stub.lists["bazaar"]
    bazaar.rows, bazaar.quirks.page_rows = [stub.row(f"/{number}") for number in range(25)], 10
    assert len(client.listings(stub.list_url("bazaar"), "job").listings) == 25
    assert bazaar.pages == 3


def test_a_search_that_shows_a_part_says_so(stub: DiscoveryLists, client: HttpDiscovery) -> None:
    """CDP's search gives 20 rows, no cursor, and partialResults; it refuses who asks for more, or too long a query."""
    bazaar = stub.lists["bazaar"]
    bazaar.rows, bazaar.quirks = [stub.row(f"/{number}") for number in range(25)], ListQuirks(cursors=False)
    bazaar.quirks.page_rows = 20
    reading = client.listings(stub.list_url("bazaar"), "job " * 200)
    assert (len(reading.listings), reading.searched, bazaar.pages) == (20, True, 1)
    assert reading.notes == ("it knows more that fits than it shows: search for more words",)


@pytest.mark.parametrize("name", ["bazaar", "plain"])
@pytest.mark.safety("a list of vendors without an end is read to a bound")
def test_endless_paging_ends(
    stub: DiscoveryLists, client: HttpDiscovery, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stub.lists[name].quirks = ListQuirks(searches=name == "bazaar", page_rows=10, total=10**9, endless=True)
    reading = client.listings(stub.list_url(name), "job")
    assert stub.lists[name].pages <= lists.PAGES_MAX + 1
    assert len(reading.listings) == 10 * lists.PAGES_MAX
    assert "it may have more" in reading.notes[0]
    monkeypatch.setattr(lists, "ROWS_MAX", 25)
    assert len(client.listings(stub.list_url(name), "job").listings) == 25


def test_a_page_that_repeats_itself_ends_the_reading(stub: DiscoveryLists, client: HttpDiscovery) -> None:
    stub.lists["plain"].quirks.raw = (
        200,
        {},
        b'{"items": [{"resource": "https://acme.example"}], "pagination": {"total": 9}}',
    )
    stub.lists["bazaar"].quirks.raw = (
        200,
        {},
        b'{"resources": [{"resource": "https://acme.example"}], "pagination": {"cursor": "same"}}',
    )
    for name in ("bazaar", "plain"):
        assert len(client.listings(stub.list_url(name), "job").listings) == 1
        assert stub.lists[name].pages == 2


def test_a_list_that_asks_to_wait(stub: DiscoveryLists, client: HttpDiscovery) -> None:
    plain = stub.lists["plain"]
    plain.rows = [stub.row(f"/{number}") for number in range(30)]
    plain.quirks.page_rows, plain.quirks.busy_after = 10, 1
    reading = client.listings(stub.list_url("plain"), "job")
    assert (len(reading.listings), reading.notes) == (10, ("it has been asked too often: ask again in 30 s",))
    plain.pages, plain.quirks.busy_after = 0, 0
    with pytest.raises(ListUnavailable, match="in 30 s"):
        client.listings(stub.list_url("plain"), "job")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((500, {}, b"oops"), "answered 500"),
        ((200, {}, b"<html>"), "not JSON"),
        ((200, {}, b"[]"), "not an object"),
        ((200, {}, b'{"resources": 7, "items": null}'), "no list of"),
        ((200, {}, b'{"resources": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"), "not JSON"),
        ((200, {}, b" " * (4 * 1024 * 1024 + 1)), "more than"),
        ((302, {"Location": "http://169.254.169.254/"}, b""), "redirect"),
    ],
    ids=["500", "markup", "array", "no list", "deep", "huge", "redirect"],
)
def test_lists_that_are_none(
    stub: DiscoveryLists, client: HttpDiscovery, answer: tuple[int, dict[str, str], bytes], problem: str
) -> None:
    stub.lists["bazaar"].quirks.raw = answer
    with pytest.raises(ListUnavailable, match=problem):
        client.listings(stub.list_url("bazaar"), "job")


def test_a_lists_url_is_taken_as_users_copy_it() -> None:
    base = "https://api.cdp.coinbase.com/platform/v2/x402/discovery"
    for url in (base, base + "/", base + "/resources", base + "/search", base.removesuffix("/discovery")):
        assert list_base(url) == base
    for url in (
        "http://list.example",
        "https://10.0.0.1",
        "ftp://list.example",
        "list.example",
        "https://a@list.example",
    ):
        with pytest.raises(BadInput, match="a list is not asked at this URL"):
            list_base(url)
