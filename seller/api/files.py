"""The routes of the vendor API that carry files, and the one that ends a job."""

import math
import re
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from seller.api.answers import Answer, FileAnswer, Refusal
from seller.api.callers import AVisit, errors
from seller.api.wire import CancelAnswer, CancelRequest, InputRefusedAnswer, InputState, InputTaken
from seller.catalogue import Vendor
from seller.payments.payment import KEY
from seller.records import Job
from seller.runners import FileEntry, Runner, RunnerError
from seller.shop import Shop
from seller.work.inputs import InputRefused, InputStore, StoreFull, TooLarge, WrongContent, WrongStart
from seller.work.order import CANCEL, FILES
from seller.work.status import settled_start, state_of, status_of

PIECE_BYTES = 256 * 1024
INPUT_LEAST = 512 * 1024
"""What each input counts beside its bytes: of many small ones the store has room for a number only."""
FULL_RETRY_S = 60
RANGE = re.compile(r"bytes=(\d{1,15})-")
BINARY = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
REFUSALS = {WrongStart: (409, "wrong_start"), TooLarge: (413, "input_too_large"), WrongContent: (422, "input_differs")}
file_routes = APIRouter()
InputKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key", description="of the order that it is for: no other has it", pattern=f"^{KEY.pattern}$"
    ),
]
Sha256 = Annotated[str, Query(description="of the whole input, in hex", pattern="^[0-9a-f]{64}$")]


@file_routes.get("/job-input", response_model=InputState, responses=errors(401, 404, 422))
def input_state(visit: AVisit, key: InputKey, sha256: Sha256) -> Response:
    """How much of an order's input is here."""
    received, complete = _inputs(*visit).received(key, sha256)
    return Answer(200, InputState(received=received, complete=complete).model_dump(mode="json")).to_response()


@file_routes.put(
    "/job-input",
    response_model=InputTaken,
    responses={
        **errors(400, 401, 404, 413, 422, 429, 503),
        409: {"model": InputRefusedAnswer, "description": "wrong start"},
    },
    openapi_extra={"requestBody": BINARY},
)
async def put_input(
    visit: AVisit,
    http: Request,
    key: InputKey,
    sha256: Sha256,
    size: Annotated[int, Query(ge=0, le=10**15, description="bytes of the whole input")],
    start: Annotated[int, Query(ge=0, le=10**15, description="where in the input the body begins")] = 0,
) -> Response:
    """Send an input before the order is paid, in one piece or several; what has come stays when a call is cut off."""
    store, position, pending = _inputs(*visit), start, bytearray()
    if not start:
        _pace_input(visit.shop, http, INPUT_LEAST)
    try:
        async for piece in http.stream():
            pending += piece
            _pace_input(visit.shop, http, len(piece))
            if len(pending) >= PIECE_BYTES:
                position = await run_in_threadpool(store.put, key, sha256, size, position, bytes(pending))
                pending.clear()
        position = await run_in_threadpool(store.put, key, sha256, size, position, bytes(pending))
    except ClientDisconnect:
        return Response(status_code=400)
    except StoreFull as refusal:
        raise Refusal(503, "store_full", str(refusal), FULL_RETRY_S) from None
    except InputRefused as refusal:
        status, code = REFUSALS.get(type(refusal), (422, "input_refused"))
        body = InputRefusedAnswer(error=code, message=str(refusal), received=refusal.received)
        return Answer(status, body.model_dump(mode="json")).to_response()
    return Answer(200, InputTaken(received=position).model_dump(mode="json")).to_response()


@file_routes.get(
    "/job-file",
    response_class=Response,
    responses={
        200: {"description": "the file", **BINARY},
        206: {"description": "the file from a byte on", **BINARY},
        **errors(401, 404, 409, 416, 422),
    },
)
def job_file(
    visit: AVisit,
    http: Request,
    vendor_job_id: Annotated[str, Query(alias="vendorJobId", max_length=200)],
    path: Annotated[str, Query(max_length=2_000)],
    checkpoint: Annotated[str, Query(description="of its manifest", pattern="^([0-9a-f]{64})?$")] = "",
) -> Response:
    """A file of a job that has ended, or of one of the checkpoints that were listed last."""
    shop, vendor = visit
    if FILES not in shop.conduct.accepts(vendor):
        raise Refusal(404, "not_offered", "files are not offered here")
    job, runner = _job(shop, vendor.vendor_id, vendor_job_id), shop.workshop.runner
    job_ids, checkpoint = shop.conduct.source(vendor, job.job_id, checkpoint, shop.database)
    job_id, entry = _source(runner, job_ids, path, checkpoint)
    match = RANGE.fullmatch(http.headers.get("range", ""))
    start = int(match[1]) if match else None
    if start is not None and start >= entry.bytes:
        headers = {"Content-Range": f"bytes */{entry.bytes}"}
        message = f"the file has {entry.bytes} bytes"
        return Answer(416, {"error": "range_beyond", "message": message}, headers).to_response()
    content = runner.read(job_id, path, start or 0, checkpoint)
    return shop.conduct.send_file(vendor, FileAnswer(entry, start, content))


@file_routes.post("/job-cancel", response_model=CancelAnswer, responses=errors(400, 401, 404, 409, 422))
def cancel_job(visit: AVisit, request: CancelRequest) -> Response:
    """End a job. Its newest checkpoint stays; nothing is paid back."""
    shop, vendor = visit
    if CANCEL not in shop.conduct.accepts(vendor):
        raise Refusal(404, "not_offered", "no job is cancelled here")
    job = _job(shop, vendor.vendor_id, request.vendor_job_id)
    with shop.locks.hold(job.vendor_id, job.key):
        shop.workshop.cancel(shop.database.job(job.vendor_id, job.job_id) or job)
    status = status_of(state_of(shop, shop.database.job(job.vendor_id, job.job_id) or job))
    return Answer(200, CancelAnswer(status=status).model_dump(mode="json")).to_response()


def _pace_input(shop: Shop, http: Request, count: int) -> None:
    wait_s = shop.limiter.bytes.take(http.client.host if http.client else "", count)
    if wait_s:
        raise Refusal(429, "too_many_bytes", "buy what you have sent, or send less", math.ceil(wait_s))


def _source(runner: Runner, job_ids: list[str], path: str, checkpoint: str) -> tuple[str, FileEntry]:
    """The file of the first of these jobs. A fault may put another job's before the right one's."""
    try:
        return job_ids[0], runner.entry(job_ids[0], path, checkpoint)
    except RunnerError as error:
        raise Refusal(404, "file_unknown", str(error)) from None


def _inputs(shop: Shop, vendor: Vendor) -> InputStore:
    if FILES not in shop.conduct.accepts(vendor):
        raise Refusal(404, "not_offered", "no inputs are taken here but those within an order")
    return shop.workshop.inputs(vendor.vendor_id)


def _job(shop: Shop, vendor_id: str, job_id: str) -> Job:
    job = shop.database.job(vendor_id, job_id)
    if job is None:
        raise Refusal(404, "job_unknown", f"{vendor_id} has no such job")
    if not job.job_order:
        raise Refusal(409, "no_workload", "this job has no workload: it leaves no files, and ends by itself")
    return settled_start(shop, job)
