"""The vendor API. Its OpenAPI is the contract that a real vendor would implement."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from seller.api.answers import Answer, Refusal
from seller.api.body_limit import BodyLimit
from seller.api.callers import APacedVisit, AVisit, errors
from seller.api.documents import documents
from seller.api.files import file_routes
from seller.api.wire import (
    JobStatusAnswer,
    QuoteAnswer,
    QuoteRequest,
    SubmitAnswer,
    SubmitRequest,
    WorkQuoteAnswer,
    WorkStatusAnswer,
)
from seller.payments.payment import KEY
from seller.quotes import give_quote
from seller.sale import ask_again, submit
from seller.shop import Shop
from seller.work.status import look_at_work

# Buyers wait in a thread each, some of them for a settlement.
THREADS = 256
api = APIRouter()


def create_app(shop: Shop, title: str = "GPU vendor") -> FastAPI:
    app = FastAPI(title=title, version="1", lifespan=_lifespan)
    app.state.shop = shop
    app.add_middleware(BodyLimit)
    app.include_router(api)
    app.include_router(file_routes)
    app.include_router(documents)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _not_routed)
    return app


@api.post(
    "/quote",
    response_model=QuoteAnswer | WorkQuoteAnswer,
    responses=errors(400, 401, 404, 422, 429, 503),
)
def quote(visit: APacedVisit, request: QuoteRequest) -> Response:
    """A binding price for one job, valid for ten minutes: for a workload, where it names one, and for no other."""
    shop, vendor = visit
    return shop.conduct.send("quote", vendor, give_quote(shop, vendor, request))


@api.post(
    "/submit-job",
    response_model=SubmitAnswer,
    responses=errors(400, 401, 402, 403, 404, 409, 410, 413, 422, 429, 503),
)
def submit_job(
    visit: APacedVisit,
    request: SubmitRequest,
    http: Request,
    idempotency_key: Annotated[
        str | None,
        Header(description="16 to 128 of A-Z a-z 0-9 _ -: each buys one job. Without one the payment's nonce is it"),
    ] = None,
    payment_signature: Annotated[str | None, Header(description="x402 version 2, exact, EIP-3009")] = None,
) -> Response:
    """Buy a quoted job. The work begins once the payment is settled on chain, and only then."""
    shop, vendor = visit
    if idempotency_key is not None and not KEY.fullmatch(idempotency_key):
        raise Refusal(400, "key_malformed", f"Idempotency-Key must match {KEY.pattern}")
    if payment_signature is not None:
        shop.conduct.receive(vendor, idempotency_key or "", payment_signature)
    url = str(http.url)
    try:
        answer = submit(shop, vendor, idempotency_key, request, payment_signature, url)
    except Refusal as refusal:
        return shop.conduct.send("refused", vendor, refusal.answer)
    stage = "paid" if answer.status == 200 else "offer"
    return shop.conduct.send(stage, vendor, answer, fresh_402=lambda: ask_again(shop, vendor, request, url))


@api.get(
    "/job-status",
    response_model=JobStatusAnswer | WorkStatusAnswer,
    responses=errors(400, 401, 404, 503),
)
def job_status(
    visit: AVisit,
    vendor_job_id: Annotated[str, Query(alias="vendorJobId")] = "",
    idempotency_key: Annotated[str, Query(alias="idempotencyKey")] = "",
    after: Annotated[str, Query(description="the cursor of the status before, of a job with a workload")] = "",
) -> Response:
    """The state of a job, by its id or by the key that bought it. Of one with a workload: the news since `after`."""
    shop, vendor = visit
    if bool(vendor_job_id) == bool(idempotency_key):
        raise Refusal(400, "which_job", "give either vendorJobId or idempotencyKey")
    if idempotency_key and not KEY.fullmatch(idempotency_key):
        raise Refusal(404, "job_unknown", f"{vendor.vendor_id} has no such job")
    job = (
        shop.database.job(vendor.vendor_id, vendor_job_id)
        if vendor_job_id
        else shop.database.job_of_key(vendor.vendor_id, idempotency_key)
    )
    if job is None:
        raise Refusal(404, "job_unknown", f"{vendor.vendor_id} has no such job")
    answer = look_at_work(shop, job, after) if job.job_order else shop.conduct.simulated(job)
    return shop.conduct.send("job", vendor, answer)


@api.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.answer.to_response()


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return Refusal(400, "json_malformed", "the body is not JSON").answer.to_response()
    place = ".".join(str(part) for part in first["loc"])
    return Refusal(422, "request_invalid", f"{place}: {first['msg']}").answer.to_response()


async def _not_routed(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = Answer(error.status_code, {"error": "http_error", "message": str(error.detail)})
    return answer.to_response()
