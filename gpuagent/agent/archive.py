"""Takes observations of finished runs out of the database into the file store, by the policy's age, and puts them back.

Runs, jobs, payments, refunds and credits stay where they are; so does of each decision what reports read.

Safe to run at any time, beside ticks and other sweeps, and to kill anywhere: the file is proven and named by the run's
record before anything is taken out, what is taken out is what was read back from it, and the next sweep goes on.
"""

import gzip
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gpuagent.core.archives import Archive, ArchiveState
from gpuagent.core.policy import Policy
from gpuagent.core.ports.files import FileStore
from gpuagent.errors import BadInput, FileStoreError

LINE_MAX = 17_000_000
"""Bytes of a line: above the largest document of MongoDB."""
BATCH = 1_000
PART = 1_000_000


class ObservationStore(Protocol):
    """Observations of runs, a line of extended JSON each, and the record of where they are. Raises StoreError."""

    def aged(self, before: float) -> Iterable[str]:
        """The ids of the runs that were over before a time, not restored since, and are not archived; oldest first.

        Those whose archiving was broken off are among them.
        """
        ...

    def archive(self, run_id: str) -> tuple[Archive, ArchiveState] | None:
        """The run's archive; None for a run without. Raises UnknownRun."""
        ...

    def lines(self, run_id: str) -> Iterator[bytes]:
        """The run's observations in the order in which they were written."""
        ...

    def begin(self, run_id: str, archive: Archive, at: float) -> bool:
        """Records the archive as ARCHIVING; False where the run has one, or is not over any more."""
        ...

    def take_out(self, run_id: str, archive: Archive, lines: Sequence[bytes]) -> bool:
        """Takes exactly these observations out, all or none; False where this archive is not ARCHIVING."""
        ...

    def put_back(self, run_id: str, archive: Archive, lines: Sequence[bytes]) -> bool:
        """Puts these observations back, all or none; False where this archive is not RESTORING."""
        ...

    def move(self, run_id: str, archive: Archive, before: ArchiveState, after: ArchiveState) -> bool:
        """Moves this archive from a state to another; False where it was in none of the two."""
        ...

    def forget(self, run_id: str, archive: Archive, at: float) -> None:
        """Ends a RESTORING archive: the run has none, and its observations age from now on."""
        ...


@dataclass(frozen=True, slots=True)
class ArchivedRun:
    """A run whose observations left the database, or would; archive None: for a dry run nothing is written."""

    run_id: str
    archive: Archive | None


def archive_runs(
    store: ObservationStore, files: FileStore, rules: Policy, now: float, *, dry_run: bool
) -> Iterator[ArchivedRun]:
    """Each run whose observations the policy keeps in the database no longer, once they are archived.

    now: Unix seconds. Raises StoreError; a file of one run that is not there holds up no other, and is raised last.
    """
    if rules.keep_observations_s is None:
        return
    problem = None
    for run_id in store.aged(now - rules.keep_observations_s):
        try:
            archive = None if dry_run else _archived(store, files, run_id, now)
        except FileStoreError as error:
            problem = problem or error
        else:
            if dry_run or archive:
                yield ArchivedRun(run_id, archive)
    if problem:
        raise problem


def restore_run(store: ObservationStore, files: FileStore, run_id: str, now: float) -> int:
    """Puts a run's observations back into the database; how many.

    Raises BadInput where they are not archived, UnknownRun, and FileStoreError where the file is not there as it was
    written; then nothing has changed.
    """
    record = store.archive(run_id)
    if record is None:
        raise BadInput(f"the observations of run {run_id} are in the database: there is nothing to restore")
    archive, state = record
    if state is ArchiveState.ARCHIVING:
        raise BadInput(f"run {run_id} is being archived: `gpuagent run archive` ends that, then restore it")
    _prove(files, archive)
    if store.move(run_id, archive, ArchiveState.ARCHIVED, ArchiveState.RESTORING):
        for batch in _batches(_read(files, archive)):
            if not store.put_back(run_id, archive, batch):
                break  # another has restored it meanwhile
        else:
            store.forget(run_id, archive, now)
    return archive.observations


def _archived(store: ObservationStore, files: FileStore, run_id: str, now: float) -> Archive | None:
    record = store.archive(run_id)
    if record is None:
        file = io.BytesIO()
        archive = _write(store.lines(run_id), file)
        if not archive.observations:
            return None
        _keep(files, archive, file.getvalue(), now)
        _prove(files, archive)
        if not store.begin(run_id, archive, now):
            return None  # another sweep was faster, or the run goes on
    else:
        archive, _ = record
        _prove(files, archive)
    for batch in _batches(_read(files, archive)):
        if not store.take_out(run_id, archive, batch):
            return None
    store.move(run_id, archive, ArchiveState.ARCHIVING, ArchiveState.ARCHIVED)
    return archive


def _write(lines: Iterable[bytes], file: io.BytesIO) -> Archive:
    """The archive that is in `file` then. A run's observations are bounded, and pack to a tenth of their size."""
    count = 0
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:  # the same lines are the same file
        for line in lines:
            packed.write(line + b"\n")
            count += 1
    content = file.getvalue()
    return Archive(hashlib.sha256(content).hexdigest(), len(content), count)


def _keep(files: FileStore, archive: Archive, content: bytes, now: float) -> None:
    # Each time a new upload, which makes content young that was here before: a sweep that read the record deletes old.
    upload = f"observations-{archive.sha256}-{now:.3f}"
    start = files.received(upload)
    files.extend(upload, start, (content[at : at + PART] for at in range(start, len(content), PART)), archive.bytes)
    files.finish(upload, archive.sha256, archive.bytes)


def _prove(files: FileStore, archive: Archive) -> None:
    """Raises FileStoreError where the file is not what was written, to the last of its lines."""
    digest, count = hashlib.sha256(), 0
    for part in files.read(archive.sha256):
        digest.update(part)
    if digest.hexdigest() == archive.sha256:
        count = sum(1 for _ in _read(files, archive))
    if count != archive.observations:
        raise FileStoreError(f"the file {archive.sha256} does not hold the observations that were written to it")


def _read(files: FileStore, archive: Archive) -> Iterator[bytes]:
    with gzip.GzipFile(mode="rb", fileobj=io.BufferedReader(_Parts(files.read(archive.sha256)))) as packed:
        while line := packed.readline(LINE_MAX):
            yield line.rstrip(b"\n")


class _Parts(io.RawIOBase):
    """The parts of a file as a stream."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._rest = parts, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest = part
        head, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(head)] = head
        return len(head)


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
