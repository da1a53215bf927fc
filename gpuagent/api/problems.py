"""Errors as RFC 9457 problem documents. What was raised on purpose is explained; of a bug only its number is told."""

import logging
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from gpuagent import errors

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = "5"
PLACE_MAX = 60

# The first that fits. Never 402: that status asks a client for money.
KNOWN: tuple[tuple[type[errors.GpuAgentError], int, str], ...] = (
    (errors.UnknownRun, 404, "run_unknown"),
    (errors.UnknownVendor, 404, "vendor_unknown"),
    (errors.RunNotOurs, 409, "run_not_ours"),
    (errors.BadInput, 422, "bad_input"),
    (errors.WalletUnfunded, 409, "wallet_unfunded"),
    (errors.PolicyRefused, 409, "policy_refused"),
    (errors.Refused, 409, "refused"),
    (errors.StaleRun, 409, "run_stale"),
    (errors.ChainMismatch, 409, "chain_mismatch"),
    (errors.ConfigError, 503, "not_configured"),
    (errors.StoreError, 503, "store_unavailable"),
    (errors.ChainError, 503, "chain_unavailable"),
    (errors.VendorError, 502, "vendor_failed"),
    (errors.PlannerError, 502, "planner_failed"),
)


class Problem(BaseModel):
    """RFC 9457, with a code that programs can rely on."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:gpuagent:problem:run_unknown",
                "title": "Not Found",
                "status": 404,
                "detail": "there is no run 66a1f2c9d53a3f9ef1f0c123: `gpuagent run list` shows them",
                "instance": "/api/agent-tick",
                "code": "run_unknown",
                "runId": "66a1f2c9d53a3f9ef1f0c123",
            }
        }
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    run_id: str | None = Field(default=None, alias="runId")


class Told(Exception):
    """An answer that is not a success. code: what programs may rely on; headers: to send with it."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = dict(headers or {})


def told(error: errors.GpuAgentError) -> Told:
    """Raises the error itself where it is a bug."""
    for kind, status, code in KNOWN:
        if isinstance(error, kind):
            return Told(status, code, str(error), {"Retry-After": RETRY_AFTER_S} if status == 503 else {})
    raise error


def body(problem: Told, instance: str, run_id: str = "") -> dict[str, Any]:
    document = {
        "type": f"urn:gpuagent:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
        "code": problem.code,
    }
    return {**document, "runId": run_id} if run_id else document


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI document: which problems a route may answer with."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}} for status in statuses}


def install(app: FastAPI) -> None:
    app.add_exception_handler(Told, _told)
    app.add_exception_handler(errors.GpuAgentError, _raised)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _bug)


def answer(problem: Told, request: Request) -> Response:
    run_id = getattr(request.state, "run_id", "") or request.path_params.get("runId", "")
    content = body(problem, request.url.path, run_id)
    return JSONResponse(content, problem.status, problem.headers, media_type=MEDIA_TYPE)


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, Told)
    return answer(error, request)


async def _raised(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.GpuAgentError)
    return answer(told(error), request)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return answer(Told(400, "json_malformed", "the body is not JSON"), request)
    place = ".".join(str(part)[:PLACE_MAX] for part in first["loc"])
    said = f"{place}: {first['msg']}".encode("utf-8", "replace").decode()  # a field's name may be no Unicode
    return answer(Told(422, "request_invalid", said), request)


async def _http(request: Request, error: Exception) -> Response:
    """What the framework answers by itself: no such route, other method, body too large."""
    assert isinstance(error, HTTPException)
    code = "content_too_large" if error.status_code == 413 else HTTPStatus(error.status_code).name.lower()
    return answer(Told(error.status_code, code, str(error.detail), error.headers), request)


async def _bug(request: Request, error: Exception) -> Response:
    number = secrets.token_hex(4)
    log.error("bug %s at %s", number, request.url.path, exc_info=error)
    return answer(Told(500, "bug", f"this is our fault; the server's log has it under {number}"), request)
