"""The console's page as operators start it, and a visitor who sends what no button of theirs sends."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
from playwright.sync_api import BrowserContext, Page
from websockets.sync.client import ClientConnection, connect

STOP_S = 60
ANSWERS_S = 90.0
"""A kernel that draws answers each of hundreds of questions in its turn."""
QUIET_S = 1.0
TOKENS = {
    "rita": "token-of-a-reader-in-tests",
    "ada": "token-of-an-approver-in-tests",
    "otto": "token-of-an-operator-in-tests",
}
ROLES = {"rita": "read", "ada": "approve", "otto": "operate"}


@dataclass
class ConsolePage:
    """A running `gpuagent console`."""

    url: str
    process: psutil.Process = field(repr=False)

    def kernels(self) -> list[psutil.Process]:
        return [child for child in self.process.children() if "ipykernel_launcher" in " ".join(child.cmdline())]

    def kernel_of(self, visitor: str) -> psutil.Process:
        (kernel,) = [kernel for kernel in self.kernels() if kernel.environ().get("CONSOLE_LOGIN") == visitor]
        return kernel

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(STOP_S)


@contextmanager
def running_page(environment: Mapping[str, str]) -> Iterator[ConsolePage]:
    tokens = ",".join(f"{name}={ROLES[name]}:{token}" for name, token in TOKENS.items())
    command = [sys.executable, "-m", "gpuagent.cli", "console", "--port=0", "--no-browser"]
    with subprocess.Popen(
        command, env={**environment, "GPUAGENT_API_TOKENS": tokens}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            assert url, "it did not start"
            yield ConsolePage(url, psutil.Process(process.pid))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(STOP_S)


def visit(context: BrowserContext, page: ConsolePage, visitor: str) -> Page:
    """The visitor's page, which is being made."""
    tab = context.new_page()
    tab.goto(f"{page.url}?token={TOKENS[visitor]}", wait_until="commit")
    return tab


def kernel_id(tab: Page) -> str:
    config: dict[str, Any] = json.loads(tab.locator("#jupyter-config-data").text_content() or "")
    return str(config["kernelId"])


class Intruder:
    """A visitor with a program of their own in place of the page: it may send any message to their kernel."""

    def __init__(self, page: ConsolePage, tab: Page, kernel: str = "") -> None:
        """kernel: another's to reach for. To enter raises websockets' InvalidStatus where that is refused."""
        cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in tab.context.cookies())
        path = f"api/kernels/{kernel or kernel_id(tab)}/channels?session_id=intruder"
        self._address = page.url.replace("http", "ws", 1) + path
        self._headers = {"Cookie": cookies}
        self._closing = ExitStack()

    def __enter__(self) -> "Intruder":
        opening = connect(self._address, additional_headers=self._headers, max_size=None, proxy=None)
        self._socket: ClientConnection = self._closing.enter_context(opening)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def buttons(self) -> dict[str, str]:
        """The comm of every button there is, shown or not, by its description."""
        self._send("comm_info_request", {"target_name": "jupyter.widget"})
        comms = next(m for m in self._messages(ANSWERS_S) if m["msg_type"] == "comm_info_reply")["content"]["comms"]
        for comm in comms:
            self._send("comm_msg", {"comm_id": comm, "data": {"method": "request_state"}})
        states: dict[str, dict[str, Any]] = {}
        ends_at = time.monotonic() + ANSWERS_S
        while set(comms) - set(states) and time.monotonic() < ends_at:
            for message in self._messages():
                if message["msg_type"] == "comm_msg" and message["content"]["data"].get("method") == "update":
                    states.setdefault(message["content"]["comm_id"], message["content"]["data"]["state"])
        return {
            state["description"]: comm for comm, state in states.items() if state.get("_model_name") == "ButtonModel"
        }

    def press(self, comm: str) -> None:
        self._send("comm_msg", {"comm_id": comm, "data": {"method": "custom", "content": {"event": "click"}}})

    def run(self, code: str) -> list[str]:
        """The kinds of messages that code which is sent to be executed brings."""
        self._send("execute_request", {"code": code, "silent": False, "allow_stdin": False, "stop_on_error": True})
        return [message["msg_type"] for message in self._messages()]

    def _send(self, kind: str, content: Mapping[str, Any]) -> None:
        header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "", "session": "s", "version": "5.3"}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self._socket.send(json.dumps({**message, "buffers": []}))

    def _messages(self, quiet_s: float = QUIET_S) -> Iterator[dict[str, Any]]:
        """What comes, until nothing has come for so long."""
        while True:
            try:
                message = self._socket.recv(timeout=quiet_s)
            except TimeoutError:
                return
            if isinstance(message, str):
                yield json.loads(message)


def own_environment(folder: os.PathLike[str]) -> dict[str, str]:
    """Folders of Jupyter, IPython and the embedded database for one test."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    return {name: os.path.join(folder, name.lower()) for name in names}  # noqa: PTH118


def ended(processes: list[psutil.Process], within_s: float = STOP_S) -> bool:
    ends_at = time.monotonic() + within_s
    while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes):
        if time.monotonic() > ends_at:
            return False
        time.sleep(0.05)
    return True
