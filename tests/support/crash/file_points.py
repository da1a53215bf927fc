"""The points at which a ticker can be made to die by SIGKILL while files travel, and the ports that die there."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

from gpuagent.core.model import Job, Reserved, Settled, Vendor
from gpuagent.core.ports.files import FileStore
from gpuagent.core.ports.vendors import VendorApi, VendorJob
from gpuagent.core.work import Collecting, Completed, Failed, FileEntry

FILE_POINTS = (
    "while_delivering",
    "while_streaming",
    "while_checkpointing",
    "after_file_stored",
    "after_checkpoint_stored",
    "before_first_byte",
    "before_finished",
)
STREAMED = 300_000
"""Bytes that come before a stream's death, where there are so many: more than a chunk of GridFS, so that part stays."""


class DyingFiles:
    """A file store that dies while a file streams into it, or once it is proven and before anything says so."""

    def __init__(self, inner: FileStore, point: str, die: Callable[[], None]) -> None:
        self.inner, self.point, self.die = inner, point, die

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def extend(self, upload: str, start: int, parts: Iterable[bytes], size: int) -> int:
        streamed = cut(parts, self.die) if self.point == "while_streaming" else parts
        return self.inner.extend(upload, start, streamed, size)

    def finish(self, upload: str, sha256: str, size: int) -> None:
        self.inner.finish(upload, sha256, size)
        if self.point == "after_file_stored":
            self.die()


class DyingFileApi:
    """A vendor client that dies while an input is sent, or while a checkpoint is read."""

    def __init__(self, inner: VendorApi, point: str, die: Callable[[], None]) -> None:
        self.inner, self.point, self.die = inner, point, die

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def send_input(self, vendor: Vendor, job: Reserved, file: FileEntry, start: int, parts: Iterable[bytes]) -> int:
        sent = cut(parts, self.die) if self.point == "while_delivering" else parts
        return self.inner.send_input(vendor, job, file, start, sent)

    def read_file(
        self, vendor: Vendor, job: VendorJob, file: FileEntry, start: int, seconds: float, checkpoint: str = ""
    ) -> Generator[bytes, None, None]:
        parts = self.inner.read_file(vendor, job, file, start, seconds, checkpoint)
        return cut(parts, self.die) if checkpoint and self.point == "while_checkpointing" else parts


def cut(parts: Iterable[bytes], die: Callable[[], None]) -> Iterator[bytes]:
    """The parts until STREAMED bytes have come, or all of them; then the process dies."""
    came = 0
    for part in parts:
        yield part
        came += len(part)
        if came >= STREAMED:
            break
    die()


def reached_before(before: Sequence[Job], after: Sequence[Job]) -> set[str]:
    """The points that a save is about to pass."""
    collected = _works(before, Collecting)
    return {"before_finished"} if collected & _works(after, Completed, Failed) else set()


def reached_after(before: Sequence[Job], after: Sequence[Job]) -> set[str]:
    """The points that a save has passed."""
    began = _works(after, Collecting) - _works(before, Collecting)
    kept = _checkpoints(after) - _checkpoints(before)
    return {
        *(("before_first_byte",) if began else ()),
        *(("after_checkpoint_stored",) if kept else ()),
    }


def _works(jobs: Sequence[Job], *kinds: type) -> set[str]:
    return {job.job_id for job in jobs if isinstance(job, Settled) and isinstance(job.work, kinds)}


def _checkpoints(jobs: Sequence[Job]) -> set[tuple[str, str]]:
    return {(job.job_id, job.checkpoint.sha256) for job in jobs if isinstance(job, Settled) and job.checkpoint}
