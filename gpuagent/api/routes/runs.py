"""The original's three routes, and what else a person may tell a run."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse

from gpuagent.agent import approve as consent
from gpuagent.agent.start import Order, parse_planners, start
from gpuagent.api import as_json as views
from gpuagent.api import schemas as models
from gpuagent.api.auth import MayApprove, MayCancel, MayOperate, MayRead
from gpuagent.api.connections import Connected, Connections
from gpuagent.api.idempotency import Once, Repeatable
from gpuagent.api.problems import documented
from gpuagent.core.model import Run
from gpuagent.core.money import parse_usd
from gpuagent.errors import UnknownRun
from gpuagent.settings import read
from gpuagent.tick import step, tick
from gpuagent.wiring import system_clock

OBSERVATIONS_MAX = 5_000
ASKED = documented(400, 401, 403, 404, 409, 413, 422, 502, 503)
LOOKED = documented(401, 403, 404, 422, 503)

routes = APIRouter(prefix="/api", tags=["runs"])
ThisRun = Annotated[str, Path(alias="runId", max_length=64, examples=[models.RUN_ID])]


@routes.post("/agent-start", response_model=models.RunShown, responses=ASKED)
def agent_start(order: models.StartRequest, caller: MayOperate, once: Repeatable) -> Response:
    """Write a run down. It does nothing until it is ticked."""
    connections = once.connections

    def started(run_id: str, again: bool) -> dict[str, Any]:
        if again:  # somebody began this, and may have got as far as to save the run
            try:
                connections.database.store.load(run_id)
            except UnknownRun:
                again = False
        if not again:
            run_id = start(_order(order, connections), connections.agent.ports, run_id).run_id
        return _shown(run_id, connections)

    return once.answer(caller.name, started)


@routes.post("/agent-tick", response_model=models.TickShown, responses=ASKED)
def agent_tick(asked: models.TickRequest, caller: MayOperate, once: Repeatable) -> Response:
    """Make steps until the run must wait for the world or is over."""
    return _advanced(asked.run_id, caller.name, once, tick)


@routes.post("/agent-step", response_model=models.TickShown, responses=ASKED)
def agent_step(asked: models.TickRequest, caller: MayOperate, once: Repeatable) -> Response:
    """Make the one transition that is due."""
    return _advanced(asked.run_id, caller.name, once, step)


@routes.get("/agent-status", response_model=models.StatusShown, responses=LOOKED)
def agent_status(
    _: MayRead,
    connections: Connected,
    run_id: Annotated[str, Query(alias="runId", min_length=1, max_length=64, examples=[models.RUN_ID])],
    observations: Annotated[int, Query(ge=0, le=OBSERVATIONS_MAX, description="how many, the newest")] = 1_000,
) -> Response:
    """A run with its jobs, payments and observations."""
    found = connections.database.reads.documents(run_id)
    (run,) = found.pop("runs")
    found["observations"] = found["observations"][len(found["observations"]) - observations :][:observations]
    return JSONResponse({"run": views.rest(run), **views.rest(found)})


@routes.get("/runs", response_model=models.RunList, responses=LOOKED)
def runs(
    _: MayRead,
    connections: Connected,
    status: Literal["running", "completed", "failed"] | None = None,
    phase: Literal["PLANNING", "APPROVAL", "EXECUTING", "WAITING", "SUCCESS", "FAILED"] | None = None,
    user_id: Annotated[str | None, Query(alias="userId", max_length=200)] = None,
    tag: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    before: Annotated[str, Query(max_length=64, description="`next` of the page before")] = "",
) -> Response:
    """Runs, newest first."""
    asked = {"status": status, "phase": phase, "userId": user_id, "tags": tag}
    wanted = {name: value for name, value in asked.items() if value is not None}
    found = connections.database.queries.runs(wanted, limit, before)
    following = str(found[-1]["_id"]) if len(found) == limit else None
    return JSONResponse({"runs": views.rest(found), "next": following})


@routes.post("/runs/{runId}/approve", response_model=models.ToldShown, responses=ASKED)
def approve(run_id: ThisRun, asked: models.ApproveRequest, caller: MayApprove, once: Repeatable) -> Response:
    """Agree to the purchase that waits. It is signed at the next tick, at the price quoted and no other."""
    amount = parse_usd(asked.amount)
    return _told(
        once,
        caller.name,
        lambda store, clock: consent.approve(run_id, caller.decides(asked.by), amount, store, clock, asked.job_id),
        "approved: tick the run",
    )


@routes.post("/runs/{runId}/reject", response_model=models.ToldShown, responses=ASKED)
def reject(run_id: ThisRun, asked: models.RejectRequest, caller: MayApprove, once: Repeatable) -> Response:
    """Refuse the purchase that waits. The run looks elsewhere, and does not ask again at that price."""
    return _told(
        once,
        caller.name,
        lambda store, clock: consent.reject(run_id, caller.decides(asked.by), asked.why, store, clock, asked.job_id),
        "rejected",
    )


@routes.post("/runs/{runId}/cancel", response_model=models.ToldShown, responses=ASKED)
def cancel(run_id: ThisRun, asked: models.CancelRequest, caller: MayCancel, once: Repeatable) -> Response:
    """End the run: nothing more is signed. The next tick cancels on chain what is out, where that still helps."""
    return _told(
        once,
        caller.name,
        lambda store, clock: consent.cancel(run_id, caller.decides(asked.by), asked.why, store, clock),
        "cancelled",
    )


def _advanced(run_id: str, who: str, once: Once, advance: Callable[..., Run]) -> Response:
    connections = once.connections
    once.request.state.run_id = run_id

    def advanced(_: str, __: bool) -> dict[str, Any]:
        before = connections.database.store.load(run_id)
        after = advance(run_id, connections.agent.ports)
        decided = connections.database.queries.decision_since(run_id, before.version)
        return {
            "message": views.message(before, after),
            "action": views.action(decided),
            "run": _shown(run_id, connections),
        }

    return once.answer(who, advanced)


def _told(once: Once, who: str, tell: Callable[..., Run], words: str) -> Response:
    def told(_: str, __: bool) -> dict[str, Any]:
        run = tell(once.connections.database.store, system_clock())
        return {"message": words, "run": _shown(run.run_id, once.connections)}

    return once.answer(who, told)


def _shown(run_id: str, connections: Connections) -> dict[str, Any]:
    shown: dict[str, Any] = views.rest(connections.database.queries.run(run_id))
    return shown


def _order(asked: models.StartRequest, connections: Connections) -> Order:
    """Raises BadInput."""
    arms = parse_planners([asked.planner or read(connections.environ).planner])
    return Order(
        goal=asked.goal,
        budget=parse_usd(asked.budget_total),
        gpu_type=asked.gpu_type,
        max_hours=asked.max_hours,
        user_id=asked.user_id,
        planner=arms[0][0],
        planners=arms if len(arms) > 1 else (),
        jobs_open_max=asked.jobs_open_max,
        vendor_ids=tuple(asked.vendor_ids),
        tags=tuple(asked.tags),
    )
