"""POSTs that a client may repeat: one with a known Idempotency-Key gets the first answer, and nothing is done twice."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse

from gpuagent.api import problems
from gpuagent.api.connections import Connected, Connections
from gpuagent.api.problems import ProblemError
from gpuagent.core.idempotency import ClaimResult, InProgress, KeyClaim, OtherRequest, StoredAnswer
from gpuagent.errors import GpuAgentError, StoreError
from gpuagent.wire.strict_json import RepeatedName, only_once
from gpuagent.wiring import system_clock

log = logging.getLogger(__name__)
KEY_MAX = 255
Work = Callable[[str, bool], Mapping[str, Any]]
"""Does the work and returns the answer's body. Takes the id for a run to start, and whether it was begun before."""


class Answers(Protocol):
    """The claims and answers of a database. at: Unix seconds."""

    def claim(self, owner: str, key: str, request: bytes, at: float) -> ClaimResult: ...
    def answer(self, claim: KeyClaim, status: int, body: Mapping[str, Any]) -> None: ...
    def give_up(self, claim: KeyClaim, at: float) -> None: ...


@dataclass(frozen=True, slots=True)
class RepeatableRequest:
    """One POST, done once per key. key: empty when the client sent none. content: what makes two requests the same."""

    request: Request
    content: bytes
    key: str
    connections: Connections

    def answer(self, caller: str, work: Work) -> Response:
        """The answer to the work, or to the first request with the same key and content. caller: the key's owner."""
        if not self.key:
            return JSONResponse(work("", False))
        owner, answers = f"{caller} {self.request.url.path}", self.connections.database.queries.answers
        return _response(*perform_once(answers, owner, self.key, self.content, work, self._explain))

    def _explain(self, problem: ProblemError) -> Mapping[str, Any]:
        return problems.document(problem, self.request.url.path, problems.run_id_of(self.request))


def perform_once(
    answers: Answers, owner: str, key: str, content: bytes, work: Work, explain: Callable[[ProblemError], Any]
) -> tuple[int, Mapping[str, Any], dict[str, str]]:
    """The status, body and headers of the work's answer, or of the first with the owner's key and content.

    explain: the body that tells of a problem. Raises ProblemError for a key that is in use, or was for other content.
    """
    match answers.claim(owner, key, content, system_clock().now()):
        case OtherRequest():
            raise ProblemError(422, "idempotency_key_reused", "this Idempotency-Key was used with another body")
        case InProgress():
            detail = "the first request with this Idempotency-Key is still at work"
            raise ProblemError(409, "in_progress", detail, {"Retry-After": "1"})
        case StoredAnswer(status, body):
            return status, body, {"Idempotency-Replayed": "true"}
        case KeyClaim() as claim:
            return _perform(answers, claim, work, explain)


def _perform(
    answers: Answers, claim: KeyClaim, work: Work, explain: Callable[[ProblemError], Any]
) -> tuple[int, Mapping[str, Any], dict[str, str]]:
    status, headers = 500, {}
    body: Mapping[str, Any] = {}
    try:
        status, body = 200, dict(work(claim.run_id, claim.again))
    except GpuAgentError as error:
        problem = problems.problem_of(error)
        status, headers, body = problem.status, problem.headers, explain(problem)
    finally:
        try:
            if status < 500:
                answers.answer(claim, status, body)
            else:  # a failure that may pass: the client may ask again
                answers.give_up(claim, system_clock().now())
        except StoreError as error:
            log.warning("the answer to an Idempotency-Key could not be kept: %s", error)
    return status, body, headers


def _response(status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    media_type = None if status < 300 else problems.MEDIA_TYPE
    return JSONResponse(body, status, headers, media_type)


async def _repeatable(
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
) -> RepeatableRequest:
    content = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + _canonical(await request.body())
    return RepeatableRequest(request, content, key or "", connections)


def _canonical(body: bytes) -> bytes:
    """The same bytes for the same JSON, however it is written. Raises ProblemError for a name that is given twice."""
    try:
        return json.dumps(json.loads(body, object_pairs_hook=only_once), sort_keys=True).encode()
    except RepeatedName as error:  # what stands before this server may have checked the other value
        raise ProblemError(422, "request_invalid", f"body: {error}: send each name once") from None
    except ValueError:
        return body


Repeatable = Annotated[RepeatableRequest, Depends(_repeatable)]
