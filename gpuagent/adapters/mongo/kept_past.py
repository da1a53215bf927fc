"""A cache of vendors' past jobs in one process: kept for seconds, with the process's own saves added.

Planners learn from them, and no money rests on them: what other processes saved may be missing for KEPT_S.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from bson import ObjectId

from gpuagent.adapters.mongo.jobs import job_document
from gpuagent.adapters.mongo.past_jobs import is_ended, past_job
from gpuagent.adapters.mongo.values import Document
from gpuagent.core.context import PastJob
from gpuagent.core.indices import is_open
from gpuagent.core.model import Job, Run

KEPT_S = 2.0
SPARE = 10
"""Jobs that are read of each vendor beyond those that are wanted: a run's own are not among its past jobs."""
Vendor = tuple[str, str]
"""A network, and the vendor's id."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """past: None for a job that nothing is learned from."""

    job_id: ObjectId
    run_id: ObjectId
    created_at: datetime
    past: PastJob | None


@dataclass(frozen=True, slots=True)
class _Read:
    """began: before it was read. is_whole: whether the vendor has no more of them."""

    began: float
    jobs: Mapping[ObjectId, _Ended]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class _Saved:
    """job: None where it has not ended, or nothing is learned from its end."""

    at: float
    vendor: Vendor
    job_id: ObjectId
    job: _Ended | None


class KeptPast:
    """The newest past jobs of vendors. Safe to share between threads. monotonic: seconds that no one sets back."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._reads: dict[Vendor, _Read] = {}
        self._saves: list[_Saved] = []
        self._lock = Lock()

    def now(self) -> float:
        return self._monotonic()

    def unread(self, network: str, vendor_ids: Sequence[str]) -> list[str]:
        """The vendors whose jobs are to be read, SPARE more than are wanted."""
        since = self._monotonic() - KEPT_S
        with self._lock:
            reads = {name: self._reads.get((network, name)) for name in vendor_ids}
        return [name for name, read in reads.items() if read is None or read.began < since]

    def keep(
        self, network: str, vendor_ids: Sequence[str], documents: Iterable[Document], limit: int, began: float
    ) -> None:
        """The newest `limit` and SPARE jobs of each of these vendors, as past_jobs.pipeline() brings them."""
        jobs: dict[str, dict[ObjectId, _Ended]] = {name: {} for name in vendor_ids}
        for document in documents:
            jobs[document["vendorId"]][document["_id"]] = _ended(document)
        with self._lock:
            for name, of_vendor in jobs.items():
                self._reads[network, name] = _Read(began, of_vendor, len(of_vendor) < limit + SPARE)

    def saved(self, before: Run, after: Run) -> None:
        """What a save has made of the run's jobs."""
        ended = {job.job_id for job in (*before.jobs, *after.jobs) if not is_open(job)}
        changed = [job for job in after.jobs if job.job_id in ended and job not in before.jobs]
        if not changed:
            return
        now = self._monotonic()
        saves = [_save(now, after, job) for job in changed]
        with self._lock:
            # Twice as long as reads last, so that none is missing from one that took its time.
            self._saves = [save for save in self._saves if save.at >= now - 2 * KEPT_S] + saves

    def of(self, run: Run, network: str, vendor_ids: Sequence[str], limit: int) -> list[PastJob] | None:
        """Those of other runs, at most `limit` of each vendor, oldest first; None where more must be read."""
        own, newest = ObjectId(run.run_id), list[_Ended]()
        for name in vendor_ids:
            with self._lock:
                read, saves = self._reads.get((network, name)), self._saves
            if read is None:
                return None
            jobs = _with_saves(read, (network, name), saves)
            eligible = sorted((job for job in jobs if job.run_id != own), key=lambda job: job.created_at)
            if len(eligible) < limit and not read.is_whole:
                return None
            newest += eligible[-limit:]
        return [job.past for job in sorted(newest, key=lambda job: job.created_at) if job.past]


def _with_saves(read: _Read, vendor: Vendor, saves: Sequence[_Saved]) -> Iterable[_Ended]:
    later = {save.job_id: save.job for save in saves if save.vendor == vendor and save.at >= read.began}
    return (job for job in {**read.jobs, **later}.values() if job) if later else read.jobs.values()


def _save(at: float, run: Run, job: Job) -> _Saved:
    document = job_document(run, job)
    ended = _ended(document) if is_ended(document) else None
    return _Saved(at, (job.quote.network, job.quote.vendor_id), document["_id"], ended)


def _ended(document: Document) -> _Ended:
    return _Ended(document["_id"], document["runId"], document["createdAt"], past_job(document))
