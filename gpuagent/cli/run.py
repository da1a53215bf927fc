"""`gpuagent run`: commands that start runs, tick them and show them."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import (
    EXIT_REFUSED,
    EXIT_RUN_FAILED,
    AsJson,
    RunId,
    console,
    errors_explained,
    open_agent,
    open_database,
    print_json,
)
from gpuagent.cli.groups import command_group
from gpuagent.cli.job_options import JobEnv, JobFile, JobRoot, read_job
from gpuagent.cli.watch import following
from gpuagent.core.units import parse_delay
from gpuagent.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from gpuagent.core.model import Run
    from gpuagent.wiring import Agent
    from gpuagent.wiring.database import Database

runs = command_group("Start runs, tick them, show them.")


@runs.command("start")
def run_start(
    budget: Annotated[str, typer.Option(help="The budget in USD, such as 5 or 1.40.")] = "",
    goal: Annotated[str, typer.Option(help="What the run is for; default: the job's name.")] = "",
    job: JobFile = None,
    env: JobEnv = None,
    root: JobRoot = None,
    gpu: Annotated[str, typer.Option(help="The GPU type; default: the job's, or A100.")] = "",
    hours: Annotated[str, typer.Option(help="GPU hours to buy; default: the job's max_duration, or 1.")] = "",
    vendor: Annotated[list[str] | None, typer.Option(help="Buy only from this vendor; may be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag for reports; may be repeated.")] = None,
    count: Annotated[
        int | None, typer.Option(help="How many jobs of this kind to complete; default: the job's, or 1.")
    ] = None,
    open_jobs: Annotated[int | None, typer.Option(help="How many jobs may be open at once; default: 1.")] = None,
    hedge_after: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Buy a job once more elsewhere when it is so late, such as 15m; 0: never; default: the job's.",
        ),
    ] = "",
    user: Annotated[str, typer.Option(help="The user whose run it is.")] = "local",
    planner: Annotated[
        list[str] | None,
        typer.Option(help="What chooses the vendor: stub (rules) or llm; several as NAME=WEIGHT to compare them."),
    ] = None,
    like: Annotated[
        str, typer.Option(metavar="RUN", help="As this run was ordered, but for what other options say.")
    ] = "",
    dry_run: Annotated[bool, typer.Option(help="Only show what would be paid, and what forbids it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start a run: of a job file, or of a goal alone. It does nothing until it is ticked."""
    from gpuagent import settings
    from gpuagent.agent.order_like import order_like
    from gpuagent.agent.start import Order, parse_planners, prepare, start
    from gpuagent.core.money import parse_usd

    with errors_explained(), open_agent() as agent:
        if not (goal or job or like):
            raise BadInput("say what the run is for: --goal TEXT, or --job FILE with what is to run")
        if not (budget or like):
            raise BadInput("say what it may cost: --budget USD")
        old = order_like(agent.store.load(like)) if like else Order("", 0, planner=settings.read().planner)
        sealed = read_job(job, env, root, agent.store.policy().file_max)
        order = replace(
            old,
            goal=goal or old.goal,
            budget=parse_usd(budget) if budget else old.budget,
            gpu_type=gpu or ("" if sealed else old.gpu_type),
            max_hours=_hours(hours) if hours else (None if sealed else old.max_hours),
            user_id=user,
            count=old.count if count is None else count,
            jobs_open_max=old.jobs_open_max if open_jobs is None else open_jobs,
            hedge_after=_delay(hedge_after) if hedge_after else old.hedge_after,
            vendor_ids=tuple(vendor) if vendor else old.vendor_ids,
            tags=tuple(tag) if tag else old.tags,
            workload=sealed.workload if sealed else old.workload,
            sources=sealed.sources if sealed else {},
        )
        if planner:
            planners = parse_planners(planner)
            order = replace(order, planner=planners[0][0], planners=planners if len(planners) > 1 else ())
        if dry_run:
            _dry_run(prepare(order, agent.ports), agent, as_json)
            return
        run = start(order, agent.ports)
        if note := _faults_note():
            typer.echo(note, err=True)
        _show_run(agent.database, run.run_id, as_json)


@runs.command("step")
def run_step(run_id: RunId, as_json: AsJson = False) -> None:
    """Make the one transition that is due."""
    from gpuagent.tick import step

    _advance(run_id, lambda agent: step(run_id, agent.ports), as_json)


