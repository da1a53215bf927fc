"""The original system's three routes, and the approvals, refusals and cancellations of runs."""

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse

from gpuagent.agent import approve as consent
from gpuagent.agent.start import Order, parse_planners, start
from gpuagent.api.as_json import action_json, json_value, tick_message
from gpuagent.api.auth import MayApprove, MayCancel, MayOperate, MayRead
from gpuagent.api.connections import Connected, Connections
from gpuagent.api.guarded_route import GuardedRoute
from gpuagent.api.idempotency import Repeatable, RepeatableRequest
from gpuagent.api.problems import openapi_responses
from gpuagent.api.requests import RUN_ID, ApproveRequest, CancelRequest, RejectRequest, StartRequest, TickRequest
from gpuagent.api.responses import RunControlResponse, RunListResponse, RunResponse, StatusResponse, TickResponse
from gpuagent.api.tokens import Caller
from gpuagent.core.model import Run
from gpuagent.core.money import parse_usd
from gpuagent.core.rights import APPROVE, OPERATE
from gpuagent.core.run_list import NEWEST_FIRST, TEXT_MAX, RunFilter, parse_sort
from gpuagent.errors import BadInput, UnknownRun
from gpuagent.settings import read
from gpuagent.tick import step, tick
from gpuagent.wiring import system_clock

OBSERVATIONS_MAX = 5_000
POST_PROBLEMS = openapi_responses(400, 401, 403, 404, 409, 413, 422, 502, 503)
GET_PROBLEMS = openapi_responses(401, 403, 404, 422, 503)

routes = APIRouter(prefix="/api", tags=["runs"], route_class=GuardedRoute)
ThisRun = Annotated[str, Path(alias="runId", max_length=64, description="the run's id", examples=[RUN_ID])]


@routes.post("/agent-start", response_model=RunResponse, responses=POST_PROBLEMS)
def agent_start(order: StartRequest, caller: MayOperate, post: Repeatable) -> Response:
    """Record a run. It does nothing until it is ticked."""
    connections = post.connections
    order.user_id = caller.user_of_start(order.user_id)

    def work(run_id: str, again: bool) -> dict[str, Any]:
        return _run_json(start_once(order, connections, run_id, again), connections)

    return post.answer(caller.name, work)


@routes.post("/agent-tick", response_model=TickResponse, responses=POST_PROBLEMS)
def agent_tick(body: TickRequest, caller: MayOperate, post: Repeatable) -> Response:
    """Make steps until the run must wait for the world or is over."""
    return _advance(body.run_id, caller, post, tick)


@routes.post("/agent-step", response_model=TickResponse, responses=POST_PROBLEMS)
def agent_step(body: TickRequest, caller: MayOperate, post: Repeatable) -> Response:
    """Make the one transition that is due."""
    return _advance(body.run_id, caller, post, step)


@routes.get("/agent-status", response_model=StatusResponse, responses=GET_PROBLEMS)
def agent_status(
    _: MayRead,
    connections: Connected,
    run_id: Annotated[
        str, Query(alias="runId", min_length=1, max_length=64, description="the run's id", examples=[RUN_ID])
    ],
    observations: Annotated[int, Query(ge=0, le=OBSERVATIONS_MAX, description="at most so many, the newest")] = 1_000,
) -> Response:
    """Show a run with its jobs, payments and observations."""
    documents = connections.database.reads.documents(run_id)
    (run,) = documents.pop("runs")
    older = max(len(documents["observations"]) - observations, 0)
    documents["observations"] = documents["observations"][older:]
    return JSONResponse({"run": json_value(run), **json_value(documents)})


@routes.get("/runs", response_model=RunListResponse, responses=GET_PROBLEMS)
def runs(
    _: MayRead,
    connections: Connected,
    status: Annotated[
        Literal["running", "completed", "failed"] | None, Query(description="only runs with this status")
    ] = None,
    phase: Annotated[
        Literal["PLANNING", "APPROVAL", "EXECUTING", "WAITING", "SUCCESS", "FAILED"] | None,
        Query(description="only runs in this phase"),
    ] = None,
    user: Annotated[str, Query(max_length=TEXT_MAX, description="only this user's runs")] = "",
    tag: Annotated[str, Query(max_length=TEXT_MAX, description="only runs with this tag")] = "",
    vendor: Annotated[str, Query(max_length=TEXT_MAX, description="at which the run has a job")] = "",
    text: Annotated[str, Query(max_length=TEXT_MAX, description="words of the goal, or the beginning of an id")] = "",
    sort: Annotated[str, Query(max_length=20, description="started, updated, spent or budget; with :asc behind")] = "",
    limit: Annotated[int, Query(ge=1, le=200, description="runs of a page")] = 20,
    before: Annotated[str, Query(max_length=100, description="`next` of the page before")] = "",
    user_id: Annotated[str, Query(alias="userId", max_length=TEXT_MAX, description="the same as `user`")] = "",
) -> Response:
    """List runs, newest first unless sorted otherwise."""
    if user and user_id:
        raise BadInput("user and userId are two names for one filter: send one of them")
    where = RunFilter(status or "", phase or "", user or user_id, tag, vendor, text)
    order = parse_sort(sort) if sort else NEWEST_FIRST
    page = connections.database.reads.run_page(where, order, limit, before)
    return JSONResponse({"runs": json_value(page.runs), "next": page.next or None})


