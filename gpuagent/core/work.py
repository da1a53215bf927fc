"""The work of a job at a vendor: its states, its files, and the vendor's reports on it. No I/O.

Times are Unix seconds. What a vendor lists is a FileEntry; it becomes a JobFile once its content is proven and kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gpuagent.core.credits import CreditClaim


class JobStatus(StrEnum):
    """The status of a job as its vendor reports it."""

    SUBMITTED = "submitted"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class JobEnding(StrEnum):
    """How a paid job came to count as failed. After AT_ONCE and DISPUTED its vendor is paid no more in the run."""

    REPORTED = "reported"
    """The vendor reported the failure, after a while; or it reported success, and the success test failed."""
    AT_ONCE = "at_once"
    """The vendor reported the failure within seconds of its payment."""
    DISPUTED = "disputed"
    """The agent gave the job up: the vendor named none, was silent, or was far past the paid hours."""
    SUPERSEDED = "superseded"
    """Another job of the same index completed first: one of the two hedges the other (hedging.py)."""


class Fault(StrEnum):
    """Whose fault a failed job is. Only VENDOR counts against the vendor, and only then may another one help."""

    VENDOR = "vendor"
    PROGRAM = "program"
    """The user's own program ended with an exit code that does not count as success."""
    TIME = "time"
    """The paid hours ended."""
    NONE = "none"
    """The job was superseded."""


class FileKind(StrEnum):
    """The role of a collected file in its job."""

    OUTPUT = "output"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a manifest: a checked path, its bytes, and the SHA-256 of its content, hex in small letters."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file of a job in the file store, whose hash is the one that the manifest names."""

    path: str
    bytes: int
    sha256: str
    kind: FileKind
    collected_at: float


@dataclass(frozen=True, slots=True)
class CheckpointOffer:
    """A checkpoint that a vendor lists. sha256: of its manifest, which identifies it."""

    sha256: str
    files: tuple[FileEntry, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that is complete in the file store. fraction: of the work, as its program says; None for unknown."""

    sha256: str
    files: tuple[FileEntry, ...]
    fraction: float | None
    at: float


@dataclass(frozen=True, slots=True)
class Owed:
    """Paid, but the vendor has not yet named its job.

    asked_at: when it was first asked for, and none was named. silent_since: since when there is no answer at all, None
    while there is one; reply: in words, what the vendor answers instead.
    """

    since: float
    silent_since: float | None = None
    asked_at: float | None = None
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Underway:
    """The vendor works on the job it named. silent_since: when it first did not answer, None while it does.

    reply: the vendor's own word for a state that is not simply running, such as queued. cursor: the vendor's mark of
    the news that is stored. metrics: the last value of each metric, of metrics_seen in all. offer: the checkpoint that
    is being fetched; lost: the SHA-256 of the last that could not be, at lost_at. asked_to_stop: whether the vendor was
    told that the job is not needed any more. notes: what was noted of its news, beside log lines and metrics.
    """

    vendor_job_id: str
    started_at: float
    progress: float = 0.0
    logs_seen: int = 0
    silent_since: float | None = None
    reply: str = ""
    cursor: str = ""
    metrics: Mapping[str, object] = field(default_factory=dict)
    metrics_seen: int = 0
    offer: CheckpointOffer | None = None
    lost: str = ""
    asked_to_stop: bool = False
    lost_at: float | None = None
    notes: int = 0


@dataclass(frozen=True, slots=True)
class Completed:
    """The job is done: by the vendor's word, and where the run has a workload by its success test."""

    vendor_job_id: str
    at: float
    final_metrics: Mapping[str, object] = field(default_factory=dict)
    artifact_url: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The vendor failed the job, or was given up. readmitted_by: who allows the run to pay its vendor again.

    exit_code: of the program, where the vendor reported it.
    """

    reason: str
    at: float
    vendor_job_id: str = ""
    ending: JobEnding = JobEnding.REPORTED
    readmitted_by: str = ""
    fault: Fault = Fault.VENDOR
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Collecting:
    """The work is over by the vendor's word; its files are fetched and proven.

    outcome: what the job comes to once that is done; a Completed is held against the success test first. files, offer:
    what the vendor listed when it ended, which no later manifest changes; that was at outcome.at. hindered_since:
    since when hardly anything came, None while something does; problem: why.
    """

    outcome: Completed | Failed
    started_at: float
    files: tuple[FileEntry, ...] = ()
    offer: CheckpointOffer | None = None
    hindered_since: float | None = None
    problem: str = ""

    @property
    def vendor_job_id(self) -> str:
        return self.outcome.vendor_job_id


METRICS_BYTES = 4_096
"""Bytes of the names and texts of a job's metrics: all jobs of a run, which may be hundreds, are read as one document,
and a job that has ended holds its metrics three times."""


def with_metrics(
    latest: Mapping[str, object], metrics: Sequence[Mapping[str, object]], limit: int = 64
) -> Mapping[str, object]:
    """The last value of each metric, once these came, oldest first. limit: of names; later ones are left out, and those
    for which METRICS_BYTES leave no room."""
    values = dict(latest)
    room = METRICS_BYTES - sum(_bytes(name, value) for name, value in values.items())
    for metric in metrics:
        for name, value in metric.items():
            more = _bytes(name, value) - (_bytes(name, values[name]) if name in values else 0)
            if (name in values or len(values) < limit) and more <= max(room, 0):
                values[name], room = value, room - more
    return values


def _bytes(name: str, value: object) -> int:
    return len(name.encode(errors="replace")) + (len(value.encode(errors="replace")) if isinstance(value, str) else 8)


Work = Owed | Underway | Collecting | Completed | Failed


def failed_by_vendor(work: Work | None) -> bool:
    """Whether the work ended without the program's own end: by the vendor's word, or as it was given up."""
    return isinstance(work, Failed) and work.exit_code is None and work.fault is Fault.VENDOR


@dataclass(frozen=True, slots=True)
class JobReport:
    """A vendor's answer about a job. Its texts are data: capped, stripped of control characters, never trusted.

    word: the vendor's own for a status that is none of ours by name, or its words for the phase the job is in.
    cursor: of a vendor that sends only news: the mark to ask for what follows; "" where logs are all lines so far.
    metrics: new ones, oldest first. files: the manifest, paths checked. refused: why listed files are left out.
    credit: what it says that it gives back of the job's payment.
    """

    status: JobStatus
    progress: float
    logs: tuple[str, ...]
    final_metrics: Mapping[str, object]
    artifact_url: str
    error_message: str
    word: str = ""
    exit_code: int | None = None
    cursor: str = ""
    metrics: tuple[Mapping[str, object], ...] = ()
    files: tuple[FileEntry, ...] = ()
    checkpoint: CheckpointOffer | None = None
    refused: tuple[str, ...] = ()
    credit: CreditClaim | None = None
