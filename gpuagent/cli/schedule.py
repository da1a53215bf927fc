"""`gpuagent schedule`: a notebook executed for a timer, with an exit code that says how it went."""

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from gpuagent.cli.common import AsJson, print_json
from gpuagent.errors import BadInput, ConfigError, GpuAgentError, Locked

if TYPE_CHECKING:
    from gpuagent.schedule.papermill import Execution
    from gpuagent.schedule.parameters import Value

PARAMETER_FLAGS = ("-p", "--parameter")
RUN_ID = "run_id"


class ExitCode(IntEnum):
    """The exit codes of `schedule run`. A signal's code is SIGNAL plus its number."""

    COMPLETED = 0
    RUN_FAILED = 1
    BAD_INPUT = 2
    UNFINISHED = 3
    LOCKED = 4
    TROUBLE = 5
    SIGNAL = 128


schedules = typer.Typer(no_args_is_help=True, help="Execute notebooks unattended, for systemd, cron and clusters.")


class PairedOptions(TyperCommand):
    """A command that reads `-p NAME VALUE`, as papermill does: typer has no repeated option of two values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, join_pairs(args))


def join_pairs(args: Sequence[str]) -> list[str]:
    """Each -p NAME VALUE as one -p NAME=VALUE. Raises BadParameter where the value is missing."""
    joined, rest = [], iter(args)
    for arg in rest:
        joined.append(arg)
        if arg in PARAMETER_FLAGS:
            name = next(rest, "")
            value = next(rest, None) if "=" not in name else ""
            if value is None or not name:
                raise typer.BadParameter(f"{arg} takes a name and a value: -p budget 5")
            joined.append(name if "=" in name else f"{name}={value}")
    return joined


@schedules.callback()
def group() -> None:
    """The group of one command, which keeps its name although it is alone."""


@schedules.command("run", cls=PairedOptions)
def schedule_run(
    notebook: Annotated[Path, typer.Argument(help="Such as notebooks/40_scheduled_run.ipynb.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option(*PARAMETER_FLAGS, metavar="NAME VALUE", help="A parameter of the notebook; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder for executed notebooks; default: in your data folder.")
    ] = None,
    per: Annotated[
        str,
        typer.Option(metavar="PERIOD", help="hour, day, week or month (UTC): a run for each, named run_id-PERIOD."),
    ] = "",
    practice: Annotated[
        bool, typer.Option(help="Where no chain and no wallet are configured: buy on the embedded practice stack.")
    ] = False,
    locks: Annotated[Path | None, typer.Option(help="The folder for locks; default: in your data folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Execute NOTEBOOK once. The exit code says how it went.

    Start it again with the same parameters as often as you like, with a run_id of your own: a run that was begun is
    continued, and nothing is paid for twice.

    \b
    Exit codes:
      0    done: the run completed; a notebook without a run was executed
      1    the run failed: another start changes nothing
      2    bad input: the notebook, a parameter, the environment
      3    not over yet: max_ticks are made; start it again
      4    locked: this run is being driven by another process on this machine
      5    trouble: a cell failed for another reason (chain, database, wallet, notebook); look, start it again
      143  stopped by SIGTERM, 130 by SIGINT: the cell was interrupted; start it again
    """
    from gpuagent.schedule.outputs import new_output
    from gpuagent.schedule.papermill import execute
    from gpuagent.schedule.parameters import parameter_types, parse_parameters
    from gpuagent.wiring import system_clock

    try:
        types = parameter_types(notebook)
        values = parse_parameters(types, _pairs(parameter or ()))
        _check_configured(types, practice)
        with _lock(notebook, values, locks or _data_folder() / "locks"):
            if per:
                values[RUN_ID] = _name_for_period(types, values, per)
            name = "-".join(filter(None, (notebook.stem, str(values.get(RUN_ID, "")))))
            output = new_output(out or _data_folder() / "notebooks", name, system_clock())
            typer.echo(f"{notebook} -> {output}", err=True)
            execution = execute(notebook, output, values)
        _finish(execution, output, as_json)
    except GpuAgentError as error:
        typer.echo(f"gpuagent: {error}", err=True)
        raise typer.Exit(_error_code(type(error))) from error


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (text.partition("=") for text in texts)]


