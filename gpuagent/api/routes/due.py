"""The cron's route: tick the runs that are due, shared with other workers, within a time limit."""

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Lock, Thread
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from gpuagent.agent.drive import drive
from gpuagent.api import problems, schemas
from gpuagent.api.as_json import tick_message
from gpuagent.api.auth import MayTickDue
from gpuagent.api.connections import Connected, Connections
from gpuagent.core.transitions import phase
from gpuagent.errors import GpuAgentError, StoreError
from gpuagent.tick import tick

LIMIT_S, LIMIT_MAX_S = 45.0, 600.0
LEASE_S = 120.0
RENEW_S = LEASE_S / 3
WORKERS = 4
AT_ONCE = 200
"""Due runs that are read at a time."""

routes = APIRouter(tags=["server"])
RESPONSES = problems.openapi_responses(401, 403, 422, 503)
Limit = Annotated[float, Query(alias="limitS", gt=0, le=LIMIT_MAX_S, description="seconds after which no tick begins")]


@routes.get("/api/agent-tick-due", response_model=schemas.TickDueResponse, responses=RESPONSES)
def tick_due_by_get(_: MayTickDue, connections: Connected, limit_s: Limit = LIMIT_S) -> Response:
    """Tick every run that is due, within the time limit. For a cron that can only GET, such as Vercel's.

    Without tokens it is refused: any web page can make a browser GET.
    """
    return JSONResponse(_Round(connections, limit_s).tick_all())


@routes.post("/api/agent-tick-due", response_model=schemas.TickDueResponse, responses=RESPONSES)
def tick_due(_: MayTickDue, connections: Connected, limit_s: Limit = LIMIT_S) -> Response:
    """Tick every run that is due, within the time limit. Safe to call twice at once, and to miss.

    Without tokens it is to come with `Content-Type: application/json`.
    """
    return JSONResponse(_Round(connections, limit_s).tick_all())


@dataclass
class _Round:
    """One call of the route, which ticks a run at most once; all workers of all calls share the runs by leases."""

    connections: Connections
    limit_s: float
    worker: str = field(default_factory=lambda: secrets.token_hex(8))
    ticked: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def tick_all(self) -> dict[str, Any]:
        began = time.monotonic()
        ends = began + self.limit_s
        ports, leases = self.connections.agent.ports, self.connections.database.queries.leases
        attempted: set[str] = set()
        with ThreadPoolExecutor(WORKERS) as pool:
            while time.monotonic() < ends:
                run_ids = [run_id for run_id in leases.due(AT_ONCE + len(attempted)) if run_id not in attempted]
                if not run_ids:
                    break
                attempted.update(run_ids)
                list(pool.map(lambda run_id: self._tick(run_id, ports, ends), run_ids))
        return {
            "ticked": self.ticked,
            "failed": self.failed,
            "left": self._count_unreached(),
            "seconds": round(time.monotonic() - began, 3),
        }

    def _count_unreached(self) -> int:
        reached = {entry["runId"] for entry in (*self.ticked, *self.failed)}
        run_ids = self.connections.database.queries.leases.due(AT_ONCE + len(reached))
        return sum(run_id not in reached for run_id in run_ids)

    def _tick(self, run_id: str, ports: Any, ends: float) -> None:
        leases = self.connections.database.queries.leases
        if time.monotonic() >= ends or not leases.claim(run_id, self.worker, LEASE_S):
            return
        try:
            before = self.connections.database.store.load(run_id)
            after = before
            with self._leased(run_id):
                for attempt in drive(before, partial(tick, ports=ports), time.sleep, ports.pace, ticks_max=1):
                    after = attempt.run
            entry = {"runId": run_id, "message": tick_message(before, after), "phase": phase(after).value}
            with self.lock:
                self.ticked.append(entry)
        except GpuAgentError as error:  # of this run alone: the others go on
            problem = problems.problem_of(error)
            with self.lock:
                self.failed.append({"runId": run_id, "code": problem.code, "detail": problem.detail})
        finally:
            leases.release(run_id, self.worker)

    @contextmanager
    def _leased(self, run_id: str) -> Iterator[None]:
        """Renew the lease of the run until the block ends, however slow vendors, chain and planner are."""
        leases, over = self.connections.database.queries.leases, Event()

        def renew() -> None:
            while not over.wait(RENEW_S):
                with suppress(StoreError):  # the next try is before the lease ends
                    leases.renew(run_id, self.worker, LEASE_S)

        renewal = Thread(target=renew, daemon=True)
        renewal.start()
        try:
            yield
        finally:
            over.set()
            renewal.join()
