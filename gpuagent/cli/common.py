"""Parts that commands share: options, errors as exit codes, JSON, the connected agent."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuagent.errors import BadInput, ConfigError, GpuAgentError, Refused

if TYPE_CHECKING:
    from gpuagent.wiring import Agent
    from gpuagent.wiring.database import Database

EXIT_OTHER, EXIT_USAGE, EXIT_REFUSED, EXIT_RUN_FAILED = 1, 2, 3, 4

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; amounts in atomic units.")]
RunId = Annotated[str, typer.Argument(help="The run's id.")]
By = Annotated[str, typer.Option(help="Your name, which is recorded; default: your login name.")]


def interval(value: str | float) -> float:
    """Seconds of an option, as parse_interval() has them. Raises BadParameter."""
    from gpuagent.core.units import parse_interval

    try:
        return parse_interval(str(value))
    except ValueError as error:
        raise typer.BadParameter(f"{error}; a bare number is seconds") from None


@contextmanager
def errors_explained() -> Iterator[None]:
    """Turn errors of ours into one line on stderr and an exit code; bugs keep their traceback."""
    try:
        yield
    except GpuAgentError as error:
        typer.echo(f"gpuagent: {error}", err=True)
        if isinstance(error, BadInput | ConfigError):
            raise typer.Exit(EXIT_USAGE) from error
        raise typer.Exit(EXIT_REFUSED if isinstance(error, Refused) else EXIT_OTHER) from error


@contextmanager
def open_agent() -> "Iterator[Agent]":
    """The whole agent, connected, which starts and ticks runs; what that is to tell is sent where ticks send."""
    from gpuagent import settings, wiring
    from gpuagent.wiring.alerts import send_alerts_after_ticks

    values = settings.read()
    with wiring.open_agent(values) as agent:
        try:
            yield agent
        finally:
            send_alerts_after_ticks(values, agent.database)


@contextmanager
def open_database() -> "Iterator[Database]":
    """The database alone, which needs no key and no chain."""
    from gpuagent import settings
    from gpuagent.wiring import database

    with database.open_database(settings.read()) as db:
        yield db


def user_name(by: str) -> str:
    """The name that a decision about money is recorded under. Raises BadInput."""
    import getpass

    try:
        return by or getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        raise BadInput("say who you are: --by NAME") from None


def console(*, stderr: bool = False) -> Any:
    """A terminal's console. In a pipe or a file each line stays whole, unless COLUMNS names a width."""
    from rich.console import Console

    from gpuagent.render.fitting import UNBOUNDED

    terminal = Console(stderr=stderr)
    if not terminal.is_terminal and "COLUMNS" not in os.environ:
        terminal.width = UNBOUNDED
    return terminal


def print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))
