"""A job's program as a container that runs, until it is removed."""

import threading
import time
from contextlib import suppress
from pathlib import Path

from seller.runners import cgroup
from seller.runners.base import Limits
from seller.runners.container_log import LogCopy
from seller.runners.engine import Engine, failures, remove
from seller.runners.isolation import STOP_S
from seller.runners.processes import descendants

RETRY_S = 0.5
GONE_S = 15.0
"""Of an engine that does not answer, after which a job is given up that is to end."""
KILLED = 137
FROM_OUTSIDE = "it was killed from outside, or it used more than its memory ({0})"
OUT_OF_MEMORY = "it used more than its memory ({0})"


class ContainerProgram:
    """A container that runs, until it is removed. The engine may be restarted meanwhile."""

    def __init__(self, engine: Engine, container: str, log: LogCopy, limits: Limits) -> None:
        self._engine, self._id, self._log, self._limits = engine, container, log, limits
        self._api = engine.client()
        self._ended = threading.Event()
        self._code: int | None = None
        self._group = self._own_group()
        threading.Thread(target=self._await_end, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        return self._ended.wait(seconds)

    def processes(self) -> list[int]:
        """None where the engine is on another machine, whose numbers are not ours."""
        with suppress(ValueError, *failures()):
            first = int(self._api.inspect_container(self._id)["State"]["Pid"])
            if self._id in Path(f"/proc/{first}/cgroup").read_text():
                return [first, *descendants(first)]
        return []

    def problem(self) -> str:
        """The engine bounds memory and processes; of a child that was killed for its memory it says nothing."""
        return OUT_OF_MEMORY.format(self._memory) if self._group.memory_kills() else ""

    def end(self) -> None:
        give_up = time.monotonic() + STOP_S + GONE_S
        while not self._ended.is_set() and time.monotonic() < give_up:
            with suppress(*failures()):
                self._api.stop(self._id, timeout=int(STOP_S))
            self._ended.wait(RETRY_S)

    def result(self) -> tuple[int | None, str]:
        if self._ended.is_set():
            self._log.finish()
        with suppress(*failures()):  # else the runner does it, when it looks or starts
            remove(self._api, self._id, GONE_S)
        if self._code is None:
            return None, "its container was removed from outside"
        if self._code == KILLED:
            return None, FROM_OUTSIDE.format(self._memory)
        return self._code, ""

    @property
    def _memory(self) -> str:
        return f"{self._limits.memory / 10**6:.0f} MB" if self._limits.memory else "all there is"

    def _own_group(self) -> cgroup.Cgroup:
        """Of the first process; without files where that has ended, or is on another machine."""
        processes = self.processes()
        with suppress(OSError):
            return cgroup.of_process(processes[0]) if processes else cgroup.Cgroup({})
        return cgroup.Cgroup({})

    def _await_end(self) -> None:
        from docker.errors import NotFound

        while not self._ended.is_set():
            try:
                with self._engine.client() as api:
                    api.wait(self._id, timeout=None)
                    # What wait() says is 0 for a container that another is removing: the exit code is the state's.
                    state = api.inspect_container(self._id)["State"]
                if state["Status"] != "removing":
                    self._code = int(state["ExitCode"])
                if state["Running"]:
                    time.sleep(RETRY_S)  # it was restarted from outside
                else:
                    self._ended.set()
            except NotFound:
                self._code = None
                self._ended.set()
            except failures():
                time.sleep(RETRY_S)  # the engine is being restarted; containers live on
