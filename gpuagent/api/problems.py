"""Errors as RFC 9457 problem documents. Of a bug the client gets a number alone."""

import logging
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp
from starlette.websockets import WebSocketClose

from gpuagent import errors

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = "5"
PLACE_MAX = 60
POLICY_VIOLATION = 1008
"""The code that a WebSocket is closed with, where its server can send no answer instead."""

# The first that fits. Never 402: that status asks a client for money.
PROBLEMS: tuple[tuple[type[errors.GpuAgentError], int, str], ...] = (
    (errors.UnknownRun, 404, "run_unknown"),
    (errors.UnknownVendor, 404, "vendor_unknown"),
    (errors.UnknownFile, 404, "file_unknown"),
    (errors.FileDeleted, 410, "file_deleted"),
    (errors.NotPermitted, 403, "forbidden"),
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
    """An RFC 9457 problem document, with a code that programs can rely on."""

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


class ProblemError(Exception):
    """An answer that is not a success. code: what programs may rely on; headers: to send with it."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = dict(headers or {})


def problem_of(error: errors.GpuAgentError) -> ProblemError:
    """The problem that tells a client of the error. Raises the error itself where it is a bug."""
    for kind, status, code in PROBLEMS:
        if isinstance(error, kind):
            return ProblemError(status, code, str(error), {"Retry-After": RETRY_AFTER_S} if status == 503 else {})
    raise error


def document(problem: ProblemError, instance: str, run_id: str = "") -> dict[str, Any]:
    """The problem document. instance: the request's path."""
    fields = {
        "type": f"urn:gpuagent:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
        "code": problem.code,
    }
    return {**fields, "runId": run_id} if run_id else fields


def run_id_of(request: HTTPConnection) -> str:
    """The id of the run that the request is about, or ""."""
    return str(getattr(request.state, "run_id", "") or request.path_params.get("runId", ""))


def response(problem: ProblemError, request: HTTPConnection) -> ASGIApp:
    """The answer to a request, or to a WebSocket that is not open yet."""
    if request.scope["type"] == "websocket" and "websocket.http.response" not in request.scope.get("extensions", {}):
        return WebSocketClose(POLICY_VIOLATION, problem.code)
    content = document(problem, request.url.path, run_id_of(request))
    return JSONResponse(content, problem.status, problem.headers, media_type=MEDIA_TYPE)


def openapi_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for the OpenAPI document."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}} for status in statuses}


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem document."""
    app.add_exception_handler(ProblemError, _answer_problem)
    app.add_exception_handler(errors.GpuAgentError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(WebSocketRequestValidationError, _answer_invalid_request)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(Exception, _answer_bug)


async def _answer_problem(request: HTTPConnection, error: Exception) -> Any:
    assert isinstance(error, ProblemError)
    return response(error, request)


async def _answer_error(request: HTTPConnection, error: Exception) -> Any:
    assert isinstance(error, errors.GpuAgentError)
    return response(problem_of(error), request)


async def _answer_invalid_request(request: HTTPConnection, error: Exception) -> Any:
    assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return response(_malformed(), request)
    place = ".".join(str(part)[:PLACE_MAX] for part in first["loc"])
    fault = first["msg"].removeprefix("Value error, ")
    detail = f"{place}: {fault}".encode("utf-8", "replace").decode()  # a field's name may be no Unicode
    return response(ProblemError(422, "request_invalid", detail), request)


def _malformed() -> ProblemError:
    return ProblemError(400, "json_malformed", "the body is not JSON")


async def answer_http_error(request: HTTPConnection, error: Exception) -> Any:
    """Answer an error of the framework itself: no such route, other method, body too large, or not to be read."""
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # of JSON that is too deep, has too long a number, or is no text
        return response(_malformed(), request)
    code = "content_too_large" if error.status_code == 413 else HTTPStatus(error.status_code).name.lower()
    return response(ProblemError(error.status_code, code, str(error.detail), error.headers), request)


async def _answer_bug(request: HTTPConnection, error: Exception) -> Any:
    number = secrets.token_hex(4)
    log.error("bug %s at %s", number, request.url.path, exc_info=error)
    return response(ProblemError(500, "bug", f"this is our fault; the server's log has it under {number}"), request)
