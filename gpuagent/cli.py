"""The `gpuagent` command. Heavy libraries are imported inside the commands that need them."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuagent.errors import BadInput, ConfigError, GpuAgentError, Refused

if TYPE_CHECKING:
    from gpuagent.books import Books
    from gpuagent.model import Run
    from gpuagent.settings import Agent

EXIT_OTHER, EXIT_USAGE, EXIT_REFUSED, EXIT_RUN_FAILED = 1, 2, 3, 4
PAUSE_S = 0.25
"""Between two ticks of a run that waits, when this command drives it."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Buy GPU work within a budget and pay for it with x402.",
)
runs = typer.Typer(no_args_is_help=True, help="Start runs, tick them, look at them.")
vendors = typer.Typer(no_args_is_help=True, help="Who may be bought from.")
app.add_typer(runs, name="run")
app.add_typer(vendors, name="vendor")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; amounts in atomic units.")]
RunId = Annotated[str, typer.Argument(help="The run's id.")]


@app.command()
def demo(
    budget: Annotated[str, typer.Option(help="USD.")] = "5",
    fail_vendor: Annotated[str, typer.Option(help="The vendor whose jobs fail, or none.")] = "gpu_vendor_1",
    fail_rate: Annotated[str, typer.Option(help="Chance from 0 to 1 that any job fails.")] = "0",
    as_json: AsJson = False,
) -> None:
    """Watch an agent buy a GPU job on a local chain, survive a failing vendor and balance its books."""
    from gpuagent.demo import play

    with errors_explained():
        outcome = play(budget, fail_vendor, fail_rate, say=None if as_json else _console().print)
        if as_json:
            _print_json(outcome.as_json())
        if not outcome.completed:
            raise typer.Exit(EXIT_RUN_FAILED)


@app.command()
def up(
    folder: Annotated[Path | None, typer.Option(help="Where the stack lives on; default: your data folder.")] = None,
    ephemeral: Annotated[bool, typer.Option(help="Keep nothing.")] = False,
    port: Annotated[int, typer.Option(help="The vendors' port; 0: any free one.")] = 4001,
    as_json: AsJson = False,
) -> None:
    """Start mongod, a chain and practice vendors; print the environment to export; run until stopped."""
    import signal

    from gpuagent import stack
    from gpuagent.adapters.mongod import default_folder

    with errors_explained():
        where = None if ephemeral else folder or default_folder().parent / "up"
        with stack.start(where, PORT=str(port)) as running:
            record_vendors(running)
            if as_json:
                _print_json(dict(running.environment))
            else:
                for name, value in running.environment.items():
                    typer.echo(f"export {name}='{value}'")
            typer.echo("running; ctrl-C stops it", err=True)
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            try:
                signal.pause()
            except KeyboardInterrupt:
                typer.echo("stopping", err=True)


