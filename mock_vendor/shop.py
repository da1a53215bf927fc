"""The parts of a running mock vendor, and the two things it sells with them: a quote and a look at a job."""

import math
import secrets
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from zlib import crc32

from fastapi import Depends, Request

from mock_vendor.answers import Answer, Refusal
from mock_vendor.catalogue import GPU_FACTORS, Vendor, price
from mock_vendor.clock import Clock
from mock_vendor.database import Database, Job, Quote
from mock_vendor.facilitator import Till
from mock_vendor.faults import Faults
from mock_vendor.market import Market, to_atomic, to_usd
from mock_vendor.overrides import Overrides
from mock_vendor.settings import Settings
from mock_vendor.training import Progress, Training, observe
from mock_vendor.wire import JobStatusAnswer, QuoteAnswer, QuoteRequest, WorkQuoteAnswer
from mock_vendor.work_order import WORKLOAD, job_order
from mock_vendor.workshop import Workshop
from seller.workload import sha256_of

QUOTE_VALID_S = 600
RECEIVED_KEPT = 10_000


class KeyLocks:
    """Locks for one request at a time for one Idempotency-Key. Different keys share a lock only by chance."""

    def __init__(self, count: int = 1024) -> None:
        self._locks = [threading.Lock() for _ in range(count)]

    @contextmanager
    def hold(self, vendor_id: str, key: str) -> Iterator[None]:
        with self._locks[crc32(f"{vendor_id} {key}".encode()) % len(self._locks)]:
            yield


@dataclass(frozen=True)
class Shop:
    """The parts that serve a request.

    `received` keeps every PAYMENT-SIGNATURE that came, used or not; `lured` who followed a redirect.
    """

    settings: Settings
    market: Market
    vendors: dict[str, Vendor]
    database: Database
    till: Till
    faults: Faults
    workshop: Workshop
    clock: Clock = field(default_factory=Clock)
    overrides: Overrides = field(default_factory=Overrides)
    locks: KeyLocks = field(default_factory=KeyLocks)
    received: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=RECEIVED_KEPT))
    lured: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECEIVED_KEPT))


async def _the_shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


TheShop = Annotated[Shop, Depends(_the_shop)]


def give_quote(shop: Shop, vendor: Vendor, request: QuoteRequest) -> Answer:
    """A new quote. Its price is frozen here: neither the 402 nor the payment computes it again."""
    if request.gpu_type not in GPU_FACTORS:
        raise Refusal(
            422,
            "gpu_not_supported",
            f"gpuType {request.gpu_type!r} is not offered; {', '.join(GPU_FACTORS)} are",
        )
    accepts = shop.faults.accepts(vendor.vendor_id)
    work = request.workload if WORKLOAD in accepts else None
    base = shop.overrides.price(vendor.vendor_id, vendor.base_price_per_hour)
    quote = Quote(
        quote_id=f"quote-{secrets.token_hex(12)}",
        vendor_id=vendor.vendor_id,
        amount=to_atomic(price(base, request.gpu_type, request.max_hours)),
        pay_to=vendor.pay_to,
        gpu_type=request.gpu_type,
        hours=str(request.max_hours),
        expires_at=shop.clock.now() + QUOTE_VALID_S,
        job_order=job_order(work, request.resume, accepts) if work is not None else "",
    )
    quote = shop.faults.bend_quote(vendor.vendor_id, quote)
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


def look_at_job(shop: Shop, job: Job) -> Answer:
    progress = observe_job(shop, job)
    answer = JobStatusAnswer(
        vendor_job_id=job.job_id,
        status=progress.status,
        progress=progress.fraction,
        logs=list(progress.logs),
        estimated_remaining_minutes=progress.remaining_minutes,
        cost_so_far=float(progress.cost),
        metrics=progress.metrics,
        final_metrics=progress.final_metrics,
        artifact_url=progress.artifact_url,
        error_message=progress.error_message,
    )
    return Answer(200, answer.model_dump(mode="json"))


def observe_job(shop: Shop, job: Job) -> Progress:
    training = Training(
        seed=shop.settings.seed,
        job_id=job.job_id,
        gpu_type=job.gpu_type,
        hours=float(Decimal(job.hours)),
        epochs=job.epochs,
        price=to_usd(job.amount),
        doomed=job.doomed,
    )
    return observe(training, (shop.clock.now() - job.started_at) * shop.settings.speed)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
