"""The parts of a seller at work, and the first thing that is done with them: a quote."""

import math
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Protocol
from zlib import crc32

from fastapi import Depends, Request

from seller.api.answers import Answer, Refusal
from seller.api.wire import QuoteAnswer, QuoteRequest, WorkQuoteAnswer
from seller.catalogue import Vendor
from seller.conduct import Conduct
from seller.database import Database, Quote
from seller.payments.market import Market, to_atomic, to_usd
from seller.payments.till import Till
from seller.work.order import WORKLOAD, job_order
from seller.work.workload import sha256_of
from seller.work.workshop import Workshop

QUOTE_VALID_S = 600
BUSY_RETRY_S = 60


class Clock(Protocol):
    def now(self) -> float:
        """Unix seconds."""
        ...


class KeyLocks:
    """Locks for one request at a time for one Idempotency-Key. Different keys share a lock only by chance."""

    def __init__(self, count: int = 1024) -> None:
        self._locks = [threading.Lock() for _ in range(count)]

    @contextmanager
    def hold(self, vendor_id: str, key: str) -> Iterator[None]:
        with self._locks[crc32(f"{vendor_id} {key}".encode()) % len(self._locks)]:
            yield


@dataclass(frozen=True)
class Terms:
    """The bounds of what is sold. queue: jobs that wait for a GPU, per_payer: of one payer that wait or run."""

    max_hours: Decimal = Decimal(1000)
    queue: int | None = None
    per_payer: int | None = None


@dataclass(frozen=True)
class Shop:
    """The parts that serve a request. secret: the bearer token that buyers present, "" where none is asked for."""

    market: Market
    vendors: Mapping[str, Vendor]
    database: Database
    till: Till
    workshop: Workshop
    clock: Clock
    conduct: Conduct = field(default_factory=Conduct)
    secret: str = ""
    terms: Terms = field(default_factory=Terms)
    locks: KeyLocks = field(default_factory=KeyLocks)


async def _the_shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


TheShop = Annotated[Shop, Depends(_the_shop)]


def give_quote(shop: Shop, vendor: Vendor, request: QuoteRequest) -> Answer:
    """A new quote. Its price is frozen here: neither the 402 nor the payment computes it again."""
    _check_offered(shop, vendor, request)
    accepts = shop.conduct.accepts(vendor)
    work = request.workload if WORKLOAD in accepts else None
    if work is None and not shop.conduct.simulates:
        raise Refusal(422, "workload_missing", "name the workload that is to run: nothing is sold without")
    quote = Quote(
        quote_id=f"quote-{secrets.token_hex(12)}",
        vendor_id=vendor.vendor_id,
        amount=to_atomic(shop.conduct.price(vendor, request.gpu_type, request.max_hours)),
        pay_to=vendor.pay_to,
        gpu_type=request.gpu_type,
        hours=str(request.max_hours),
        expires_at=shop.clock.now() + QUOTE_VALID_S,
        job_order=job_order(work, request.resume, accepts, shop.workshop.runner) if work is not None else "",
    )
    quote = shop.conduct.quote(vendor, quote)
    shop.database.keep_quote(quote)
    answer = QuoteAnswer(
        vendor_job_template_id=quote.quote_id,
        price_estimate=float(to_usd(quote.amount)),
        eta_minutes=math.ceil(request.max_hours * 60),
        expires_at=_iso(quote.expires_at),
        pay_to=quote.pay_to,
        network=shop.market.network,
        asset=shop.market.asset,
    )
    if work is None:
        return Answer(200, answer.model_dump(mode="json"))
    of_work = WorkQuoteAnswer(**answer.model_dump(by_alias=False), accepts=list(accepts), workload_hash=sha256_of(work))
    return Answer(200, of_work.model_dump(mode="json"))


def _check_offered(shop: Shop, vendor: Vendor, request: QuoteRequest) -> None:
    offer = vendor.offers.get(request.gpu_type)
    if offer is None:
        offered = ", ".join(vendor.offers)
        raise Refusal(422, "gpu_not_supported", f"gpuType {request.gpu_type!r} is not offered; {offered} are")
    if request.max_hours > shop.terms.max_hours:
        raise Refusal(422, "too_long", f"a job may take {shop.terms.max_hours} hours here: order less")
    if offer.count is not None and shop.terms.queue is not None:
        taken = shop.database.open_jobs(offer.gpu)
        if taken >= offer.count + shop.terms.queue:
            message = f"every {offer.gpu} is taken, and the queue for it is full"
            raise Refusal(503, "busy", message, BUSY_RETRY_S)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
