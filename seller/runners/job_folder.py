"""The folder of a job, which its runner and its supervisor share."""

import fcntl
import json
import time
from pathlib import Path
from typing import Literal

from seller.folders import write_whole


class JobFolder:
    """The files of one job: order.json, work/, resume/, log, checkpoints/, stop, ended.json.

    started: there before anything of it runs. lock: held for as long as its supervisor lives. pins: the checkpoints
    that were asked for last, which are kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work, self.resume, self.log = path / "work", path / "resume", path / "log"
        self.order, self.stop, self.ended = path / "order.json", path / "stop", path / "ended.json"
        self.lock, self.checkpoints, self.newest = path / "lock", path / "checkpoints", path / "newest"
        self.started, self.pid, self.pins = path / "started", path / "pid", path / "pins"
        self.pins_lock = path / "pins.lock"
        self._phase = path / "phase"

    def __fspath__(self) -> str:
        return str(self.path)

    def end(self, exit_code: int | None, reason: str) -> None:
        write_whole(self.ended, json.dumps({"exitCode": exit_code, "reason": reason, "at": time.time()}))

    def enter(self, phase: Literal["preparing", "running"]) -> None:
        write_whole(self._phase, phase)

    def phase(self) -> Literal["preparing", "running"]:
        try:
            return "running" if self._phase.read_text() == "running" else "preparing"
        except FileNotFoundError:
            return "preparing"

    def pinned(self) -> list[tuple[str, str]]:
        """Name and SHA-256 of each checkpoint that is kept, the last to be asked for at the end."""
        try:
            return [(name, sha256) for name, sha256 in json.loads(self.pins.read_text())]
        except FileNotFoundError:
            return []

    def is_held(self) -> bool:
        """Whether a supervisor lives: it holds the lock as long as it does."""
        try:
            with self.lock.open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False
