"""A seller's runner with what an attacker is after beside it, for jobs that attack."""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seller.runners import JobOrder, JobState, Limits
from seller.runners.container import ContainerRunner
from seller.runners.job_folder import JobFolder
from seller.runners.local import LocalRunner
from seller.runners.process import ProcessRunner
from tests.support.container_engine import IMAGE, OwnEngine
from tests.support.eventually import eventually

DEADLINE_S = 90.0
SECRET = "0x-the-seller's-own-key"
MEGABYTE = 10**6
KINDS = ("process", "container")


@dataclass
class Cell:
    """kind: of the runner. loot: paths of the seller's secrets, each of which holds SECRET."""

    kind: str
    folder: Path
    runner: LocalRunner
    loot: dict[str, Path]
    abstract: str
    listener: socket.socket
    jobs: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What an attacker knows of the machine, at best."""
        known = {name.upper(): str(path) for name, path in self.loot.items()}
        return {**known, "JOBS": str(self.folder / "jobs"), "SELLER": str(os.getpid()), "PORT": str(self.port)}

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def start(self, job_id: str, script: str | Sequence[str], **options: Any) -> None:
        image = IMAGE if self.kind == "container" else ""
        env = {**self.environment, **options.pop("env", {})}
        self.runner.start(JobOrder(job_id, script, **{"duration_s": 60.0, "image": image, "env": env, **options}))
        self.jobs.append(job_id)

    def ended(self, job_id: str) -> JobState:
        eventually(lambda: self.runner.state(job_id).phase == "ended", DEADLINE_S)
        return self.runner.state(job_id)

    def log(self, job_id: str) -> list[str]:
        return [line for line in self.runner.logs(job_id, 0)[0] if not line.startswith("(image ")]

    def work(self, job_id: str) -> Path:
        return self.runner._known(job_id).work

    def job_folder(self, job_id: str) -> JobFolder:
        return self.runner._known(job_id)

    def was_called(self) -> bool:
        """Whether a job has reached the seller's port."""
        with suppress(BlockingIOError):
            self.listener.accept()[0].close()
            return True
        return False


@contextmanager
def open_cell(kind: str, folder: Path, engine: OwnEngine | None, limits: Limits) -> Iterator[Cell]:
    runner: LocalRunner
    if kind == "process":
        runner = ProcessRunner(folder / "jobs", limits=limits)
    else:
        assert engine
        runner = ContainerRunner(folder / "jobs", engine.url, ["localhost/*"], limits=limits)
    loot = {name: folder / name for name in ("key", "database", "socket")}
    for name in ("key", "database"):
        loot[name].write_text(SECRET)
    with ExitStack() as closing:
        listener = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.setblocking(False)
        abstract = f"seller-{os.getpid()}-{kind}-{time.monotonic_ns()}"
        for address in (str(loot["socket"]), f"\0{abstract}"):
            server = closing.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(address)
            server.listen()
        cell = Cell(kind, folder, runner, loot, abstract, listener)
        try:
            yield cell
        finally:
            for job_id in cell.jobs:
                if runner.state(job_id).phase != "ended":
                    runner.forget(job_id)
