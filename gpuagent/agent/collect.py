"""The collection of a job's files: a share a tick, resumable, each proven by its SHA-256 while it is stored.

It moves no money. A vendor that lists a file and does not deliver it has failed, whatever it says of the job.
"""

from collections.abc import Sequence
from contextlib import closing

from gpuagent.agent.guard import lapsed, waited_from
from gpuagent.agent.postpone import PROBLEM_MAX, postponed
from gpuagent.agent.share import Share, new_share
from gpuagent.agent.vendors import find_vendor, vendor_job
from gpuagent.core.events import (
    CheckpointKept,
    CheckpointLost,
    CollectingHindered,
    Event,
    FilesKept,
    JobFinished,
    StepTakenUp,
)
from gpuagent.core.model import Ordered, Run
from gpuagent.core.ports import Ports
from gpuagent.core.resume import read_fraction
from gpuagent.core.run_state import find_job
from gpuagent.core.text import clean
from gpuagent.core.verdict import ending_of, success_problem
from gpuagent.core.work import (
    Checkpoint,
    CheckpointOffer,
    Collecting,
    Completed,
    Failed,
    FileEntry,
    FileKind,
    JobFile,
    Underway,
)
from gpuagent.core.workload import PROGRESS, from_canonical
from gpuagent.errors import (
    FileAltered,
    FileStoreError,
    IllegalTransition,
    VendorError,
    VendorTokenMissing,
)

PROGRESS_MAX = 64 * 1024


def collect(run: Run, job_id: str, ports: Ports) -> Event | None:
    """A share of the files: of the checkpoint that is offered, or of the outputs once the work is over.

    None where nothing is whole yet. Put off while the file store does not work. Raises VendorTokenMissing.
    """
    job = find_job(run, job_id)
    if not isinstance(job, Ordered) or not isinstance(job.work, Underway | Collecting):
        raise IllegalTransition(f"{job} has no files to collect")
    if isinstance(job.work, Underway) and not job.work.offer:
        raise IllegalTransition(f"{job} has no files to collect")
    fetch = _Fetch(job, ports)
    try:
        event = _collect(run, job, job.work, fetch, ports)
    except FileStoreError as error:
        return postponed(job, error)
    if event is None and job.postponed and fetch.came:
        return StepTakenUp(job_id, ports.clock.now())
    return event


def _collect(run: Run, job: Ordered, work: Underway | Collecting, fetch: "_Fetch", ports: Ports) -> Event | None:
    if work.offer:
        return _collect_checkpoint(job, work.offer, fetch, ports)
    assert isinstance(work, Collecting)
    return _collect_outputs(run, job, work, fetch, ports)


class _Fetch:
    """One tick's fetching of files of a job. kept: those that became whole. problem: what ended it."""

    def __init__(self, job: Ordered, ports: Ports) -> None:
        self._job, self._ports = job, ports
        self._share: Share = new_share(ports)
        self.kept: list[JobFile] = []
        self.came = 0
        """Bytes that came."""

    @property
    def is_slow(self) -> bool:
        """Whether the share brought no whole file, and fewer bytes than a vendor that is waited for."""
        pace = self._ports.pace
        return not self.kept and self.came < min(pace.slow_bytes_s * pace.share_s, pace.share_bytes)

    def all(self, entries: Sequence[FileEntry], kind: FileKind, checkpoint: str = "") -> bool:
        """Whether all of these files are kept by now. Raises VendorError, FileAltered."""
        have = {(file.kind, file.path, file.sha256) for file in self._job.files}
        for entry in entries:
            if (kind, entry.path, entry.sha256) in have:
                continue
            if (self._share.seconds <= 0 and entry.bytes) or not self._whole(entry, checkpoint):
                return False
            at = self._ports.clock.now()
            self.kept.append(JobFile(entry.path, entry.bytes, entry.sha256, kind, at))
        return True

    def _whole(self, entry: FileEntry, checkpoint: str) -> bool:
        files, upload = self._ports.files, f"{self._job.job_id}-{entry.sha256}"
        received = files.received(upload)
        if received < entry.bytes:
            vendor = find_vendor(self._job.quote.vendor_id, self._ports)
            work = self._job.work
            assert isinstance(work, Underway | Collecting)
            stream = self._ports.vendor_api.read_file(
                vendor,
                vendor_job(self._job, work),
                entry,
                received,
                self._share.seconds if self.came or self.kept else max(self._share.seconds, self._ports.pace.begin_s),
                checkpoint,
            )
            before = received
            try:
                with closing(stream) as parts:
                    received = files.extend(upload, before, self._share.cut(parts), entry.bytes)
            except VendorError:
                received = files.received(upload)
                raise
            finally:
                self.came += received - before
        if received < entry.bytes:
            return False
        files.finish(upload, entry.sha256, entry.bytes)
        return True


