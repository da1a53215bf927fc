"""The parts of a seller at work."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from seller.catalogue import Vendor
from seller.conduct import Conduct
from seller.database import Database
from seller.limiter import Limiter
from seller.locks import KeyLocks, Numbers
from seller.payments.market import Account, Market
from seller.payments.till import Till
from seller.work.workshop import Workshop

REASONS = ("", "the seller's disk is full", "the seller cannot pay for settlements for now")
"""Why nothing is sold, in words for buyers."""
DISK_FULL, NO_GAS = 1, 2
"""Their places."""


class Clock(Protocol):
    def now(self) -> float:
        """Unix seconds."""
        ...


@dataclass(frozen=True)
class Terms:
    """The bounds of what is sold. queue: jobs that wait for a GPU, per_payer: of one payer that wait or run.

    payers: the addresses, in small letters, that alone may buy; empty for any. min_price: USD, below which no job is
    sold, for each settlement costs gas.
    """

    max_hours: Decimal = Decimal(1000)
    queue: int | None = None
    per_payer: int | None = None
    payers: frozenset[str] = frozenset()
    min_price: Decimal = Decimal(0)


@dataclass(frozen=True)
class Closing:
    """Whether anything new is sold, by all processes of a seller. What has been sold goes on.

    marker: the file that is there while the seller drains, None where none does. shut: the place in REASONS.
    """

    marker: Path | None = None
    shut: Numbers = field(default_factory=lambda: [0])

    @property
    def drain(self) -> bool:
        return self.marker is not None and self.marker.exists()

    @property
    def reason(self) -> str:
        """Why nothing new is sold, in words for buyers; "" where it is."""
        if self.drain:
            return "the seller is closing, and sells nothing more"
        return REASONS[self.shut[0]]


@dataclass(frozen=True)
class Shop:
    """The parts that serve a request.

    secret: the bearer token that buyers present, "" where none is asked for. signer: whose key signs quotes.
    url: its public address, "" for the one that it is called by. salt: a secret that job ids are made with.
    extensions: what each 402 declares beside its offer.
    """

    market: Market
    vendors: Mapping[str, Vendor]
    database: Database
    till: Till
    workshop: Workshop
    clock: Clock
    conduct: Conduct = field(default_factory=Conduct)
    secret: str = ""
    terms: Terms = field(default_factory=Terms)
    signer: Account | None = None
    url: str = ""
    salt: str = ""
    extensions: Mapping[str, Any] = field(default_factory=dict)
    limiter: Limiter = field(default_factory=Limiter)
    closing: Closing = field(default_factory=Closing)
    locks: KeyLocks = field(default_factory=KeyLocks)


async def _the_shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


TheShop = Annotated[Shop, Depends(_the_shop)]
