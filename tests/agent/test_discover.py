"""The search: what is left out, what a probe says, and in which order sellers are shown."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from gpuagent.agent.discover import PROBES_MAX, Match, Matches, Search, search
from gpuagent.core.context import PastJob
from gpuagent.core.listings import Listing, UnpaidAnswer
from gpuagent.errors import BadInput, ListUnavailable, OfferInvalid, VendorUnauthorized
from gpuagent.render.discovery import matches_json, matches_table
from tests.support.factories import PAYER, TERMS, TOKEN, VENDOR, history
from tests.support.fake_discovery import LIST, FakeDiscovery, listing

WANTED = Search("h100 job", TOKEN, (LIST,))


def no_past(names: Sequence[str]) -> list[PastJob]:
    return []


def matches_of(rows: Sequence[Listing], wanted: Search = WANTED, **fake: Any) -> list[Match]:
    return list(search(wanted, FakeDiscovery({LIST: rows}, **fake), (), no_past).matches)


def names(matches: Sequence[Match]) -> list[str]:
    return [match.listing.name for match in matches]


def test_filters_are_applied_whatever_a_list_was_asked_for() -> None:
    rows = [
        listing("solana", offers=(replace(TERMS, network="solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"),)),
        listing("other-token", offers=(replace(TERMS, asset=PAYER),)),
        listing("no-offer", offers=()),
        listing("upto", offers=(replace(TERMS, scheme="upto"),)),
        listing("dear", 3_000_000),
        listing("good"),
        listing("several", offers=(replace(TERMS, network="eip155:1"), TERMS)),
    ]
    discovery = FakeDiscovery({LIST: rows})
    result = search(replace(WANTED, price_max=2_000_000), discovery, (), no_past)
    assert sorted(names(result.matches)) == ["good", "several"]
    assert result.left_out == {"another network or token": 4, "above the price": 1}
    assert len(discovery.asked) == 2


def test_a_list_of_pages_alone_is_searched_here() -> None:
    rows = [listing("gpu"), listing("weather", description="forecasts", resource="https://w.example/x")]
    assert names(matches_of(rows, searches=False)) == ["gpu"]
    assert names(matches_of(rows, searches=True)) == ["gpu", "weather"]


@pytest.mark.safety("a seller whose 402 says another price or payee than its listing is shown as such, and not as fit")
def test_a_402_that_differs_is_not_fit() -> None:
    rows = [listing("honest"), listing("dearer"), listing("thief"), listing("dead"), listing("signs-other")]
    other = {"extra": {"name": "USDC", "version": "2"}}
    answers = {
        rows[1].resource: UnpaidAnswer(2, (replace(TERMS, amount="9000000"),)),
        rows[2].resource: UnpaidAnswer(2, (replace(TERMS, pay_to=PAYER),)),
        rows[3].resource: OfferInvalid("it answered 500 instead of 402"),
        rows[4].resource: UnpaidAnswer(2, (replace(TERMS, **other),)),  # type: ignore[arg-type]
    }
    matches = {match.listing.name: match for match in matches_of(rows, answers=answers)}
    assert [name for name, match in matches.items() if match.fit] == ["honest"]
    assert matches["dearer"].problems == ("listed at 1.40 USD, its 402 asks 9.00 USD",)
    assert matches["thief"].payee == PAYER
    assert PAYER in matches["thief"].problems[0]
    assert matches["dead"].problems == ("it answered 500 instead of 402",)
    assert "token's own domain" in matches["signs-other"].problems[0]


def test_a_seller_that_needs_a_secret_is_shown_as_that_and_stands_after_those_that_are_fit() -> None:
    rows = [listing("dead"), listing("ours"), listing("stranger", fields=()), listing("fit", payers=0)]
    secret = VendorUnauthorized("it answered 401")
    answers = {rows[0].resource: OfferInvalid("it answered 500"), rows[1].resource: secret, rows[2].resource: secret}
    matches = matches_of(rows, answers=answers)
    assert names(matches) == ["fit", "ours", "stranger", "dead"]
    assert [match.needs_secret for match in matches] == [False, True, True, False]
    assert not any(match.fit for match in matches[1:])
    assert matches[1].problems == ("it answered 401",)
    assert (matches[1].protocol, matches[2].protocol) == ("gpuagent/1", "")
    assert "no protocol that we speak" in matches[2].problems[1]
    table = Console(width=300, record=True)
    table.print(matches_table(Matches(tuple(matches), {}, ())))
    assert table.export_text().count("needs a secret ") == 2
    assert [entry["needsSecret"] for entry in matches_json(Matches(tuple(matches), {}, ()))["vendors"]][1] is True


def test_a_402_above_the_price_is_not_fit() -> None:
    rows = [listing("cheap")]
    answers = {rows[0].resource: UnpaidAnswer(2, (replace(TERMS, amount="9000000"),))}
    (match,) = matches_of(rows, replace(WANTED, price_max=2_000_000), answers=answers)
    assert match.problems == ("listed at 1.40 USD, its 402 asks 9.00 USD", "asks 9.00 USD, above the price")


def test_sellers_listed_twice_are_shown_once() -> None:
    first, again = listing("gpu"), listing("gpu", payers=70, calls=900)
    discovery = FakeDiscovery({LIST: [first, first], "https://b.example": [again]})
    result = search(replace(WANTED, lists=(LIST, "https://b.example")), discovery, (), no_past)
    (match,) = result.matches
    assert (match.listing.payers, match.listing.calls, match.fit) == (70, 900, True)
    assert len(discovery.asked) == 1
    (match,) = matches_of([first, listing("gpu", 1_000_000)])
    assert "listed more than once, with different terms" in match.problems


def test_the_order_of_sellers() -> None:
    rows = [
        listing("other-protocol", fields=("command",), payers=500),
        listing("broken", payers=900),
        listing("about-weather", description="x", resource="https://a.example/x", payers=999),
        listing("cheap", 1_000_000),
        listing("dear", 2_000_000),
        listing("popular", 3_000_000, payers=50),
    ]
    answers = {rows[1].resource: OfferInvalid("it answered 500 instead of 402")}
    assert names(matches_of(rows, answers=answers)) == [
        "popular",
        "cheap",
        "dear",
        "about-weather",
        "other-protocol",
        "broken",
    ]


def test_our_own_past_counts_where_payee_and_server_are_the_recorded_ones() -> None:
    rows = [listing("bad"), listing("good"), listing("impostor", offers=(replace(TERMS, pay_to=PAYER),))]
    vendors = [
        replace(VENDOR, vendor_id=name, endpoint=f"https://{name}.example", reliability=0.5)
        for name in ("bad", "good", "impostor")
    ]
    jobs = {"bad": history("bad", "000"), "good": history("good", "111")}
    result = search(
        WANTED, FakeDiscovery({LIST: rows}), vendors, lambda ids: [job for name in ids for job in jobs.get(name, ())]
    )
    assert names(result.matches) == ["good", "impostor", "bad"]
    by_name = {match.listing.name: match for match in result.matches}
    assert by_name["good"].track
    assert (by_name["good"].vendor_id, by_name["good"].track.successes) == ("good", 3)
    assert by_name["impostor"].vendor_id == ""


def test_a_search_asks_a_bounded_number_of_sellers() -> None:
    discovery = FakeDiscovery({LIST: [listing(f"gpu{number}") for number in range(200)]})
    result = search(WANTED, discovery, (), no_past)
    assert len(discovery.asked) == PROBES_MAX
    assert "200 sellers may fit" in result.notes[0]


def test_lists_that_do_not_answer() -> None:
    lists = {LIST: ListUnavailable("it answered 500"), "https://b.example": [listing("gpu")]}
    wanted = replace(WANTED, lists=tuple(lists))
    result = search(wanted, FakeDiscovery(lists), (), no_past)
    assert (names(result.matches), result.notes) == (["gpu"], (f"{LIST}: it answered 500",))
    with pytest.raises(ListUnavailable, match=r"no list of vendors can be read: https://list\.example"):
        search(WANTED, FakeDiscovery(lists), (), no_past)


@pytest.mark.parametrize("query", ["", " ", "!!", "a" * 201])
def test_queries_that_are_none(query: str) -> None:
    with pytest.raises(BadInput, match="say what to search for"):
        search(replace(WANTED, query=query), FakeDiscovery({LIST: []}), (), no_past)
