"""`gpuagent vendor search`: what lists advertise, filtered and probed by us, and ranked. Nothing is bought or recorded.

Lists and sellers are strangers: filters are applied here whatever a list was asked for, and a seller whose own 402 says
something else than its listing is shown with the difference, and not as fit.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from gpuagent.core.belief import believe, learned
from gpuagent.core.context import Learned, PastJob
from gpuagent.core.dialects import protocol_of
from gpuagent.core.listings import (
    Listing,
    ListReading,
    UnpaidAnswer,
    differences,
    origin,
    payable,
    payees,
    price,
)
from gpuagent.core.model import Token, Vendor
from gpuagent.core.money import show_usd
from gpuagent.core.ports.discovery import Discovery
from gpuagent.errors import BadInput, ListUnavailable, VendorError, VendorUnauthorized

PROBES_MAX = 20
"""Sellers that are asked in one search, the best of what is listed."""
PROBES_AT_ONCE = 8
QUERY_MAX = 200
NO_PROTOCOL = "its order is of no protocol that we speak"
_WORD = re.compile(r"[^\W_]{2,}")
UNKNOWN = believe(None, ()).chance()
"""The chance of success of a seller that we have no past with."""


@dataclass(frozen=True, slots=True)
class Match:
    """A listed seller that was probed. amount and payee: of its own 402, None and "" where it gave none.

    problems: why it is not fit, none for one that is. protocol: "" where its declared order fits none that we speak.
    vendor_id: the record that we have of it, "" for none. track: our own past with it. needs_secret: whether it says
    what it wants only to who has its bearer token, which no search sends.
    """

    listing: Listing
    amount: int | None = None
    payee: str = ""
    protocol: str = ""
    problems: tuple[str, ...] = ()
    vendor_id: str = ""
    track: Learned | None = None
    needs_secret: bool = False

    @property
    def fit(self) -> bool:
        """Whether its 402 is what is listed, within the price, and by a protocol that we speak."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Matches:
    """The result of a search, best first. left_out: rows that do not count, by reason. notes: about lists."""

    matches: tuple[Match, ...]
    left_out: Mapping[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for. price_max: atomic units for one order, None for any."""

    query: str
    token: Token
    lists: tuple[str, ...]
    price_max: int | None = None


def search(
    request: Search, discovery: Discovery, vendors: Sequence[Vendor], past: Callable[[Sequence[str]], Sequence[PastJob]]
) -> Matches:
    """Raises BadInput, and ListUnavailable where no list answered. past: our ended jobs with vendors, by ids."""
    keywords = frozenset(_WORD.findall(request.query.casefold()))
    if not keywords or len(request.query) > QUERY_MAX:
        raise BadInput(f"say what to search for in words of at most {QUERY_MAX} characters, such as: h100 job")
    readings, notes = _read_lists(request, discovery)
    left_out: Counter[str] = Counter()
    candidates: list[Listing] = []
    for reading in readings:
        for listing in reading.listings:
            if reason := _unwanted(listing, request, keywords, searched=reading.searched):
                left_out[reason] += 1
            else:
                candidates.append(listing)
    chosen, twice = _merged(candidates)
    chosen.sort(key=lambda listing: _listed_rank(listing, request.token, keywords))
    if len(chosen) > PROBES_MAX:
        notes.append(f"{len(chosen)} sellers may fit, and the first {PROBES_MAX} were asked: search for more words")
    with ThreadPoolExecutor(max_workers=PROBES_AT_ONCE) as pool:
        matches = list(pool.map(lambda listing: _probe(listing, request, discovery), chosen[:PROBES_MAX]))
    matches = [_with_history(match, vendors, past, request.token) for match in matches]
    matches = [_contradicted(match) if match.listing.resource in twice else match for match in matches]
    matches.sort(key=lambda match: _rank(match, keywords))
    return Matches(tuple(matches), left_out, tuple(notes))


def _read_lists(request: Search, discovery: Discovery) -> tuple[list[ListReading], list[str]]:
    readings: list[ListReading] = []
    notes: list[str] = []
    for url in request.lists:
        try:
            reading = discovery.listings(url, request.query)
        except ListUnavailable as error:
            notes.append(f"{url}: {error}")
            continue
        readings.append(reading)
        notes += [f"{url}: {note}" for note in reading.notes]
    if not readings:
        raise ListUnavailable(f"no list of vendors can be read: {'; '.join(notes)}")
    return readings, notes


def _unwanted(listing: Listing, request: Search, keywords: frozenset[str], *, searched: bool) -> str:
    """Why a row does not count; "" for nothing. A list that only has pages has rows about everything."""
    if not searched and not _words_in(listing, keywords):
        return "about something else"
    amount = price(listing.offers, request.token)
    if amount is None:
        return "another network or token"
    if request.price_max is not None and amount > request.price_max:
        return "above the price"
    return ""


def _merged(listings: Sequence[Listing]) -> tuple[list[Listing], set[str]]:
    """Each resource once, with the most payers that a list names, and those that are listed with different terms."""
    by_resource: dict[str, Listing] = {}
    twice: set[str] = set()
    for listing in listings:
        first = by_resource.setdefault(listing.resource, listing)
        if first.offers != listing.offers:
            twice.add(listing.resource)
        if (listing.payers or 0) > (first.payers or 0):
            by_resource[listing.resource] = replace(first, payers=listing.payers, calls=listing.calls)
    return list(by_resource.values()), twice


def _probe(listing: Listing, request: Search, discovery: Discovery) -> Match:
    """The seller's own 402, held against the listing."""
    try:
        answer = discovery.unpaid(listing)
    except VendorUnauthorized as error:
        protocol = protocol_of(listing.resource, frozenset(listing.fields))
        reasons = (str(error), *(() if protocol else (NO_PROTOCOL,)))
        return Match(listing, protocol=protocol, problems=reasons, needs_secret=True)
    except VendorError as error:
        return Match(listing, problems=(str(error),))
    token, amount = request.token, price(answer.offers, request.token)
    protocol = protocol_of(listing.resource, frozenset((*listing.fields, *answer.fields)))
    problems = list(differences(listing, answer, token))
    if amount is not None and request.price_max is not None and amount > request.price_max:
        problems.append(f"asks {show_usd(amount)}, above the price")
    if not protocol:
        problems.append(NO_PROTOCOL)
    return Match(listing, amount, _payee(answer, token), protocol, tuple(problems))


def _payee(answer: UnpaidAnswer, token: Token) -> str:
    return next((terms.pay_to for terms in payable(answer.offers, token)), "")


def _contradicted(match: Match) -> Match:
    return replace(match, problems=(*match.problems, "listed more than once, with different terms"))


def _with_history(
    match: Match, vendors: Sequence[Vendor], past: Callable[[Sequence[str]], Sequence[PastJob]], token: Token
) -> Match:
    """The match with our own past, where a recorded vendor is paid at the same address on the same server."""
    listed_payees, server = payees(match.listing.offers, token), origin(match.listing.resource)
    vendor = next((v for v in vendors if v.pay_to.lower() in listed_payees and origin(v.endpoint) == server), None)
    if vendor is None:
        return match
    return replace(match, vendor_id=vendor.vendor_id, track=learned(vendor.reliability, list(past([vendor.vendor_id]))))


def _words_in(listing: Listing, keywords: frozenset[str]) -> int:
    text = " ".join((listing.name, listing.description, *listing.tags, listing.resource)).casefold()
    return len(keywords & frozenset(_WORD.findall(text)))


def _listed_rank(listing: Listing, token: Token, keywords: frozenset[str]) -> tuple[int | float, ...]:
    speaks = bool(protocol_of(listing.resource, frozenset(listing.fields)))
    return (-speaks, -_words_in(listing, keywords), -(listing.payers or 0), price(listing.offers, token) or 0)


def _rank(match: Match, keywords: frozenset[str]) -> tuple[int | float | str, ...]:
    """Fit ones first, then those that need a secret; then what was searched for, our own past, payers, and price."""
    track = match.track.mean if match.track else UNKNOWN
    listing = match.listing
    popularity = (-(listing.payers or 0), match.amount or 0, listing.resource)
    is_unknown = match.amount is None and not match.needs_secret
    state = (not match.fit, not match.needs_secret, is_unknown, not match.protocol)
    return (*state, -_words_in(listing, keywords), -track, *popularity)
