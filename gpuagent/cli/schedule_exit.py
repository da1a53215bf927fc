"""How `gpuagent schedule run` ends: its exit codes, and what it prints."""

import signal
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from gpuagent.cli.common import print_json
from gpuagent.errors import BadInput, ConfigError, GpuAgentError, Locked

if TYPE_CHECKING:
    from gpuagent.schedule.papermill import Execution


class ExitCode(IntEnum):
    """The exit codes of `schedule run`. A signal's code is SIGNAL plus its number."""

    COMPLETED = 0
    RUN_FAILED = 1
    BAD_INPUT = 2
    UNFINISHED = 3
    LOCKED = 4
    TROUBLE = 5
    SIGNAL = 128


def finish_early(name: str, run: Mapping[str, Any], as_json: bool) -> NoReturn:
    """Exit with the code of a run that was over before. It is no news: what goes to stderr, cron mails to an owner."""
    code = ExitCode.COMPLETED if run["status"] == "completed" else ExitCode.RUN_FAILED
    if as_json:
        over = {"runId": str(run["_id"]), "name": name, "status": run["status"], "reason": run["reason"]}
        print_json({"exitCode": code, "output": "", "error": "", "result": None, "over": over})
    else:
        typer.echo(f"run {name} is over, nothing is left to do: {run['status']}, {run['reason']}")
    raise typer.Exit(code)


def finish(execution: "Execution", output: Path, as_json: bool) -> None:
    """Print how the execution went and exit with its code. A result in the notebook says more than the execution."""
    import nbformat

    from gpuagent.schedule.result import result_in

    result = result_in(nbformat.read(output, as_version=4))  # type: ignore[no-untyped-call]
    code = exit_code(execution, result)
    message = f"{execution.error}: {execution.message}" if execution.error else _describe(result)
    if code > ExitCode.SIGNAL:
        message = f"stopped by {signal.Signals(execution.signal).name}, which interrupted the cell; start it again"
    if as_json:
        print_json({"exitCode": code, "output": str(output), "error": execution.error and message, "result": result})
    typer.echo(message, err=True)
    if code:
        raise typer.Exit(code)


def exit_code(execution: "Execution", result: Mapping[str, Any] | None) -> int:
    if execution.error == "RunFailed":
        return ExitCode.RUN_FAILED
    if execution.error and execution.signal:
        return ExitCode.SIGNAL + execution.signal
    if execution.error:
        from gpuagent import errors

        return error_code(getattr(errors, execution.error, GpuAgentError))
    unfinished = result is not None and result["outcome"] == "unfinished"
    return ExitCode.UNFINISHED if unfinished else ExitCode.COMPLETED


def error_code(error: type[BaseException]) -> int:
    if issubclass(error, Locked):
        return ExitCode.LOCKED
    return ExitCode.BAD_INPUT if issubclass(error, BadInput | ConfigError) else ExitCode.TROUBLE


def _describe(result: Mapping[str, Any] | None) -> str:
    if not result:
        return "executed"
    why = result["reason"] or result["trouble"] or result["phase"]
    costs = f"; {result['costs']}" if result.get("costs") else ""  # notebooks of earlier versions have none
    return f"run {result['runId']} {result['outcome']} after {result['ticks']} ticks: {why}{costs}"
