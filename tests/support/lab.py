"""A JupyterLab as users start it: `gpuagent lab` on embedded parts, for a real browser."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from gpuagent import settings
from tests.support.notebook_path import NOTEBOOK_PATH

ROOT = Path(__file__).parents[2]
TOKEN = "token-of-the-browser-tests"
READY_S, STOP_S = 240, 60
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
    config = folder / "config"
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
    command = [sys.executable, "-m", "gpuagent.cli", "lab", "--no-browser", "--port=0", f"--folder={notebooks}"]
    command += ["--", "--ip=127.0.0.1", "--allow-root"]  # as in a container, where the tests may be root
    with (
        (folder / "lab.log").open("w+") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT) as process,
    ):
        try:
            yield _ready(environment, process, folder)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_S)


def _ready(environment: Mapping[str, str], process: "subprocess.Popen[bytes]", folder: Path) -> Lab:
    """The lab once it answers, at the port that it has taken: a port chosen before could be another's by then."""
    ends_at = time.monotonic() + READY_S
    while True:
        assert process.poll() is None, (folder / "lab.log").read_text()
        assert time.monotonic() < ends_at, (folder / "lab.log").read_text()
        with suppress(httpx.TransportError, ValueError):  # not written to the end
            for server in (folder / "runtime").glob("jpserver-*.json"):
                lab = Lab(f"http://127.0.0.1:{json.loads(server.read_text())['port']}", environment)
                lab.ask("GET", "status")
                return lab
        time.sleep(0.1)
