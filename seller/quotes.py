"""Quotes: a binding price for one order, given when asked for, or with the 402 of an order that came without one."""

import hashlib
import math
import secrets
from datetime import UTC, datetime
from typing import Any

from eth_account import Account as Keys
from eth_account.messages import encode_defunct
from pydantic import ValidationError

from seller.api.answers import Answer, Refusal
from seller.api.wire import QuoteAnswer, QuoteRequest, SubmitRequest, WorkQuoteAnswer
from seller.catalogue import Vendor
from seller.payments.market import to_atomic, to_usd
from seller.records import Quote
from seller.shop import Shop
from seller.work.order import WORKLOAD, job_order
from seller.work.workload import canonical, sha256_of

VALID_S = 600
BUSY_RETRY_S = 60


def give_quote(shop: Shop, vendor: Vendor, request: QuoteRequest) -> Answer:
    """A new quote. Its price is frozen here: neither the 402 nor the payment computes it again."""
    quote = _make_quote(shop, vendor, request, f"quote-{secrets.token_hex(12)}")
    answer = QuoteAnswer(
        vendor_job_template_id=quote.quote_id,
        price_estimate=float(to_usd(quote.amount)),
        eta_minutes=math.ceil(request.max_hours * 60),
        expires_at=_iso(quote.expires_at),
        pay_to=quote.pay_to,
        network=shop.market.network,
        asset=shop.market.asset,
    )
    body = answer.model_dump(mode="json")
    if quote.job_order and request.workload is not None:
        of_work = WorkQuoteAnswer(
            **answer.model_dump(by_alias=False),
            accepts=list(shop.conduct.accepts(vendor)),
            workload_hash=sha256_of(request.workload),
        )
        body = of_work.model_dump(mode="json")
    return Answer(200, _signed(shop, body))


def quote_of(shop: Shop, vendor: Vendor, request: SubmitRequest) -> Quote:
    """The quote that is submitted; for an order without one the quote that its 402 is. Raises Refusal."""
    quote_id = request.vendor_job_template_id or _direct_id(vendor, request)
    quote = shop.database.quote(quote_id)
    if not request.vendor_job_template_id and (quote is None or quote.expires_at <= shop.clock.now()):
        return _make_quote(shop, vendor, _direct_request(request), quote_id)
    if quote is None or quote.vendor_id != vendor.vendor_id:
        raise Refusal(404, "quote_unknown", f"{vendor.vendor_id} gave no quote {quote_id!r}")
    if quote.expires_at <= shop.clock.now():
        raise Refusal(410, "quote_expired", "the quote has expired; ask for a new one")
    if quote.gpu_type not in vendor.offers:
        raise Refusal(422, "gpu_not_supported", f"gpuType {quote.gpu_type!r} is offered no more")
    return quote


def _direct_id(vendor: Vendor, request: SubmitRequest) -> str:
    """The same for the same order, so that what is paid is what the 402 asked for."""
    try:
        order = canonical({"vendor": vendor.vendor_id, "jobParams": request.job_params}).encode()
    except (ValueError, RecursionError) as error:
        raise Refusal(422, "request_invalid", f"jobParams is no JSON that can be kept: {error}") from None
    return f"order-{hashlib.sha256(order).hexdigest()[:32]}"


def _direct_request(request: SubmitRequest) -> QuoteRequest:
    params = request.job_params
    try:
        return QuoteRequest.model_validate({"jobType": "job", **{name: params.get(name) for name in ORDERED}})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        message = f"without vendorJobTemplateId jobParams is the order; {place}: {first['msg']}"
        raise Refusal(422, "request_invalid", message) from None


ORDERED = ("gpuType", "maxHours", "workload", "resume")


def _make_quote(shop: Shop, vendor: Vendor, request: QuoteRequest, quote_id: str) -> Quote:
    _check_offered(shop, vendor, request)
    accepts = shop.conduct.accepts(vendor)
    work = request.workload if WORKLOAD in accepts else None
    if work is None and not shop.conduct.simulates:
        raise Refusal(422, "workload_missing", "name the workload that is to run: nothing is sold without")
    quote = Quote(
        quote_id=quote_id,
        vendor_id=vendor.vendor_id,
        amount=to_atomic(max(shop.conduct.price(vendor, request.gpu_type, request.max_hours), shop.terms.min_price)),
        pay_to=vendor.pay_to,
        gpu_type=request.gpu_type,
        hours=str(request.max_hours),
        expires_at=shop.clock.now() + VALID_S,
        job_order=job_order(work, request.resume, accepts, shop.workshop.runner) if work is not None else "",
    )
    quote = shop.conduct.quote(vendor, quote)
    shop.database.keep_quote(quote)
    return quote


def _check_offered(shop: Shop, vendor: Vendor, request: QuoteRequest) -> None:
    if shop.closing.reason:
        raise Refusal(503, "closing", shop.closing.reason, BUSY_RETRY_S)
    offer = vendor.offers.get(request.gpu_type)
    if offer is None:
        offered = ", ".join(vendor.offers)
        raise Refusal(422, "gpu_not_supported", f"gpuType {request.gpu_type!r} is not offered; {offered} are")
    if request.max_hours > shop.terms.max_hours:
        raise Refusal(422, "too_long", f"a job may take {shop.terms.max_hours} hours here: order less")
    if offer.count is not None and shop.terms.queue is not None:
        jobs = shop.database.open_jobs(offer.gpu)
        if jobs >= offer.count + shop.terms.queue:
            raise Refusal(503, "busy", f"every {offer.gpu} is taken, and the queue for it is full", BUSY_RETRY_S)


def _signed(shop: Shop, body: dict[str, Any]) -> dict[str, Any]:
    """The quote with the seller's signature of its canonical JSON, by EIP-191: what was promised can be shown."""
    if shop.signer is None:
        return body
    signed = Keys.sign_message(encode_defunct(text=canonical(body)), shop.signer.private_key)
    return {**body, "signer": shop.signer.address, "signature": "0x" + bytes(signed.signature).hex()}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
