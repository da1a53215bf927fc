"""The cron's route: tick what is due, share it with other workers, end in time, and say what was done."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from gpuagent.agent.drive import drive
from gpuagent.api import as_json as views
from gpuagent.api import problems
from gpuagent.api import schemas as models
from gpuagent.api.auth import MayTickDue
from gpuagent.api.connections import Connected, Connections
from gpuagent.core.transitions import phase
from gpuagent.errors import GpuAgentError
from gpuagent.tick import tick

LIMIT_S, LIMIT_MAX_S = 45.0, 600.0
LEASE_S = 120.0
WORKERS = 4
AT_ONCE = 200
"""Due runs that are looked for at a time."""

routes = APIRouter(tags=["server"])
RESPONSES = problems.documented(401, 403, 422, 503)
Limit = Annotated[float, Query(alias="limitS", gt=0, le=LIMIT_MAX_S, description="no tick begins after so many s")]


@routes.get("/api/agent-tick-due", response_model=models.TickDueShown, responses=RESPONSES)
def tick_due_by_get(_: MayTickDue, connections: Connected, limit_s: Limit = LIMIT_S) -> Response:
    """Tick every run that is due, within the time limit. For a cron that can only GET, as Vercel's."""
    return JSONResponse(_Round(connections, limit_s).made())


@routes.post("/api/agent-tick-due", response_model=models.TickDueShown, responses=RESPONSES)
def tick_due(_: MayTickDue, connections: Connected, limit_s: Limit = LIMIT_S) -> Response:
    """Tick every run that is due, within the time limit. Safe to call twice at once, and to miss."""
    return JSONResponse(_Round(connections, limit_s).made())


@dataclass
class _Round:
    """One call. Each run is ticked once in it, by whoever claims it first among all workers of all calls."""

    connections: Connections
    limit_s: float
    worker: str = field(default_factory=lambda: secrets.token_hex(8))
    ticked: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def made(self) -> dict[str, Any]:
        began = time.monotonic()
        ends = began + self.limit_s
        ports, leases = self.connections.agent.ports, self.connections.database.queries.leases
        seen: set[str] = set()
        with ThreadPoolExecutor(WORKERS) as pool:
            while time.monotonic() < ends:
                due = [run_id for run_id in leases.due(AT_ONCE + len(seen)) if run_id not in seen]
                if not due:
                    break
                seen.update(due)
                list(pool.map(lambda run_id: self._tick(run_id, ports, ends), due))
        return {
            "ticked": self.ticked,
            "failed": self.failed,
            "left": self._left(),
            "seconds": round(time.monotonic() - began, 3),
        }

    def _left(self) -> int:
        reached = {one["runId"] for one in (*self.ticked, *self.failed)}
        return sum(
            run_id not in reached for run_id in self.connections.database.queries.leases.due(AT_ONCE + len(reached))
        )

    def _tick(self, run_id: str, ports: Any, ends: float) -> None:
        leases = self.connections.database.queries.leases
        if time.monotonic() >= ends or not leases.claim(run_id, self.worker, LEASE_S):
            return
        try:
            before = self.connections.database.store.load(run_id)
            after = before
            for made in drive(before, partial(tick, ports=ports), time.sleep, ports.pace, ticks_max=1):
                after = made.run
            shown = {"runId": run_id, "message": views.message(before, after), "phase": phase(after).value}
            with self.lock:
                self.ticked.append(shown)
        except GpuAgentError as error:  # of this run alone: the others go on
            told = problems.told(error)
            with self.lock:
                self.failed.append({"runId": run_id, "code": told.code, "detail": told.detail})
        finally:
            leases.release(run_id, self.worker)
