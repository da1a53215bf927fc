"""The runner's protocol and its values."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol


class RunnerError(Exception):
    """A runner cannot do what was asked: says why, in words for the seller."""


class UnknownJob(RunnerError):
    """There is no such job, or not any more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one job; 0: none. memory, disk, outputs: bytes. cpus: cores. pids: processes and threads.

    disk: of its working folder. files: files and folders there. outputs: of the files that it delivers.
    """

    memory: int = 0
    cpus: float = 0.0
    pids: int = 512
    disk: int = 0
    files: int = 500_000
    outputs: int = 0


@dataclass(frozen=True, slots=True)
class JobOrder:
    """What is to run. command: a text for sh -c, or an argv. inputs, resume: the local file of each path.

    duration_s: the paid time, from the start of setup. secrets: values for the environment, which no file may hold.
    checkpoint: the folder, within the job's own, that is kept whenever its progress.json changes; "" for none.
    image: a container's, "" for the seller's own environment. gpus: ids of the GPUs it gets, of those that its runner
    hands out; () for all of them. limits: None for the runner's own.
    """

    job_id: str
    command: str | Sequence[str]
    duration_s: float
    setup: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    inputs: Mapping[str, Path] = field(default_factory=dict)
    resume: Mapping[str, Path] = field(default_factory=dict)
    outputs: Sequence[str] = ()
    checkpoint: str = ""
    image: str = ""
    gpus: Sequence[str] = ()
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class JobState:
    """The state of a job. phase: queued is ordered, and not started.

    exit_code: of the program, None while it runs, and where it was ended from outside. reason: why it ended, in words,
    where that was not the program's own doing.
    """

    phase: Literal["queued", "preparing", "running", "ended"]
    exit_code: int | None = None
    reason: str = ""
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a manifest."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that is whole. sha256: of its manifest, by which its files are read. Paths: within its folder."""

    sha256: str
    files: tuple[FileEntry, ...]


def manifest_sha256(files: Iterable[FileEntry]) -> str:
    """The SHA-256 of a manifest: of its compact JSON with sorted keys, its files in the order of their paths."""
    entries = [
        {"bytes": file.bytes, "path": file.path, "sha256": file.sha256}
        for file in sorted(files, key=lambda file: file.path)
    ]
    return hashlib.sha256(json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


class Runner(Protocol):
    """Runs jobs, each at most once, however often it is asked and whenever the seller is restarted.

    Every method that takes a job's id, but start(), raises RunnerError for a job that is not known.
    notices: what does not contain its jobs, for the operator to read at the start.
    """

    @property
    def notices(self) -> tuple[str, ...]: ...

    def refusal(self, image: str) -> str:
        """Why no job with this image is run here, in words for its buyer; "" where it is. image: "" for none."""
        ...

    def absence(self, image: str) -> str:
        """Why a job with an image that is run here could not have it now, in words for its buyer; "" where it may."""
        ...

    def start(self, order: JobOrder) -> None:
        """Starts a job, unless it has been started before. Raises RunnerError, with nothing started."""
        ...

    def state(self, job_id: str) -> JobState: ...

    def logs(self, job_id: str, cursor: int) -> tuple[list[str], int]:
        """Lines of output from a cursor on, and the next cursor. The first is 0."""
        ...

    def metrics(self, job_id: str, cursor: int) -> tuple[list[dict[str, Any]], int]:
        """Metrics from a cursor on, and the next cursor."""
        ...

    def files(self, job_id: str) -> list[FileEntry]:
        """The outputs that are there, once the job has ended."""
        ...

    def checkpoint(self, job_id: str) -> Checkpoint | None:
        """The newest checkpoint that is whole. The last few that were asked for stay readable."""
        ...

    def entry(self, job_id: str, path: str, checkpoint: str = "") -> FileEntry:
        """A file of files(), or of the checkpoint of this SHA-256. Raises RunnerError without such a file."""
        ...

    def read(self, job_id: str, path: str, start: int = 0, checkpoint: str = "") -> Iterator[bytes]:
        """The content of that file from a byte on."""
        ...

    def stop(self, job_id: str, reason: str) -> None:
        """Ends a job, whatever it does; its newest checkpoint stays."""
        ...

    def forget(self, job_id: str) -> None:
        """Stops a job and deletes all of it."""
        ...

    def close(self) -> None:
        """Ends what must not outlive the seller."""
        ...
