"""A runner in memory: jobs run until a test ends them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from seller.runners import Checkpoint, FileEntry, JobOrder, JobState, RunnerError, UnknownJob


@dataclass
class FakeRunner:
    """refuses: images that no job may have. broken: why nothing starts, by job id or for all under "".

    orders: those that were started, in their order; states: by job id, of those that are known.
    """

    refuses: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    """Images that are not here."""
    broken: dict[str, Exception] = field(default_factory=dict)
    orders: list[JobOrder] = field(default_factory=list)
    states: dict[str, JobState] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    stuck: bool = False
    """Whether no job can be deleted."""
    notices: tuple[str, ...] = ()

    def refusal(self, image: str) -> str:
        return f"image {image} is not run here" if image in self.refuses else ""

    def absence(self, image: str) -> str:
        return f"image {image} is not here" if image in self.gone else ""

    def start(self, order: JobOrder) -> None:
        if error := self.broken.get(order.job_id) or self.broken.get(""):
            raise error
        if order.job_id not in self.states:
            self.orders.append(order)
            self.states[order.job_id] = JobState("running")

    def state(self, job_id: str) -> JobState:
        if job_id not in self.states:
            raise UnknownJob(f"there is no job {job_id}")
        return self.states[job_id]

    def finish(self, job_id: str, exit_code: int | None = 0, reason: str = "", at: float | None = None) -> None:
        """Ends a job."""
        self.states[job_id] = JobState("ended", exit_code, reason, at)

    def logs(self, job_id: str, cursor: int) -> tuple[list[str], int]:
        self.state(job_id)
        return [f"a line of {job_id}"][cursor:], 1

    def metrics(self, job_id: str, cursor: int) -> tuple[list[dict[str, Any]], int]:
        self.state(job_id)
        return [], cursor

    def files(self, job_id: str) -> list[FileEntry]:
        self.state(job_id)
        return []

    def checkpoint(self, job_id: str) -> Checkpoint | None:
        self.state(job_id)
        return None

    def entry(self, job_id: str, path: str, checkpoint: str = "") -> FileEntry:
        self.state(job_id)
        raise RunnerError(f"there is no file {path}")

    def read(self, job_id: str, path: str, start: int = 0, checkpoint: str = "") -> Iterator[bytes]:
        self.entry(job_id, path, checkpoint)
        return iter(())

    def stop(self, job_id: str, reason: str) -> None:
        self.state(job_id)
        self.finish(job_id, None, reason)

    def forget(self, job_id: str) -> None:
        self.state(job_id)
        if self.stuck:
            raise RunnerError("it does not end")
        del self.states[job_id]
        self.forgotten.append(job_id)

    def close(self) -> None:
        """Nothing runs."""
