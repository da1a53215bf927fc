"""The timeline of a run, by page, and the whole record of each entry."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse

from gpuagent.api.as_json import json_value
from gpuagent.api.auth import MayRead
from gpuagent.api.connections import Connected
from gpuagent.api.guarded_route import GuardedRoute
from gpuagent.api.problems import openapi_responses
from gpuagent.api.requests import RUN_ID
from gpuagent.api.responses import TimelineRecordResponse, TimelineResponse
from gpuagent.core.timeline import parse_entries

PROBLEMS = openapi_responses(401, 403, 404, 422, 503)

routes = APIRouter(prefix="/api/runs", tags=["runs"], route_class=GuardedRoute)
ThisRun = Annotated[str, Path(alias="runId", max_length=64, description="the run's id", examples=[RUN_ID])]


@routes.get("/{runId}/timeline", response_model=TimelineResponse, responses=PROBLEMS)
def timeline(
    _: MayRead,
    connections: Connected,
    run_id: ThisRun,
    kind: Annotated[
        str, Query(max_length=60, description="decision, payment, job, problem or message; several with commas")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="entries of a page")] = 100,
    after: Annotated[str, Query(max_length=64, description="`next` of the page before")] = "",
) -> Response:
    """List what the run decided, paid, did and was told, oldest first."""
    kinds = parse_entries(kind.split(",") if kind else [])
    return JSONResponse(connections.database.reads.timeline(run_id, after, kinds, limit).as_json())


@routes.get("/{runId}/timeline/{entryId}", response_model=TimelineRecordResponse, responses=PROBLEMS)
def timeline_entry(
    _: MayRead,
    connections: Connected,
    run_id: ThisRun,
    entry_id: Annotated[str, Path(alias="entryId", max_length=64, description="an entry's id")],
) -> Response:
    """Show all that is recorded of an entry, and of its job and payment."""
    record = connections.database.reads.timeline_record(run_id, entry_id)
    parts = {"entry": record.observation, "job": record.job, "payment": record.payment}
    return JSONResponse({name: json_value(part) for name, part in parts.items()})
