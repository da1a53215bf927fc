"""The files of a run as users see them: what came back of each job, and what retention has deleted since. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gpuagent.core.work import FileKind
from gpuagent.errors import FileDeleted, UnknownFile


@dataclass(frozen=True, slots=True)
class RunFile:
    """A collected file of a job. Times are Unix seconds. completed: whether its job was.

    deleted_at: when retention deleted its content, None while that is kept.
    """

    path: str
    bytes: int
    sha256: str
    kind: str
    vendor_id: str
    job_id: str
    completed: bool
    collected_at: float
    deleted_at: float | None = None

    def as_json(self) -> dict[str, object]:
        """For programs. Times in ISO 8601, null for none."""
        return {
            "path": self.path,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "kind": self.kind,
            "vendorId": self.vendor_id,
            "jobId": self.job_id,
            "collectedAt": _iso(self.collected_at),
            "deletedAt": None if self.deleted_at is None else _iso(self.deleted_at),
        }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def matching(files: Iterable[RunFile], vendor_id: str = "", job_id: str = "", kind: str = "") -> list[RunFile]:
    """The files of this vendor, of a job whose id begins so, and of this kind; "" for any."""
    return [
        file
        for file in files
        if vendor_id in ("", file.vendor_id) and file.job_id.startswith(job_id) and kind in ("", file.kind)
    ]


def chosen(files: Sequence[RunFile], path: str) -> RunFile:
    """The file of this path: one that is kept, then an output, then a completed job's, then the latest.

    Raises UnknownFile, and FileDeleted for one that retention has deleted.
    """
    candidates = [file for file in files if file.path == path]
    if not candidates:
        raise UnknownFile(f"the run has no file {path[:200]!r}: `gpuagent run files` lists those it has")
    best = max(
        candidates,
        key=lambda file: (file.deleted_at is None, file.kind == FileKind.OUTPUT, file.completed, file.collected_at),
    )
    if best.deleted_at is not None:
        raise FileDeleted(f"{path[:200]!r} was deleted by retention: its record and SHA-256 {best.sha256} are kept")
    return best


def chosen_of_each(files: Sequence[RunFile]) -> list[RunFile]:
    """One file of each path, as chosen() has it; those that were deleted are left out."""
    current = [file for file in files if file.deleted_at is None]
    return [chosen(current, path) for path in sorted({file.path for file in current})]
