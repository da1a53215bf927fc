"""The `gpuagent` command. Heavy libraries are imported inside the commands that need them."""

import os
from pathlib import Path
from typing import Annotated

import typer

from gpuagent.cli.approve import add_consents
from gpuagent.cli.books import audit_all, audit_run
from gpuagent.cli.common import EXIT_OTHER, EXIT_RUN_FAILED, AsJson, console, database, errors_explained, print_json
from gpuagent.cli.doctor import doctor
from gpuagent.cli.lab import lab
from gpuagent.cli.planners import planners
from gpuagent.cli.policy import policies
from gpuagent.cli.report import report
from gpuagent.cli.run import runs
from gpuagent.cli.schedule import schedules
from gpuagent.cli.serve import serve
from gpuagent.cli.vendor import vendors
from gpuagent.cli.wallet import wallets

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Buy GPU work within a budget and pay for it with x402.",
)
app.add_typer(runs, name="run")
app.add_typer(vendors, name="vendor")
app.add_typer(policies, name="policy")
app.add_typer(planners, name="planners")
add_consents(runs)
app.command()(lab)
app.command()(serve)
app.add_typer(wallets, name="wallet")
app.command("report")(report)
app.add_typer(schedules, name="schedule")
app.command()(doctor)


@app.command()
def demo(
    budget: Annotated[str, typer.Option(help="USD.")] = "5",
    fail_vendor: Annotated[str, typer.Option(help="The vendor whose jobs fail, or none.")] = "gpu_vendor_1",
    fail_rate: Annotated[str, typer.Option(help="Chance from 0 to 1 that any job fails.")] = "0",
    as_json: AsJson = False,
) -> None:
    """Watch an agent buy a GPU job on a local chain, survive a failing vendor and balance its books."""
    from gpuagent.practice.demo import play

    with errors_explained():
        outcome = play(budget, fail_vendor, fail_rate, say=None if as_json else console().print)
        if as_json:
            print_json(outcome.as_json())
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

    from gpuagent import settings, wiring
    from gpuagent.practice import stack
    from gpuagent.session import practice_folder

    with errors_explained():
        where = None if ephemeral else folder or practice_folder()
        with stack.start(where, os.environ.get("MONGODB_URI", ""), PORT=str(port)) as running:
            with wiring.open_database(settings.read(running.environment)) as db:
                wiring.record_vendors(db, running.vendors)
            if as_json:
                print_json(dict(running.environment))
            else:
                for name, value in running.environment.items():
                    typer.echo(f"export {name}='{value}'")
            typer.echo("running; ctrl-C stops it", err=True)
            for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job begins with ctrl-C ignored
                signal.signal(number, signal.default_int_handler)
            try:
                signal.pause()
            except KeyboardInterrupt:
                typer.echo("stopping", err=True)


@app.command()
def books(
    run_id: Annotated[str, typer.Argument(help="The run's id; or --all.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every run and transfer of every wallet.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="With --all: mend the ledger where it is provable.")] = False,
    from_block: Annotated[
        int | None, typer.Option(min=0, help="With --all: look from an earlier block than the first run's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold ledgers against the chain. Exits with 1 if they differ."""
    from gpuagent import settings, wiring

    if bool(run_id) == everything:
        raise typer.BadParameter("name one run, or --all")
    if run_id and (repair or from_block is not None):
        raise typer.BadParameter("--repair and --from-block go with --all; one run is repaired by `gpuagent run tick`")
    with errors_explained(), database() as db, wiring.open_chain(settings.read()) as chain:
        audited = audit_all(db, chain, repair, from_block) if everything else audit_run(run_id, db, chain)
        if as_json:
            print_json(audited.as_json)
        else:
            console().print(audited.shown)
        if not audited.balanced:
            raise typer.Exit(EXIT_OTHER)
