"""`gpuagent up`: the practice stack, for other shells to use."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from gpuagent.cli.common import AsJson, errors_explained, print_json


def up(
    folder: Annotated[
        Path | None, typer.Option(help="Where the stack keeps its data; default: your data folder.")
    ] = None,
    ephemeral: Annotated[bool, typer.Option(help="Keep nothing.")] = False,
    port: Annotated[int, typer.Option(help="The vendors' port; 0: any free one.")] = 4001,
    stubs: Annotated[
        bool,
        typer.Option(
            help="With stubs of sellers that speak other protocols: HyperCLI, Prism, OpenVPS. With --ephemeral also "
            "with a bucket for files."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start mongod, a chain and practice vendors; print the environment to export; run until stopped."""
    from gpuagent import settings
    from gpuagent.practice import stack
    from gpuagent.session import practice_stack
    from gpuagent.wiring.database import open_database
    from gpuagent.wiring.vendors import record_vendors

    with errors_explained():
        environ = settings.Environment(os.environ)
        if folder or ephemeral:
            data = None if ephemeral else folder
            starting = stack.start(data, environ.get("MONGODB_URI", ""), stubs=stubs, PORT=str(port))
        else:
            starting = practice_stack(environ, stubs=stubs, PORT=str(port))
        with starting as running:
            environment = {**running.environment, **_database_name(environ)}
            with open_database(settings.read(environment)) as db:
                record_vendors(db, running.vendors)
            _print_environment(environment, as_json)
            typer.echo("running; ctrl-C stops it", err=True)
            _wait_for_stop()


def _database_name(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's name for the database, which other shells must have too."""
    return {name: value for name, value in environ.items() if name == "MONGODB_DB_NAME" and value}


def _print_environment(environment: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        print_json(dict(environment))
        return
    for name, value in environment.items():
        typer.echo(f"export {name}='{value}'")


def _wait_for_stop() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job begins with ctrl-C ignored
        signal.signal(number, signal.default_int_handler)
    try:
        signal.pause()
    except KeyboardInterrupt:
        typer.echo("stopping", err=True)