def _check_configured(types: Mapping[str, str], practice: bool) -> None:
    """Raises ConfigError where a notebook that buys would buy on the practice stack, which no user would notice."""
    from gpuagent.settings import is_configured

    if RUN_ID in types and not practice and not is_configured(os.environ):
        raise ConfigError("set CHAIN_RPC_URL and the wallet's key: none is set; or add --practice, to buy nothing real")


def _lock(notebook: Path, values: "Mapping[str, Value]", folder: Path) -> AbstractContextManager[None]:
    """The lock of the run, by id or by name; of the notebook where no run is named. Raises BadInput."""
    from gpuagent.schedule.lock import locked
    from gpuagent.schedule.run_name import run_id_of

    if run := str(values.get(RUN_ID, "")):
        return locked(folder, f"run-{run_id_of(run)}", f"run {run}")
    return locked(folder, f"notebook-{notebook.stem}", str(notebook))


def _name_for_period(types: Mapping[str, str], values: "Mapping[str, Value]", per: str) -> str:
    """The name of the run for the present period. Raises BadInput, ConfigError."""
    from gpuagent import settings, wiring
    from gpuagent.schedule.run_name import run_name
    from gpuagent.session import resolved_environment

    if types.get(RUN_ID) != "str" or not values.get(RUN_ID):
        raise BadInput("--per makes names of a run_id: give one, such as -p run_id nightly, to a notebook that has it")
    with resolved_environment(os.environ) as environment, wiring.open_database(settings.read(environment)) as db:
        return run_name(str(values[RUN_ID]), per, wiring.system_clock().now(), db.reads.runs(1000))


def _finish(execution: "Execution", output: Path, as_json: bool) -> None:
    """Print how the execution went and exit with its code. A result in the notebook says more than the execution."""
    import nbformat

    from gpuagent.schedule.result import result_in

    result = result_in(nbformat.read(output, as_version=4))  # type: ignore[no-untyped-call]
    code = _exit_code(execution, result)
    message = f"{execution.error}: {execution.message}" if execution.error else _describe(result)
    if code > ExitCode.SIGNAL:
        message = f"stopped by {signal.Signals(execution.signal).name}, which interrupted the cell; start it again"
    if as_json:
        print_json({"exitCode": code, "output": str(output), "error": execution.error and message, "result": result})
    typer.echo(message, err=True)
    if code:
        raise typer.Exit(code)


def _exit_code(execution: "Execution", result: Mapping[str, Any] | None) -> int:
    if execution.error == "RunFailed":
        return ExitCode.RUN_FAILED
    if execution.error and execution.signal:
        return ExitCode.SIGNAL + execution.signal
    if execution.error:
        from gpuagent import errors

        return _error_code(getattr(errors, execution.error, GpuAgentError))
    unfinished = result is not None and result["outcome"] == "unfinished"
    return ExitCode.UNFINISHED if unfinished else ExitCode.COMPLETED


def _error_code(error: type[BaseException]) -> int:
    if issubclass(error, Locked):
        return ExitCode.LOCKED
    return ExitCode.BAD_INPUT if issubclass(error, BadInput | ConfigError) else ExitCode.TROUBLE


def _describe(result: Mapping[str, Any] | None) -> str:
    if not result:
        return "executed"
    why = result["reason"] or result["trouble"] or result["phase"]
    return f"run {result['runId']} {result['outcome']} after {result['ticks']} ticks: {why}"


def _data_folder() -> Path:
    from gpuagent import wiring

    return wiring.data_folder()