@runs.command("tick")
def run_tick(
    run_id: RunId,
    until_over: Annotated[bool, typer.Option(help="Keep ticking until the run has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make steps until the run must wait for the world or is over."""
    from gpuagent.agent.drive import drive
    from gpuagent.tick import tick

    def advance(agent: "Agent") -> "Run":
        run = agent.store.load(run_id)
        ticking = partial(tick, ports=agent.ports)
        for attempt in drive(run, ticking, time.sleep, agent.ports.pace, ticks_max=None if until_over else 1):
            run = attempt.run
        return run

    _advance(run_id, advance, as_json)


@runs.command("dry-run")
def run_dry(
    run_id: Annotated[str, typer.Argument(help="The run's id; none with --job.")] = "",
    job: JobFile = None,
    env: JobEnv = None,
    root: JobRoot = None,
    budget: Annotated[str, typer.Option(help="With --job: the budget in USD.")] = "5",
    as_json: AsJson = False,
) -> None:
    """Show what would be bought next, what would be sent to whom, and what forbids it. Signs and reserves nothing."""
    from gpuagent import settings
    from gpuagent.agent.start import Order, prepare
    from gpuagent.core.money import parse_usd

    with errors_explained(), open_agent() as agent:
        sealed = read_job(job, env, root, agent.store.policy().file_max)
        if bool(run_id) == bool(sealed):
            raise BadInput("name a run, or a job by --job FILE: one of the two")
        if sealed:
            order = Order("", parse_usd(budget), planner=settings.read().planner, workload=sealed.workload)
            _dry_run(prepare(order, agent.ports), agent, as_json)
        else:
            _dry_run(agent.store.load(run_id), agent, as_json)


@runs.command("watch")
def run_watch(
    run_id: RunId,
    ticking: Annotated[bool, typer.Option("--tick", help="Tick the run while watching it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line: every observation.")] = False,
) -> None:
    """Follow a run: phase, budget, jobs, the planner's reasons, the last log lines. Ends with the run."""
    from gpuagent.agent.drive import drive
    from gpuagent.core.pace import Pace
    from gpuagent.tick import tick

    with errors_explained(), ExitStack() as stack:
        agent = stack.enter_context(open_agent()) if ticking else None
        db = agent.database if agent else stack.enter_context(open_database())
        run = db.store.load(run_id)
        show = stack.enter_context(following(db, run_id, as_json))
        advance = partial(tick, ports=agent.ports) if agent else db.store.load
        for attempt in drive(run, advance, time.sleep, agent.ports.pace if agent else Pace()):
            run = attempt.run
            show()
    _exit_as(run)


@runs.command("status")
def run_status(run_id: RunId, as_json: AsJson = False) -> None:
    """Show a run with its jobs, payments and observations."""
    with errors_explained(), open_database() as db:
        _show_run(db, run_id, as_json)


def _faults_note() -> str:
    """Which faults of a practice market are on; "" where there is none."""
    from gpuagent.practice.faults import fault_switches

    try:
        with fault_switches(os.environ) as faults:
            return faults.note() if faults else ""
    except ConfigError:  # the run has been started, and needs no switches
        return ""


def _dry_run(run: "Run", agent: "Agent", as_json: bool) -> None:
    """Show the run's next purchase. Exits with 3 when nothing would be paid."""
    from gpuagent.agent.dry_run import simulate
    from gpuagent.render.as_json import rehearsal_json
    from gpuagent.render.policy import rehearsal_view

    rehearsal = simulate(run, agent.ports)
    if as_json:
        print_json(rehearsal_json(rehearsal))
    else:
        console().print(rehearsal_view(rehearsal))
    if rehearsal.would_pay is None:
        raise typer.Exit(EXIT_REFUSED)


def _advance(run_id: str, advance: "Callable[[Agent], Run]", as_json: bool) -> None:
    with errors_explained(), open_agent() as agent:
        run = advance(agent)
        _show_run(agent.database, run_id, as_json)
        _exit_as(run)


def _show_run(db: "Database", run_id: str, as_json: bool) -> None:
    from gpuagent.render.as_json import run_json
    from gpuagent.render.run import read_status, run_view

    documents = db.reads.documents(run_id)
    if as_json:
        print_json(run_json(documents))
    else:
        console().print(run_view(documents, read_status(db.store.load, documents, time.time())))


def _exit_as(run: "Run") -> None:
    from gpuagent.core.model import RunStatus

    if run.status is RunStatus.FAILED:
        raise typer.Exit(EXIT_RUN_FAILED)


def _delay(text: str) -> int:
    """Seconds of a duration, 0 for never. Raises BadInput."""
    try:
        return parse_delay(text)
    except ValueError as error:
        raise BadInput(f"--hedge-after: {error}, or 0 for never") from None


def _hours(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise BadInput(f"{text!r} is not a number of hours") from None
