"""`gpuagent sell`: the other side, a seller of jobs: a program of its own, `python -m seller`, which this becomes."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from gpuagent.cli.common import EXIT_OTHER, AsJson, console, errors_explained, print_json
from gpuagent.cli.groups import command_group
from gpuagent.cli.vendor import conformance
from gpuagent.errors import ConfigError

NEEDED = ("uvicorn", "web3", "prometheus_client", "docker")

seller = command_group("Sell GPU jobs for x402: run what others pay for, on this machine.", acts_alone=True)
ConfigFile = Annotated[Path, typer.Option("--config", help="The seller's configuration (docs/selling.md).")]
CONFIG = Path("seller.yaml")


@seller.callback(invoke_without_command=True)
def sell(
    context: typer.Context,
    config: ConfigFile = CONFIG,
    workers: Annotated[
        int,
        typer.Option("--workers", min=1, max=64, help="Processes that share the port; one a core is plenty."),
    ] = 1,
) -> None:
    """Sell until stopped; paid jobs go on, and the next start takes them up."""
    if context.invoked_subcommand is None:
        _become("serve", config, "--workers", str(workers))


@seller.command("check")
def sell_check(config: ConfigFile = CONFIG, as_json: AsJson = False) -> None:
    """Look at key, chain, gas, runner and address; where it sells, also try it as `vendor check` does. Pays nothing."""
    from gpuagent.doctor.probe import ConformanceResult
    from gpuagent.render.vendors import findings_table

    with errors_explained():
        command = _command("check", config, "--json")
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if not ended.stdout:
            raise typer.Exit(ended.returncode)
        report = json.loads(ended.stdout)
        findings = [ConformanceResult(look["check"], look["passed"], look["said"]) for look in report["checks"]]
        if report["serving"]:
            findings += conformance(report["serving"], report["vendorId"], report["gpu"], report["bearerVariable"])
        if as_json:
            print_json({**report, "checks": [finding.as_json() for finding in findings]})
        else:
            console().print(findings_table(findings))
        if not all(finding.passed for finding in findings):
            raise typer.Exit(EXIT_OTHER)


@seller.command("status")
def sell_status(config: ConfigFile = CONFIG, as_json: AsJson = False) -> None:
    """Show the seller's jobs, money and disk."""
    _become("status", config, *_flag("--json", as_json))


@seller.command("sales")
def sell_sales(
    config: ConfigFile = CONFIG,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the ledger of sales: each payment that was settled, and what became of its job."""
    _become("sales", config, *_flag("--csv", as_csv), *_flag("--json", as_json))


@seller.command("drain")
def sell_drain(
    config: ConfigFile = CONFIG,
    off: Annotated[bool, typer.Option("--off", help="Sell again.")] = False,
) -> None:
    """Sell nothing more; the seller ends once all that was paid for has ended."""
    _become("drain", config, *_flag("--off", off))


def _become(command: str, config: Path, *flags: str) -> None:
    """This process becomes the seller's: signals reach it directly."""
    with errors_explained():
        program = _command(command, config, *flags)
    sys.stdout.flush()
    os.execv(sys.executable, program)  # noqa: S606


def _command(command: str, config: Path, *flags: str) -> list[str]:
    """The command line of the seller's program: buyer and seller share no code. Raises ConfigError."""
    missing = [module for module in NEEDED if find_spec(module) is None]
    if find_spec("seller") is None or missing:
        raise ConfigError(f"a seller needs {', '.join(missing) or 'its package'}: pip install 'gpuagent[seller]'")
    return [sys.executable, "-m", "seller", command, "--config", str(config), *flags]


def _flag(name: str, is_set: bool) -> list[str]:
    return [name] if is_set else []