@routes.post("/runs/{runId}/approve", response_model=RunControlResponse, responses=POST_PROBLEMS)
def approve(run_id: ThisRun, body: ApproveRequest, caller: MayApprove, post: Repeatable) -> Response:
    """Approve the purchase that waits. It is signed at the next tick, at the price quoted and no other."""
    approver, amount = caller.recorded_name(body.by), parse_usd(body.amount)
    return _control(
        post,
        caller.name,
        lambda store, clock: consent.approve(run_id, approver, amount, store, clock, body.job_id),
        "approved: tick the run",
    )


@routes.post("/runs/{runId}/reject", response_model=RunControlResponse, responses=POST_PROBLEMS)
def reject(run_id: ThisRun, body: RejectRequest, caller: MayApprove, post: Repeatable) -> Response:
    """Refuse the purchase that waits. The run looks elsewhere, and does not ask again at that price."""
    approver = caller.recorded_name(body.by)
    return _control(
        post,
        caller.name,
        lambda store, clock: consent.reject(run_id, approver, body.why, store, clock, body.job_id),
        "rejected",
    )


@routes.post("/runs/{runId}/cancel", response_model=RunControlResponse, responses=POST_PROBLEMS)
def cancel(run_id: ThisRun, body: CancelRequest, caller: MayCancel, post: Repeatable) -> Response:
    """End the run: nothing more is signed. The next tick cancels on chain what is out, where that still helps."""
    operator = caller.recorded_name(body.by)
    _check_run(run_id, caller, post.connections, APPROVE)
    return _control(
        post,
        caller.name,
        lambda store, clock: consent.cancel(run_id, operator, body.why, store, clock),
        "cancelled",
    )


def start_once(order: StartRequest, connections: Connections, run_id: str, again: bool) -> str:
    """The id of the run that is started, or that an earlier request with this id got as far as to save.

    run_id: as start() has it. again: whether there was an earlier one.
    """
    if again:
        with suppress(UnknownRun):
            return connections.database.store.load(run_id).run_id
    return start(order_of(order, connections), connections.agent.ports, run_id).run_id


def _check_run(run_id: str, caller: Caller, connections: Connections, *permissions: str) -> None:
    """Raises NotPermitted where the caller operates its own runs alone, and this is none; UnknownRun."""
    if not caller.permissions & {OPERATE, *permissions}:
        caller.check_run(connections.database.store.load(run_id).user_id)


def _advance(run_id: str, caller: Caller, post: RepeatableRequest, advance: Callable[..., Run]) -> Response:
    connections = post.connections
    post.request.state.run_id = run_id
    _check_run(run_id, caller, connections)

    def work(_: str, __: bool) -> dict[str, Any]:
        before = connections.database.store.load(run_id)
        after = advance(run_id, connections.agent.ports)
        decision = connections.database.queries.decision_since(run_id, before.version)
        return {
            "message": tick_message(before, after),
            "action": action_json(decision),
            "run": _run_json(run_id, connections),
        }

    return post.answer(caller.name, work)


def _control(post: RepeatableRequest, caller: str, control: Callable[..., Run], message: str) -> Response:
    def work(_: str, __: bool) -> dict[str, Any]:
        run = control(post.connections.database.store, system_clock())
        return {"message": message, "run": _run_json(run.run_id, post.connections)}

    return post.answer(caller, work)


def _run_json(run_id: str, connections: Connections) -> dict[str, Any]:
    run: dict[str, Any] = json_value(connections.database.queries.run(run_id))
    return run


def order_of(body: StartRequest, connections: Connections) -> Order:
    """The order that a request is for. Raises BadInput."""
    from gpuagent.api.jobs import received_job  # here, as it needs the HTTP client, which a cold start does without

    if not body.goal.strip() and body.job is None:
        raise BadInput("goal: say what the run is for, or send a job with what is to run")
    planners = parse_planners([body.planner or read(connections.environ).planner])
    job = received_job(body.job, body.inputs, connections.environ, connections.database.store.policy().file_max)
    return Order(
        goal=body.goal,
        budget=parse_usd(body.budget_total),
        gpu_type=body.gpu_type or "",
        max_hours=body.max_hours,
        user_id=body.user_id,
        planner=planners[0][0],
        planners=planners if len(planners) > 1 else (),
        jobs_open_max=body.jobs_open_max,
        count=body.count,
        hedge_after=body.hedge_after,
        vendor_ids=tuple(body.vendor_ids),
        tags=tuple(body.tags),
        workload=job.workload if job else None,
        sources=job.sources if job else {},
    )
