"""`gpuagent lab`: JupyterLab with the notebooks and the stack that they need."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from gpuagent.cli.common import errors_explained
from gpuagent.errors import BadInput, ConfigError

PACKAGE = Path(__file__).parents[1]
LAB_CONFIG = PACKAGE / "jupyter"
"""On JUPYTER_CONFIG_PATH, its labconfig/ gives JupyterLab other defaults, below the user's own settings."""


def lab(
    folder: Annotated[
        Path | None, typer.Option(help="The notebooks; default: this checkout's, or copies in your data folder.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="JupyterLab's port; 0: any free one.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
    jupyter_options: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- JUPYTER_OPTIONS", help="JupyterLab's own, such as -- --ip=0.0.0.0 --allow-root."),
    ] = None,
) -> None:
    """Open JupyterLab with the notebooks and a stack: your own if it is configured, or an embedded one.

    In a container: gpuagent lab --no-browser -- --ip=0.0.0.0, and --allow-root behind it where you are root there.
    """
    from gpuagent.session import resolved_environment
    from gpuagent.settings import is_configured

    with errors_explained():
        own_options = _checked_options(jupyter_options or ())
        if importlib.util.find_spec("jupyterlab") is None:
            raise ConfigError("no JupyterLab: pip install 'gpuagent[notebooks]'")
        notebooks = notebooks_folder(folder)
        if not is_configured(os.environ):
            typer.echo("nothing is configured: starting mongod, a local chain and practice vendors ...", err=True)
        with resolved_environment(os.environ) as environment:
            command = [sys.executable, "-m", "jupyterlab", str(notebooks), f"--port={port}"]
            command += [*([] if browser else ["--no-browser"]), *own_options]
            code = _serve(command, lab_environment(environment))
        if code and os.geteuid() == 0 and not any("allow" in option for option in own_options):
            typer.echo("gpuagent: if that was because you are root here: gpuagent lab -- --allow-root", err=True)
        raise typer.Exit(code)


def _checked_options(words: Sequence[str]) -> list[str]:
    """The options behind `--`. Raises BadInput for a word that is none: it would name another folder."""
    if words and not words[0].startswith("-"):
        raise BadInput(f"{words[0][:80]!r} is no option: name a folder by --folder, JupyterLab's options behind --")
    return list(words)


def notebooks_folder(folder: Path | None) -> Path:
    """The folder of the notebooks; shipped ones are copied to the data folder first. Raises ConfigError."""
    if folder:
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder: name one with notebooks, or leave it out")
        return folder
    checkout, shipped = PACKAGE.parent / "notebooks", PACKAGE / "notebooks"
    if (checkout / "10_run_console.ipynb").exists():
        return checkout
    from gpuagent.render.drafts import draft
    from gpuagent.wiring.embedded import data_folder

    copies = data_folder() / "notebooks"
    copies.mkdir(mode=0o700, parents=True, exist_ok=True)
    for notebook in shipped.glob("*.ipynb"):
        if not (copies / notebook.name).exists():  # what the user has written in it stays
            with draft(copies / notebook.name) as file:  # a part of one would stay as well
                file.write(notebook.read_bytes())
    return copies


def lab_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with our defaults for JupyterLab, below the user's own."""
    paths = [environ.get("JUPYTER_CONFIG_PATH", ""), str(LAB_CONFIG)]
    return {**environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths))}


def _serve(command: list[str], environment: Mapping[str, str]) -> int:
    """Run JupyterLab until it ends or a signal stops it; its exit code. Its kernels end before the stack does."""
    # In a session of its own, so that ctrl-C reaches it once, through us, without its question.
    with subprocess.Popen(command, env=environment, start_new_session=True) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: server.terminate())
        return server.wait()
