"""The files of a run as users see them: what came back of each job, and what retention has deleted since. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gpuagent.core.work import FileKind
from gpuagent.errors import FileDeleted, UnknownFile


@dataclass(frozen=True, slots=True)
class RunFile:
    """A collected file of a job. Times are Unix seconds. completed: whether its job was.

    deleted_at: when retention deleted its content, None while that is kept. index: which of several jobs left it, None
    in a run with one.
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
    index: int | None = None

    @property
    def place(self) -> str:
        """Its path where files of all jobs lie together: each of several has a folder named by its number."""
        return self.path if self.index is None else f"{self.index}/{self.path}"

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
            **({} if self.index is None else {"index": self.index}),
        }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def matching(
    files: Iterable[RunFile], vendor_id: str = "", job_id: str = "", kind: str = "", index: int | None = None
) -> list[RunFile]:
    """The files of this vendor, of a job whose id begins so, and of this kind; "" for any. index: None for any."""
    return [
        file
        for file in files
        if vendor_id in ("", file.vendor_id)
        and file.job_id.startswith(job_id)
        and kind in ("", file.kind)
        and index in (None, file.index)
    ]


def chosen(files: Sequence[RunFile], path: str) -> RunFile:
    """The file of this path: one that is kept, then an output, then a completed job's, then the latest.

    path: with the job's number before it, such as 3/model.npz, where there are several: then no other job's.
    Raises UnknownFile, and FileDeleted for one that retention has deleted.
    """
    candidates = [file for file in files if path in (file.place, file.path)]
    several = {file.index for file in candidates}
    if len(several) > 1 and not any(file.place == path for file in candidates):
        places = ", ".join(sorted({file.place for file in candidates})[:3])
        raise UnknownFile(
            f"{len(several)} jobs of the run left {path[:200]!r}: name one with its number, such as {places}"
        )
    candidates = [file for file in candidates if file.place == path] or candidates
    number = path.partition("/")[0]
    # A number in front is a job's: another job may have left a file of just this path.
    is_number = number.isascii() and number.isdecimal()
    if is_number and any(file.index is not None and str(file.index) != number for file in candidates):
        places = ", ".join(sorted({file.place for file in candidates})[:3])
        raise UnknownFile(f"job {number} of the run left no {path.partition('/')[2][:200]!r}; there is {places}")
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
    """One file of each path, and of several jobs for each, as chosen() has it; those that were deleted are left out."""
    current = [file for file in files if file.deleted_at is None]
    return [chosen(current, place) for place in sorted({file.place for file in current})]