def _collect_checkpoint(job: Ordered, offer: CheckpointOffer, fetch: _Fetch, ports: Ports) -> Event | None:
    whole, problem = False, ""
    try:
        whole = fetch.all(offer.files, FileKind.CHECKPOINT, offer.sha256)
    except VendorTokenMissing:
        raise
    except FileAltered as error:
        return _lost(job, offer, str(error), ports)
    except VendorError as error:
        problem = str(error)
    if whole:
        at = ports.clock.now()
        checkpoint = Checkpoint(offer.sha256, offer.files, _fraction(offer, ports), at)
        return CheckpointKept(job.job_id, checkpoint, tuple(fetch.kept))
    if isinstance(job.work, Collecting):  # there will be no other
        if fetch.is_slow and _is_out_of_patience(job.work, ports):
            return _lost(job, offer, problem or "files come too slowly", ports)
    elif problem and not (fetch.kept or fetch.came):
        return _lost(job, offer, problem, ports)
    # What came counts: the share may have ended just where the next file was asked for.
    return _progress(job, fetch, problem, ports)


def _lost(job: Ordered, offer: CheckpointOffer, problem: str, ports: Ports) -> CheckpointLost:
    return CheckpointLost(job.job_id, offer.sha256, clean(problem, PROBLEM_MAX), ports.clock.now())


def _collect_outputs(run: Run, job: Ordered, work: Collecting, fetch: _Fetch, ports: Ports) -> Event | None:
    problem = ""
    try:
        whole = fetch.all(work.files, FileKind.OUTPUT)
    except VendorTokenMissing:
        raise
    except FileAltered as error:
        return _failed(job, work, str(error), fetch, ports)
    except VendorError as error:
        whole, problem = False, clean(str(error), PROBLEM_MAX)
    if not whole:
        if fetch.is_slow and _is_out_of_patience(work, ports):
            return _failed(job, work, f"not delivered in time: {problem or 'files come too slowly'}", fetch, ports)
        return _progress(job, fetch, problem, ports)
    outputs = tuple(fetch.kept)
    return JobFinished(job.job_id, _tested(run, job, work, outputs, ports), files=outputs)


def _tested(run: Run, job: Ordered, work: Collecting, outputs: tuple[JobFile, ...], ports: Ports) -> Completed | Failed:
    """The outcome after our own test, which alone makes a result count."""
    outcome = work.outcome
    if isinstance(outcome, Failed) or not run.workload:
        return outcome
    why = success_problem(from_canonical(run.workload), outcome, (*job.files, *outputs))
    if not why:
        return outcome
    reason = f"{job.quote.vendor_id} says completed, and our test says no: {why}"
    ending = ending_of(outcome.exit_code, work.started_at, outcome.at, ports.pace.at_once_s)
    return Failed(reason, ports.clock.now(), outcome.vendor_job_id, ending, exit_code=outcome.exit_code)


def _failed(job: Ordered, work: Collecting, why: str, fetch: _Fetch, ports: Ports) -> JobFinished:
    """What the vendor listed it does not deliver: that is its own doing, whatever exit code it named."""
    reason = f"{job.quote.vendor_id} does not deliver what it listed: {clean(why, PROBLEM_MAX)}"
    ending = ending_of(None, work.started_at, work.outcome.at, ports.pace.at_once_s)
    failed = Failed(reason, ports.clock.now(), work.vendor_job_id, ending)
    return JobFinished(job.job_id, failed, files=tuple(fetch.kept))


def _progress(job: Ordered, fetch: _Fetch, problem: str, ports: Ports) -> Event | None:
    """What a share brought: files, the beginning of a time in which hardly anything comes, or its end."""
    work = job.work
    if fetch.kept:
        return FilesKept(job.job_id, tuple(fetch.kept))
    if not isinstance(work, Collecting):
        return None
    if not fetch.is_slow:
        return FilesKept(job.job_id, ()) if work.hindered_since is not None else None
    if work.hindered_since is not None:
        return None
    return CollectingHindered(job.job_id, waited_from(ports), clean(problem or "files come too slowly", PROBLEM_MAX))


def _is_out_of_patience(work: Collecting, ports: Ports) -> bool:
    """Whether hardly anything has come for too long. A time in which we did not ask begins no such time."""
    since = work.hindered_since
    return since is not None and lapsed(lambda at: at - since > ports.pace.silence_s, ports)


def _fraction(offer: CheckpointOffer, ports: Ports) -> float | None:
    """How far the checkpoint reaches, by its progress.json; None without a usable word."""
    entry = next((file for file in offer.files if file.path == PROGRESS), None)
    if entry is None or entry.bytes > PROGRESS_MAX:
        return None
    return read_fraction(b"".join(ports.files.read(entry.sha256)))
