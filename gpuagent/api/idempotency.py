"""POSTs that may be repeated: with an Idempotency-Key the first answer is given again, and nothing is done twice."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse

from gpuagent.adapters.mongo.idempotency import Answered, Claim, InProgress, OtherRequest
from gpuagent.api import problems
from gpuagent.api.connections import Connected, Connections
from gpuagent.api.problems import Told
from gpuagent.errors import GpuAgentError, StoreError
from gpuagent.wiring import system_clock

log = logging.getLogger(__name__)
KEY_MAX = 255
Work = Callable[[str, bool], Mapping[str, Any]]
"""Does it and returns the body of the answer. Given the id for a run to start, and whether it was begun before."""


@dataclass(frozen=True, slots=True)
class Once:
    """One POST. key: empty when the caller does not care."""

    request: Request
    asked: bytes
    key: str
    connections: Connections

    def answer(self, who: str, work: Work) -> Response:
        """The answer to the work, or to the first request with the same key and body. who: whose key it is."""
        if not self.key:
            return JSONResponse(work("", False))
        answers, now = self.connections.database.queries.answers, system_clock().now
        match answers.claim(f"{who} {self.request.url.path}", self.key, self.asked, now()):
            case OtherRequest():
                raise Told(422, "idempotency_key_reused", "this Idempotency-Key was used with another body")
            case InProgress():
                headers = {"Retry-After": "1"}
                raise Told(409, "in_progress", "the first request with this Idempotency-Key is still at work", headers)
            case Answered(status, body):
                return self._response(status, body, {"Idempotency-Replayed": "true"})
            case Claim() as claim:
                return self._worked(claim, work)

    def _worked(self, claim: Claim, work: Work) -> Response:
        answers = self.connections.database.queries.answers
        status, body, headers = 500, {}, {}
        try:
            status, body = 200, dict(work(claim.run_id, claim.again))
        except GpuAgentError as error:
            told = problems.told(error)
            run_id = getattr(self.request.state, "run_id", "") or self.request.path_params.get("runId", "")
            status, headers = told.status, told.headers
            body = problems.body(told, self.request.url.path, run_id)
        finally:
            try:
                if status < 500:
                    answers.answer(claim, status, body)
                else:  # what failed for now may be asked for again
                    answers.give_up(claim, system_clock().now())
            except StoreError as error:
                log.warning("the answer to an Idempotency-Key could not be kept: %s", error)
        return self._response(status, body, headers)

    def _response(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
        media_type = None if status < 300 else problems.MEDIA_TYPE
        return JSONResponse(body, status, headers, media_type)


async def _once(
    request: Request,
    connections: Connected,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=KEY_MAX,
            pattern=r"^[\x21-\x7e]+$",
            description="repeat the request with the same key, and nothing happens twice",
        ),
    ] = None,
) -> Once:
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + _plain(await request.body())
    return Once(request, asked, key or "", connections)


def _plain(body: bytes) -> bytes:
    """The same for the same JSON, however it is written."""
    try:
        return json.dumps(json.loads(body), sort_keys=True).encode()
    except ValueError:
        return body


Repeatable = Annotated[Once, Depends(_once)]
