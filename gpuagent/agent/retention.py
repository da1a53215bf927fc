"""Deletes what the policy keeps no longer: unfinished uploads, and the files of finished runs.

Safe to run at any time, beside ticks, and to kill anywhere: content goes first and is noted after that, and what was
deleted and not noted is noted by the next sweep.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gpuagent.core.policy import Policy
from gpuagent.core.ports import FileStore
from gpuagent.core.retention import Holding, expired

UPLOAD_S = 86_400.0
"""An upload that nothing came to for so long is given up; a vendor may be silent for hours and come back."""
YOUNG_S = 3_600.0
"""Content that was proven since stays: a tick may have just proven it, and not yet saved which run it is of."""


class HoldingStore(Protocol):
    """The record of which run has which files."""

    def holdings(self) -> Iterable[Holding]: ...

    def note_deleted(self, run_id: str, sha256: str, at: float) -> None:
        """Notes at the run's files with this content that it was deleted."""
        ...


@dataclass(frozen=True, slots=True)
class DeletedFile:
    """A content that was deleted, of a run; of several runs with the same content, once each."""

    run_id: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class FileSweep:
    """What a sweep deleted, or would delete. Bytes. freed: of the files, each content once."""

    uploads: int
    files: Sequence[DeletedFile]
    freed: int


def sweep_files(files: FileStore, record: HoldingStore, rules: Policy, now: float, *, dry_run: bool) -> FileSweep:
    """One sweep. now: Unix seconds. Raises StoreError."""
    uploads = files.sweep(now - UPLOAD_S, dry_run=dry_run)
    gone = expired(record.holdings(), now, rules.keep_files_s, rules.keep_files_max)
    deleted, freed = [], 0
    states: dict[str, bool] = {}
    for run_id, contents in gone.items():
        for sha256, size in contents.items():
            if sha256 not in states:
                if dry_run:
                    freed += size
                else:
                    freed += files.delete(sha256, now - YOUNG_S)
                states[sha256] = dry_run or files.size(sha256) is None
            if states[sha256]:
                if not dry_run:
                    record.note_deleted(run_id, sha256, now)
                deleted.append(DeletedFile(run_id, sha256, size))
    return FileSweep(uploads, deleted, freed)