@runs.command("start")
def run_start(
    goal: Annotated[str, typer.Option(help="What the run is for.")],
    budget: Annotated[str, typer.Option(help="USD, such as 5 or 1.40.")],
    gpu: Annotated[str, typer.Option(help="GPU type.")] = "A100",
    hours: Annotated[str, typer.Option(help="GPU hours to buy.")] = "1",
    vendor: Annotated[list[str] | None, typer.Option(help="Only from this vendor; may be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="For reports; may be repeated.")] = None,
    user: Annotated[str, typer.Option(help="Whose run it is.")] = "local",
    planner: Annotated[str, typer.Option(help="Who chooses the vendor.")] = "",
    as_json: AsJson = False,
) -> None:
    """Start a run. It does nothing until it is ticked."""
    from gpuagent.launch import Order, start
    from gpuagent.money import parse_usd

    with errors_explained(), agent() as live:
        order = Order(
            goal=goal,
            budget=parse_usd(budget),
            gpu_type=gpu,
            max_hours=_hours(hours),
            user_id=user,
            planner=planner or _settings().planner,
            vendor_ids=tuple(vendor or ()),
            tags=tuple(tag or ()),
        )
        run = start(order, live.ports)
        _show_run(live, run.run_id, as_json)


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
    from gpuagent.tick import tick
    from gpuagent.transitions import is_over

    def advance(live: "Agent") -> "Run":
        run = tick(run_id, live.ports)
        while until_over and not is_over(run):
            time.sleep(PAUSE_S)
            run = tick(run_id, live.ports)
        return run

    _advance(run_id, advance, as_json)


@runs.command("watch")
def run_watch(
    run_id: RunId,
    ticking: Annotated[bool, typer.Option("--tick", help="Tick the run while watching it.")] = False,
) -> None:
    """Follow a run: phase, budget, jobs, the planner's reasons, the last log lines. Ends with the run."""
    from gpuagent.tick import tick
    from gpuagent.transitions import is_over

    with errors_explained(), agent() as live, _following(live, run_id) as show:
        run = live.store.load(run_id)
        while not is_over(run):
            time.sleep(PAUSE_S)
            run = tick(run_id, live.ports) if ticking else live.store.load(run_id)
            show()
    _exit_as(run)


@runs.command("status")
def run_status(run_id: RunId, as_json: AsJson = False) -> None:
    """Show a run with its jobs, payments and observations."""
    with errors_explained(), agent() as live:
        _show_run(live, run_id, as_json)


@runs.command("list")
def run_list(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20, as_json: AsJson = False
) -> None:
    """Show the newest runs."""
    from gpuagent.show import plain, runs_table

    with errors_explained(), agent() as live:
        found = live.store.runs(limit)
        if as_json:
            _print_json({"runs": plain(found)})
        else:
            _console().print(runs_table(found) if found else "no runs yet: `gpuagent run start` makes one")


@vendors.command("seed")
def vendor_seed(
    file: Annotated[Path, typer.Argument(help="Vendors in JSON, as `vendor list --json` prints them.")],
) -> None:
    """Record the vendors in a file: their endpoints and, pinned, whom to pay."""
    from gpuagent.vendor_file import vendor_from

    with errors_explained():
        try:
            entries = json.loads(file.read_text())["vendors"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f'{file} is not {{"vendors": [...]}} ({type(error).__name__}: {error})') from error
        found = [vendor_from(entry) for entry in entries]
        with agent() as live:
            for vendor in found:
                live.store.put_vendor(vendor, live.ports.clock.now())
        typer.echo(f"recorded {', '.join(vendor.vendor_id for vendor in found)}")


@vendors.command("list")
def vendor_list(as_json: AsJson = False) -> None:
    """Show the recorded vendors. As JSON, prices are in USD: it is what `vendor seed` reads."""
    from gpuagent.show import vendors_table
    from gpuagent.vendor_file import vendor_entry

    with errors_explained(), agent() as live:
        found = live.store.vendors()
        if as_json:
            _print_json({"vendors": [vendor_entry(vendor) for vendor in found]})
        else:
            _console().print(vendors_table(found) if found else "no vendors yet: `gpuagent vendor seed FILE`")


@vendors.command("check")
def vendor_check(
    url: Annotated[str, typer.Argument(help="The vendor's endpoint.")],
    vendor_id: Annotated[str, typer.Option(help="What to send as x-vendor-id.")] = "gpu_vendor_1",
    gpu: Annotated[str, typer.Option(help="A GPU type it offers.")] = "A100",
    secret_env: Annotated[str, typer.Option(help="The variable with its bearer token.")] = "GPU_VENDOR_SECRET",
    as_json: AsJson = False,
) -> None:
    """Try a vendor's endpoint for conformance to the vendor API. Pays nothing."""
    from gpuagent import settings
    from gpuagent.conformance import check, unrecorded
    from gpuagent.show import findings_table

    with errors_explained(), settings.open_vendor_api(os.environ) as (vendor_api, http):
        vendor = unrecorded(url, vendor_id, secret_env)
        findings = check(vendor, gpu, vendor_api, http, os.environ.get(secret_env, ""))
        if as_json:
            _print_json({"url": url, "checks": [finding.as_json() for finding in findings]})
        else:
            _console().print(findings_table(findings))
        if not all(finding.passed for finding in findings):
            raise typer.Exit(EXIT_OTHER)


@app.command()
def books(run_id: RunId, as_json: AsJson = False) -> None:
    """Hold a run's ledger against the chain. Exits with 1 if they differ."""
    from gpuagent.books import audit
    from gpuagent.show import books_json, books_table

    with errors_explained(), agent() as live:
        found: Books = audit(live.store.load(run_id), live.chain)
        if as_json:
            _print_json({"run": run_id, **books_json(found)})
        else:
            _console().print(books_table(found))
        if not found.balanced:
            raise typer.Exit(EXIT_OTHER)


@contextmanager
def errors_explained() -> Iterator[None]:
    """What was raised on purpose becomes one line on stderr and an exit code; bugs keep their traceback."""
    try:
        yield
    except GpuAgentError as error:
        typer.echo(f"gpuagent: {error}", err=True)
        if isinstance(error, BadInput | ConfigError):
            raise typer.Exit(EXIT_USAGE) from error
        raise typer.Exit(EXIT_REFUSED if isinstance(error, Refused) else EXIT_OTHER) from error


@contextmanager
def agent() -> "Iterator[Agent]":
    from gpuagent import settings

    with settings.build(_settings()) as live:
        yield live


def record_vendors(running: Any) -> None:
    """Write a stack's vendors into its database."""
    from gpuagent import settings
    from gpuagent.adapters.system_clock import SystemClock

    with settings.open_store(settings.read({**os.environ, **running.environment})) as store:
        for vendor in running.vendors:
            store.put_vendor(vendor, SystemClock().now())


@contextmanager
def _following(live: "Agent", run_id: str) -> Iterator[Callable[[], None]]:
    """Shows a run and, whenever the yielded function is called, shows it anew: in place on a terminal only."""
    from rich.live import Live

    from gpuagent.show import narration, run_view

    live.store.load(run_id)
    console, told = _console(), 0
    if console.is_terminal:
        with Live(run_view(live.store.documents(run_id)), console=console, auto_refresh=False) as view:
            yield lambda: view.update(run_view(live.store.documents(run_id)), refresh=True)
        return

    def tell() -> None:
        nonlocal told
        seen = live.store.documents(run_id)["observations"]
        for line in narration(seen[told:]):
            console.print(line)
        told = len(seen)

    tell()
    yield tell
    console.print(run_view(live.store.documents(run_id)))


def _advance(run_id: str, advance: "Callable[[Agent], Run]", as_json: bool) -> None:
    with errors_explained(), agent() as live:
        run = advance(live)
        _show_run(live, run_id, as_json)
        _exit_as(run)


def _show_run(live: "Agent", run_id: str, as_json: bool) -> None:
    from gpuagent.show import plain, run_view

    live.store.load(run_id)
    documents = live.store.documents(run_id)
    if as_json:
        (run,) = documents.pop("runs")
        _print_json({"run": plain(run), **plain(documents)})
    else:
        _console().print(run_view(documents))


def _exit_as(run: "Run") -> None:
    from gpuagent.model import RunStatus

    if run.status is RunStatus.FAILED:
        raise typer.Exit(EXIT_RUN_FAILED)


def _hours(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise BadInput(f"{text!r} is not a number of hours") from None


def _settings() -> Any:
    from gpuagent import settings

    return settings.read()


def _console() -> Any:
    from rich.console import Console

    return Console()


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))


if __name__ == "__main__":
    app()
