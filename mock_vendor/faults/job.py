"""Faults of GET /job-status."""

from dataclasses import replace
from typing import Any

from starlette.responses import Response

from mock_vendor.faults.hostile import HOSTILE_LINES, HOSTILE_TEXT
from mock_vendor.faults.scene import Scene
from mock_vendor.faults.table import fault
from seller.api.answers import Answer

FLOOD_LINES = 100_000
LONG_LINE = 1_000_000


@fault("job")
def status_down(_: Answer, __: Scene) -> Answer:
    """Every status is answered 503."""
    return Answer(503, {"error": "vendor_down", "message": "no status today"}, {"Retry-After": "60"})


@fault("job")
def status_garbage(_: Answer, __: Scene) -> Response:
    """The status says it is JSON and is not."""
    return Response(b"{status: fine}", media_type="application/json")


@fault("job")
def status_flood(answer: Answer, _: Scene) -> Answer:
    """The log has 100,000 more lines, some with control characters, and one of a million letters."""
    lines = [f"spam {number} \x07\x1b[5m\r" for number in range(FLOOD_LINES)]
    return _with(answer, logs=[*answer.body["logs"], *lines, "x" * LONG_LINE])


@fault("job")
def stuck(answer: Answer, _: Scene) -> Answer:
    """The job runs for ever at one half."""
    return _with(
        answer,
        status="running",
        progress=0.5,
        estimatedRemainingMinutes=1.0,
        finalMetrics=None,
        artifactUrl=None,
        errorMessage=None,
    )


@fault("job")
def queued(answer: Answer, _: Scene) -> Answer:
    """The job never begins: every status says so, in a word that is not agreed."""
    return _with(answer, status="QUEUED", progress=None, finalMetrics=None, artifactUrl=None, errorMessage=None)


@fault("job")
def status_busy(_: Answer, __: Scene) -> Answer:
    """Every status is answered 429: ask less often."""
    return Answer(429, {"error": "too_many_requests", "message": "ask less often"}, {"Retry-After": "1"})


@fault("job")
def hostile_text(answer: Answer, _: Scene) -> Answer:
    """Log and error message hold prompt injections, terminal escapes and markup."""
    return _with(answer, logs=[*answer.body["logs"], *HOSTILE_LINES], errorMessage=HOSTILE_TEXT)


def _with(answer: Answer, **changes: Any) -> Answer:
    return replace(answer, body=answer.body | changes)
