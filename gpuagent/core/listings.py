"""Vendors as public lists advertise them, and as their own unpaid 402 has them; the two are compared.

Whatever is in them is a claim. Nothing is bought by it: what is paid is decided by a vendor's record and core/terms.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gpuagent.core.model import Settles, Terms, Token
from gpuagent.core.money import AMOUNT_MAX, show_usd
from gpuagent.core.terms import repeats_facts

VENDOR_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
"""What is sent as x-vendor-id, and what a record is named by."""
_UNITS = re.compile(r"[0-9]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Listing:
    """A paid resource in a public list.

    offers: its terms, of any network. version: of x402. payers and calls: of the last 30 days, None where the list
    says nothing. body: the declared example of an order; fields: the names in the declared order. source: the list.
    """

    resource: str
    method: str = "POST"
    name: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    offers: tuple[Terms, ...] = ()
    version: int = 2
    payers: int | None = None
    calls: int | None = None
    body: Mapping[str, object] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class ListReading:
    """The readable rows of one list. searched: whether the list itself searched. notes: what is missing."""

    listings: tuple[Listing, ...]
    searched: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnpaidAnswer:
    """A 402 to an order without payment. version: of x402. fields: the names in the order that it declares."""

    version: int
    offers: tuple[Terms, ...]
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Declaration:
    """A vendor as its own well-known document has it.

    gpu_prices: atomic units per hour by GPU type, 0 where it says none. bearer: whether it wants a token. accepts: what
    it can, in its words. x402_version, settles, max_authorization_s: as in a vendor's record.
    """

    endpoint: str
    protocol: str
    vendor_id: str
    name: str
    pay_to: str
    network: str
    asset: str
    gpu_prices: Mapping[str, int]
    accepts: tuple[str, ...] = ()
    bearer: bool = True
    x402_version: int = 2
    settles: Settles = Settles.BEFORE
    max_authorization_s: int = 0


def payable(offers: Iterable[Terms], token: Token) -> list[Terms]:
    """The offers that this token pays: scheme, network and asset are right, and the amount can be one."""
    return [
        terms
        for terms in offers
        if terms.scheme == "exact"
        and terms.network == token.network
        and terms.asset.lower() == token.address.lower()
        and units(terms) is not None
    ]


def units(terms: Terms) -> int | None:
    """The amount in atomic units; None where it can be none."""
    amount = int(terms.amount) if _UNITS.fullmatch(terms.amount) else 0
    return amount if 0 < amount <= AMOUNT_MAX else None


def price(offers: Iterable[Terms], token: Token) -> int | None:
    """The lowest price in the token; None where it does not pay."""
    return min((amount for terms in payable(offers, token) if (amount := units(terms))), default=None)


def payees(offers: Iterable[Terms], token: Token) -> tuple[str, ...]:
    """Those who are paid in the token, in lower case."""
    return tuple(dict.fromkeys(terms.pay_to.lower() for terms in payable(offers, token)))


def differences(listing: Listing, answer: UnpaidAnswer, token: Token) -> tuple[str, ...]:
    """What a resource's own 402 says otherwise than its listing, and what keeps this token from paying it."""
    offers, listed_offers = payable(answer.offers, token), payable(listing.offers, token)
    if not offers:
        return ("its 402 does not take our token on our network",)
    texts: list[str] = []
    asked_payees, listed_payees = payees(offers, token), payees(listed_offers, token)
    if len(asked_payees) > 1:
        texts.append(f"its 402 names {len(asked_payees)} payees")
    if set(asked_payees) != set(listed_payees):
        texts.append(
            f"listed to be paid to {', '.join(listed_payees) or 'no one'}, its 402 names {', '.join(asked_payees)}"
        )
    if (asked_price := price(offers, token)) != (listed_price := price(listed_offers, token)):
        texts.append(f"listed at {_usd(listed_price)}, its 402 asks {_usd(asked_price)}")
    if not any(repeats_facts(terms.extra, token) for terms in offers):
        texts.append("its 402 does not name the token's own domain, so it is not signed")
    return tuple(texts)


def origin(url: str) -> str:
    """Scheme, host and port of a URL, in lower case; "" where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname else ""


def _usd(amount: int | None) -> str:
    return "no price" if amount is None else show_usd(amount)
