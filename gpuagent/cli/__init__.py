"""The `gpuagent` command. Heavy libraries are imported inside the commands that need them."""

from typing import Annotated

import typer

from gpuagent.cli.alerts import alerts
from gpuagent.cli.approve import add_run_controls
from gpuagent.cli.books import books
from gpuagent.cli.console import console
from gpuagent.cli.demo import demo
from gpuagent.cli.doctor import doctor
from gpuagent.cli.files import file_store
from gpuagent.cli.fleet import fleet
from gpuagent.cli.groups import command_group
from gpuagent.cli.inbox import inbox
from gpuagent.cli.job import jobs
from gpuagent.cli.lab import lab
from gpuagent.cli.mcp import mcp
from gpuagent.cli.planners import planners
from gpuagent.cli.policy import policies
from gpuagent.cli.process import leaving, writing
from gpuagent.cli.refund import refunds
from gpuagent.cli.report import report
from gpuagent.cli.run import runs
from gpuagent.cli.run_archive import add_run_archive
from gpuagent.cli.run_explain import add_run_explain
from gpuagent.cli.run_files import add_run_files
from gpuagent.cli.run_list import add_run_list
from gpuagent.cli.run_timeline import add_run_timeline
from gpuagent.cli.schedule import schedules
from gpuagent.cli.sell import seller
from gpuagent.cli.serve import serve
from gpuagent.cli.up import up
from gpuagent.cli.vendor import vendors
from gpuagent.cli.vendor_discovery import add_discovery
from gpuagent.cli.wallet import wallets

app = command_group("Buy GPU work within a budget and pay for it with x402.")
add_run_controls(runs)
add_run_files(runs)
add_run_explain(runs)
add_run_archive(runs)
add_run_list(runs)
add_run_timeline(runs)
add_discovery(vendors)
app.add_typer(runs, name="run")
app.add_typer(jobs, name="job")
app.add_typer(inbox, name="inbox")
app.add_typer(alerts, name="alerts")
app.add_typer(file_store, name="files")
app.add_typer(vendors, name="vendor")
app.add_typer(refunds, name="refund")
app.add_typer(seller, name="sell")
app.add_typer(policies, name="policy")
app.add_typer(planners, name="planners")
app.add_typer(wallets, name="wallet")
app.add_typer(schedules, name="schedule")
for command in (lab, console, serve, mcp, fleet, report, doctor, demo, up, books):
    app.command()(command)


def _print_version(asked: bool) -> None:
    from importlib.metadata import version

    if asked:
        typer.echo(f"gpuagent {version('gpuagent')}")
        raise typer.Exit


@app.callback()
def gpuagent(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Buy GPU work within a budget and pay for it with x402."""


def main() -> None:
    """The process of a command."""
    with leaving(), writing():
        app()
