"""`gpuagent fleet`: tick all runs that are due, until stopped or done."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from gpuagent.cli.common import EXIT_OTHER, AsJson, console, errors_explained, interval, print_json
from gpuagent.errors import BadInput

if TYPE_CHECKING:
    from gpuagent.fleet.crews import Crew, Ticked
    from gpuagent.fleet.dispatcher import Dispatcher, Tally
    from gpuagent.fleet.worker import Leasing
    from gpuagent.settings import Settings
    from gpuagent.wiring.database import Database

PROBLEMS_SHOWN = 10

Threads = Annotated[int, typer.Option(min=1, max=256, help="Runs that a process ticks at once.")]
Processes = Annotated[int, typer.Option(min=1, max=256, help="Processes of this machine; 1: this one.")]
Scheduler = Annotated[str, typer.Option(help="A Dask scheduler whose workers tick, such as tcp://10.0.0.5:8786.")]
Every = Annotated[
    float, typer.Option(parser=interval, metavar="TIME", help="From one tick of a run to its next: 1m, or seconds.")
]
UntilDone = Annotated[bool, typer.Option("--until-done", help="End when every run is over.")]
MetricsAt = Annotated[str, typer.Option("--metrics", help="HOST:PORT to serve Prometheus metrics at.")]


def fleet(
    threads: Threads = 8,
    processes: Processes = 1,
    scheduler: Scheduler = "",
    every: Every = 10.0,
    until_done: UntilDone = False,
    metrics: MetricsAt = "",
    as_json: AsJson = False,
) -> None:
    """Tick all runs that are due, until stopped. SIGTERM or Ctrl+C: what is under way ends first; a second cuts it off.

    Start as many as you like, anywhere: they share the runs. Alerts are sent too where ALERTS_SEND is tick.
    """
    from gpuagent import settings
    from gpuagent.fleet.alerting import sending
    from gpuagent.fleet.dispatcher import Dispatcher
    from gpuagent.fleet.worker import Leasing
    from gpuagent.wiring.alerts import alert_sender
    from gpuagent.wiring.database import open_database

    with errors_explained(), ExitStack() as closing:
        values = settings.read()
        database = closing.enter_context(open_database(values))
        crew = closing.enter_context(_crew(values, database, threads, processes, scheduler, Leasing(rest_s=every)))
        dispatcher = Dispatcher(database.queries.leases, crew)
        heard = [closing.enter_context(_progress(dispatcher))] if sys.stderr.isatty() else []
        if metrics:
            from gpuagent.fleet.metrics import Metrics

            served = Metrics()
            end, _ = served.serve(metrics)
            closing.callback(end)
            heard.append(served.hear)
        dispatcher.heard = lambda turns, under_way: [hear(turns, under_way) for hear in heard]
        if send := alert_sender(values, database):
            closing.enter_context(sending(send))
        _drain_on_signals(dispatcher)
        tally = dispatcher.run(until_done)
        _show(tally, as_json)


@contextmanager
def _crew(
    values: "Settings", database: "Database", threads: int, processes: int, scheduler: str, leasing: "Leasing"
) -> "Iterator[Crew]":
    from gpuagent import wiring
    from gpuagent.fleet.crews import process_crew, thread_crew

    if scheduler:
        if processes > 1:
            raise BadInput("--processes is for this machine: how many the cluster has, its `dask worker` commands say")
        from gpuagent.fleet.cluster import dask_crew

        with dask_crew(scheduler, threads, leasing) as crew:
            yield crew
        return
    # Opened here too where processes have their own: what is wrong with the environment is said at once.
    with wiring.open_agent(values, database) as agent:
        if processes > 1:
            yield process_crew(values.environ, processes, threads, leasing)
            return
        with thread_crew(agent, threads, leasing) as crew:
            yield crew


def _drain_on_signals(dispatcher: "Dispatcher") -> None:
    def stop(_number: int, _frame: object) -> None:
        if dispatcher.stopping.is_set():
            typer.echo("cut off: what was under way is due again when its leases end", err=True)
            sys.stderr.flush()
            os._exit(EXIT_OTHER)
        typer.echo("stopping: what is under way ends first", err=True)
        dispatcher.stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


@contextmanager
def _progress(dispatcher: "Dispatcher") -> "Iterator[Callable[[Sequence[Ticked], int], None]]":
    with console(stderr=True).status("looking for runs that are due") as status:

        def hear(_turns: "Sequence[Ticked]", under_way: int) -> None:
            tally = dispatcher.tally
            status.update(
                f"{tally.ticks:,} ticks, {tally.failed:,} failed, {tally.over:,} runs over, {under_way:,} under way"
            )

        yield hear


def _show(tally: "Tally", as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "ticks": tally.ticks,
                "failed": tally.failed,
                "over": tally.over,
                "lost": tally.lost,
                "problems": tally.problems,
            }
        )
        return
    typer.echo(f"{tally.ticks:,} ticks, {tally.failed:,} of them failed; {tally.over:,} runs came to their end")
    for run_id, problem in list(tally.problems.items())[:PROBLEMS_SHOWN]:
        typer.echo(f"  {run_id}  {problem}")
    if (more := len(tally.problems) - PROBLEMS_SHOWN) > 0:
        typer.echo(f"  and {more:,} more: --json shows all")
