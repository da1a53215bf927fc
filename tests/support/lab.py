"""A JupyterLab as users start it: `gpuagent lab` on embedded parts, for a real browser."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from gpuagent import settings
from tests.support.notebook_path import NOTEBOOK_PATH

ROOT = Path(__file__).parents[2]
TOKEN = "token-of-the-browser-tests"
READY_S, STOP_S = 90, 60
CONFIG = {
    "ServerApp": {"port_retries": 0},
    "LabApp": {"expose_app_in_browser": True},
    "IdentityProvider": {"token": TOKEN},
}


@dataclass(frozen=True)
class Lab:
    url: str
    environment: Mapping[str, str] = field(repr=False)

    def page_of(self, notebook: str) -> str:
        return f"{self.url}/doc/tree/{notebook}?token={TOKEN}&reset"

    def ask(self, method: str, path: str) -> Any:
        reply = httpx.request(method, f"{self.url}/api/{path}", headers={"Authorization": f"token {TOKEN}"}, timeout=30)
        return reply.json() if reply.content else None


@contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """With JupyterLab's, IPython's and the stack's own folders in `folder`, and a copy of the notebooks."""
    config, port = folder / "config", _free_port()
    config.mkdir(parents=True)
    (config / "jupyter_lab_config.json").write_text(json.dumps(CONFIG))
    notebooks = Path(shutil.copytree(ROOT / "notebooks", folder / "notebooks"))
    unset = ("MONGODB_URI", *settings.CHAIN_NAMES)
    environment = {
        **{name: value for name, value in os.environ.items() if name not in unset},
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "XDG_DATA_HOME": str(folder / "xdg"),
        "PYTHONPATH": NOTEBOOK_PATH,
    }
    command = [sys.executable, "-m", "gpuagent.cli", "lab", "--no-browser", f"--port={port}", f"--folder={notebooks}"]
    command += ["--", "--ip=127.0.0.1", "--allow-root"]  # as in a container, where the tests may be root
    with (
        (folder / "lab.log").open("w+") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT) as process,
    ):
        lab = Lab(f"http://127.0.0.1:{port}", environment)
        try:
            _await_ready(lab, process, folder / "lab.log")
            yield lab
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_S)


def _await_ready(lab: Lab, process: "subprocess.Popen[bytes]", log: Path) -> None:
    ends_at = time.monotonic() + READY_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < ends_at, log.read_text()
        try:
            lab.ask("GET", "status")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
