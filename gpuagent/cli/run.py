"""`gpuagent run`: start runs, tick them, look at them."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import (
    EXIT_REFUSED,
    EXIT_RUN_FAILED,
    AsJson,
    RunId,
    agent,
    console,
    database,
    errors_explained,
    print_json,
)
from gpuagent.cli.watch import following
from gpuagent.errors import BadInput

if TYPE_CHECKING:
    from gpuagent.core.model import Run
    from gpuagent.wiring import Agent, Database

runs = typer.Typer(no_args_is_help=True, help="Start runs, tick them, look at them.")


@runs.command("start")
def run_start(
    goal: Annotated[str, typer.Option(help="What the run is for.")],
    budget: Annotated[str, typer.Option(help="USD, such as 5 or 1.40.")],
    gpu: Annotated[str, typer.Option(help="GPU type.")] = "A100",
    hours: Annotated[str, typer.Option(help="GPU hours to buy.")] = "1",
    vendor: Annotated[list[str] | None, typer.Option(help="Only from this vendor; may be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="For reports; may be repeated.")] = None,
    open_jobs: Annotated[int, typer.Option(help="How many jobs may be open at once.")] = 1,
    user: Annotated[str, typer.Option(help="Whose run it is.")] = "local",
    planner: Annotated[
        list[str] | None, typer.Option(help="Who chooses the vendor; several as NAME=WEIGHT to compare them.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Only show what would be paid, and what forbids it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start a run. It does nothing until it is ticked."""
    from gpuagent import settings
    from gpuagent.agent.start import Order, parse_planners, prepare, start
    from gpuagent.core.money import parse_usd

    with errors_explained(), agent() as live:
        arms = parse_planners(planner or [settings.read().planner])
        order = Order(
            goal=goal,
            budget=parse_usd(budget),
            gpu_type=gpu,
            max_hours=_hours(hours),
            user_id=user,
            planner=arms[0][0],
            planners=arms if len(arms) > 1 else (),
            jobs_open_max=open_jobs,
            vendor_ids=tuple(vendor or ()),
            tags=tuple(tag or ()),
        )
        if dry_run:
            _rehearse(prepare(order, live.ports), live, as_json)
            return
        run = start(order, live.ports)
        _show_run(live.database, run.run_id, as_json)


@runs.command("step")
def run_step(run_id: RunId, as_json: AsJson = False) -> None:
    """Make the one transition that is due."""
    from gpuagent.tick import step

    _advance(run_id, lambda live: step(run_id, live.ports), as_json)


@runs.command("tick")
def run_tick(
    run_id: RunId,
    until_over: Annotated[bool, typer.Option(help="Keep ticking until the run has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make steps until the run must wait for the world or is over."""
    from gpuagent.agent.drive import drive
    from gpuagent.tick import tick

    def advance(live: "Agent") -> "Run":
        run = live.store.load(run_id)
        ticking = partial(tick, ports=live.ports)
        for made in drive(run, ticking, time.sleep, live.ports.pace, ticks_max=None if until_over else 1):
            run = made.run
        return run

    _advance(run_id, advance, as_json)


@runs.command("dry-run")
def run_dry(run_id: RunId, as_json: AsJson = False) -> None:
    """Show what the run's next purchase would be and what forbids it. Signs and reserves nothing."""
    with errors_explained(), agent() as live:
        _rehearse(live.store.load(run_id), live, as_json)


@runs.command("watch")
def run_watch(
    run_id: RunId,
    ticking: Annotated[bool, typer.Option("--tick", help="Tick the run while watching it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line: every observation.")] = False,
) -> None:
    """Follow a run: phase, budget, jobs, the planner's reasons, the last log lines. Ends with the run."""
    from gpuagent.agent.drive import drive
    from gpuagent.core.ports import Pace
    from gpuagent.tick import tick

    with errors_explained(), ExitStack() as stack:
        live = stack.enter_context(agent()) if ticking else None
        db = live.database if live else stack.enter_context(database())
        run = db.store.load(run_id)
        show = stack.enter_context(following(db, run_id, as_json))
        advance = partial(tick, ports=live.ports) if live else db.store.load
        for made in drive(run, advance, time.sleep, live.ports.pace if live else Pace()):
            run = made.run
            show()
    _exit_as(run)


@runs.command("status")
def run_status(run_id: RunId, as_json: AsJson = False) -> None:
    """Show a run with its jobs, payments and observations."""
    with errors_explained(), database() as db:
        _show_run(db, run_id, as_json)


@runs.command("list")
def run_list(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20, as_json: AsJson = False
) -> None:
    """Show the newest runs."""
    from gpuagent.render.as_json import json_value
    from gpuagent.render.run import runs_table

    with errors_explained(), database() as db:
        found = db.reads.runs(limit)
        if as_json:
            print_json({"runs": json_value(found)})
        else:
            console().print(runs_table(found) if found else "no runs yet: `gpuagent run start` makes one")


def _rehearse(run: "Run", live: "Agent", as_json: bool) -> None:
    """Exits with 3 when nothing would be paid."""
    from gpuagent.agent.dry_run import simulate
    from gpuagent.render.as_json import rehearsal_json
    from gpuagent.render.policy import rehearsal_view

    found = simulate(run, live.ports)
    if as_json:
        print_json(rehearsal_json(found))
    else:
        console().print(rehearsal_view(found))
    if found.would_pay is None:
        raise typer.Exit(EXIT_REFUSED)


def _advance(run_id: str, advance: "Callable[[Agent], Run]", as_json: bool) -> None:
    with errors_explained(), agent() as live:
        run = advance(live)
        _show_run(live.database, run_id, as_json)
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


def _hours(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise BadInput(f"{text!r} is not a number of hours") from None
