"""Notebooks executed as operators execute them: processes of their own, on a test's servers, outputs kept."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import psutil

from tests.support.notebook_path import NOTEBOOK_PATH

FOLDER = Path(__file__).parents[2] / "notebooks"
COMPARE = FOLDER / "20_compare_planners.ipynb"
SCHEDULED = FOLDER / "40_scheduled_run.ipynb"
GPUAGENT = [sys.executable, "-m", "gpuagent.cli"]
PAPERMILL = [sys.executable, "-m", "papermill"]
DEADLINE_S = 300


def unactivated(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, without the virtual environment's commands on PATH; kernels import this very tree."""
    here = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in environment["PATH"].split(os.pathsep) if part != here)
    return {**environment, "PATH": path, "PYTHONPATH": NOTEBOOK_PATH}


def embedded_environment(folder: Path) -> dict[str, str]:
    """An environment that names nothing, so that everything is embedded, in this folder."""
    hidden = ("MONGODB_URI", "CHAIN_RPC_URL", "PLANNER_MODE", "FIREWORKS_API_KEY", "PLANNER_MODEL")
    return {**{name: value for name, value in os.environ.items() if name not in hidden}, "XDG_DATA_HOME": str(folder)}


@contextmanager
def running_process(environment: Mapping[str, str], *command: str) -> Iterator["subprocess.Popen[str]"]:
    """The command in a process group of its own, of which nothing is left afterwards."""
    process = subprocess.Popen(
        command,
        env=unactivated(environment),
        cwd=FOLDER.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    family = psutil.Process(process.pid)
    children: list[psutil.Process] = []
    try:
        with process:
            yield process
            children = family.children(recursive=True) if family.is_running() else []
    finally:
        for child in children:
            if child.is_running():
                child.kill()
        if process.poll() is None:
            process.kill()


def run_process(environment: Mapping[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    """The command at its end. Vendors are to be quick, for their clock is not turned meanwhile."""
    with running_process(environment, *command) as process:
        out, err = process.communicate(timeout=DEADLINE_S)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def terminate(process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> tuple[str, str]:
    """Signal the process group, as systemd and a shell do, and wait: its output."""
    os.killpg(process.pid, number)
    return process.communicate(timeout=60)


def notebook(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def only_notebook(folder: Path) -> Path:
    """The one notebook in the folder."""
    (path,) = folder.glob("*.ipynb")
    return path


def cell(path: Path, cell_id: str) -> Any:
    (match,) = [cell for cell in notebook(path).cells if cell.get("id") == cell_id]
    return match


def errors(path: Path) -> list[tuple[str, str]]:
    """The errors that the cells of an executed notebook raised."""
    outputs = [output for cell in notebook(path).cells for output in cell.get("outputs", ())]
    return [(output.ename, output.evalue) for output in outputs if output.output_type == "error"]
