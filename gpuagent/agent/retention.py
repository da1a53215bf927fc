"""Deletes what is kept no longer: unfinished uploads, files of no run, and what the policy says of finished runs.

Of a job's checkpoints only the newest is its own: the one before it is then a file of no run.

Safe to run at any time, beside ticks, and to kill anywhere: content goes first and is noted after that, and what was
deleted and not noted is noted by the next sweep.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gpuagent.core.policy import Policy
from gpuagent.core.ports.files import FileStore
from gpuagent.core.retention import Holding, expired
from gpuagent.errors import ConfigError

UPLOAD_S = 86_400.0
"""An upload that nothing came to for so long is given up; a vendor may be silent for hours and come back. So is a file
that came for a run which was not started, or whose place a newer one has taken."""
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
    """What a sweep deleted, or would delete, in bytes. strays: files of no run. freed: of files, each content once."""

    uploads: int
    strays: int
    files: Sequence[DeletedFile]
    freed: int


def sweep_files(files: FileStore, record: HoldingStore, rules: Policy, now: float, *, dry_run: bool) -> FileSweep:
    """One sweep. now: Unix seconds. Raises StoreError, and ConfigError where another database keeps files here too."""
    if sharers := files.sharers():
        raise ConfigError(_shared(sharers))
    uploads = files.sweep(now - UPLOAD_S, dry_run=dry_run)
    old = list(files.older(now - UPLOAD_S))  # before the record is read: a run that is started in between is in it
    holdings = list(record.holdings())
    strays = _sweep_strays(files, old, holdings, now, dry_run)
    gone = expired(holdings, now, rules.keep_files_s, rules.keep_files_max)
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
    return FileSweep(uploads, strays, deleted, freed)


def _sweep_strays(
    files: FileStore, old: Iterable[tuple[str, int]], holdings: Iterable[Holding], now: float, dry_run: bool
) -> int:
    """The bytes of the old files that no run's record names, which are deleted."""
    recorded = {sha256 for holding in holdings for sha256 in (*holding.files, *holding.needs)}
    strays = [(sha256, size) for sha256, size in old if sha256 not in recorded]
    return sum(size if dry_run else files.delete(sha256, now - UPLOAD_S) for sha256, size in strays)


def _shared(sharers: Sequence[str]) -> str:
    return (
        "the file store keeps files of another database too, which this one's record does not name and a sweep would "
        f"delete: {', '.join(sharers)}. Nothing was deleted. Give each database a FILE_STORE of its own, another "
        "folder or prefix, and copy its files there; where that database is no more, delete its mark, named in brackets"
    )
