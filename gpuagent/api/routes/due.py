"""The cron's route: tick the runs that are due, shared with other workers, within a time limit."""

import math
import time
from contextlib import closing
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from gpuagent import settings
from gpuagent.api import problems
from gpuagent.api.as_json import tick_message
from gpuagent.api.auth import MayTickDue
from gpuagent.api.connections import Connected, Connections
from gpuagent.api.guarded_route import GuardedRoute
from gpuagent.api.responses import TickDueResponse
from gpuagent.core.run_state import phase
from gpuagent.fleet.worker import Leasing, Turn, Worker
from gpuagent.wiring.alerts import send_alerts_after_ticks

LIMIT_S, LIMIT_MAX_S = 45.0, 600.0
WORKERS = 4
AT_ONCE = 200
"""Due runs that are read at a time."""
CLAIMED = 4 * WORKERS
"""Of these, so many are claimed at a time: the rest is left to calls beside this one."""
LEASING = Leasing(batch_s=math.inf)
"""Every tick is in the answer, the slowest too."""

routes = APIRouter(tags=["server"], route_class=GuardedRoute)
RESPONSES = problems.openapi_responses(401, 403, 422, 503)
Limit = Annotated[float, Query(alias="limitS", gt=0, le=LIMIT_MAX_S, description="seconds after which no tick begins")]


@routes.get("/api/agent-tick-due", response_model=TickDueResponse, responses=RESPONSES)
def tick_due_by_get(_: MayTickDue, connections: Connected, limit_s: Limit = LIMIT_S) -> Response:
    """Tick every run that is due, within the time limit. For a cron that can only GET, such as Vercel's.

    Without tokens it is refused: any web page can make a browser GET.
    """
    return JSONResponse(_tick_all(connections, limit_s))


@routes.post("/api/agent-tick-due", response_model=TickDueResponse, responses=RESPONSES)
def tick_due(_: MayTickDue, connections: Connected, limit_s: Limit = LIMIT_S) -> Response:
    """Tick every run that is due, within the time limit. Safe to call twice at once, and to miss.

    Without tokens it is to come with `Content-Type: application/json`.
    """
    return JSONResponse(_tick_all(connections, limit_s))


def _tick_all(connections: Connections, limit_s: float) -> dict[str, Any]:
    """One call of the route, which ticks a run at most once; all workers of all calls share the runs by leases."""
    began = time.monotonic()
    leases = connections.database.queries.leases
    ticked: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    attempted: set[str] = set()
    with closing(Worker(connections.agent.ports, connections.database, WORKERS, LEASING)) as worker:
        while time.monotonic() < began + limit_s:
            run_ids = [run_id for run_id in leases.due(AT_ONCE + len(attempted)) if run_id not in attempted]
            if not run_ids:
                break
            attempted.update(run_ids)
            for first in range(0, len(run_ids), CLAIMED):
                for turn in worker.tick_all(run_ids[first : first + CLAIMED], began + limit_s):
                    (failed if turn.error else ticked).append(_entry(turn))
    send_alerts_after_ticks(settings.read(connections.environ), connections.database)
    reached = {entry["runId"] for entry in (*ticked, *failed)}
    left = sum(run_id not in reached for run_id in leases.due(AT_ONCE + len(reached)))
    return {"ticked": ticked, "failed": failed, "left": left, "seconds": round(time.monotonic() - began, 3)}


def _entry(turn: Turn) -> dict[str, Any]:
    run_id = turn.before.run_id
    if turn.error:
        problem = problems.problem_of(turn.error)
        return {"runId": run_id, "code": problem.code, "detail": problem.detail}
    return {"runId": run_id, "message": tick_message(turn.before, turn.run), "phase": phase(turn.run).value}
