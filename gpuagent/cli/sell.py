"""`gpuagent sell`: the other side, a seller of jobs: a program of its own, `python -m seller`, which this becomes."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from gpuagent.cli.common import AsJson, errors_explained
from gpuagent.errors import ConfigError

NEEDED = ("uvicorn", "web3", "prometheus_client", "docker")

seller = typer.Typer(help="Sell GPU jobs for x402: run what others pay for, on this machine.")
ConfigFile = Annotated[Path, typer.Option("--config", help="The seller's configuration (docs/selling.md).")]
CONFIG = Path("seller.yaml")


@seller.callback(invoke_without_command=True)
def sell(context: typer.Context, config: ConfigFile = CONFIG) -> None:
    """Sell until stopped; paid jobs go on, and the next start takes them up."""
    if context.invoked_subcommand is None:
        _become("serve", config)


@seller.command("check")
def sell_check(config: ConfigFile = CONFIG, as_json: AsJson = False) -> None:
    """Look at key, chain, gas, runner and address before the first sale. Sells and pays nothing."""
    _become("check", config, *_flag("--json", as_json))


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
    """This process becomes the seller's: buyer and seller share no code, and signals reach it directly."""
    with errors_explained():
        missing = [module for module in NEEDED if find_spec(module) is None]
        if find_spec("seller") is None or missing:
            raise ConfigError(f"a seller needs {', '.join(missing) or 'its package'}: pip install 'gpuagent[seller]'")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "seller", command, "--config", str(config), *flags])  # noqa: S606


def _flag(name: str, given: bool) -> list[str]:
    return [name] if given else []
