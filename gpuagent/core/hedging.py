"""Hedges: the work of a late job is bought once more, at another vendor, and the first verified result wins. Pure.

After the hedged requests of J. Dean and L. A. Barroso, The Tail at Scale (2013). A hedge is a job of its own, with its
own payment; its quote names the job that it hedges. A job is hedged once at most, and no index has more than two open
jobs: the late one and its hedge. Where one of them fails, the other goes on as the only job of the index.

A job is late by the agent's clock and what is stored of it: where its vendor has named no job, since it is paid; where
one is underway, since the time in which the vendor said it would finish, or the paid hours where those are less. While
a step of it waits for the agent's own file store it is not late, and no more once its work is over.
"""

from gpuagent.core.indices import has_completed, is_open, is_pair, missing, spare_tries
from gpuagent.core.model import Job, Ordered, Quote, Run
from gpuagent.core.verdict import is_enough_of
from gpuagent.core.work import Collecting, Owed, Underway

HOUR_S = 3600.0


def late_s(job: Job, now: float) -> float:
    """The seconds by which a paid job is behind what was expected of it; less than 0 before, and where nothing is."""
    if isinstance(job, Ordered) and not job.postponed:
        match job.work:
            case Owed(since=since):
                return now - since
            case Underway(started_at=started_at):
                return now - started_at - expected_s(job.quote)
    return -1.0


def expected_s(quote: Quote) -> float:
    """The seconds that a job takes by its vendor's own word, at most its paid hours."""
    paid_s = float(quote.max_hours) * HOUR_S
    return min(quote.eta_s, paid_s) if quote.eta_s > 0 else paid_s


def next_late(run: Run, now: float) -> Job | None:
    """The job that is to be hedged next: of those that may be, the latest. None for none."""
    if not run.hedging.after_s or now < run.hedging.wait_until:
        return None
    late = [job for job in run.jobs if not unhedgeable(run, job, now)]
    return max(late, key=lambda job: late_s(job, now), default=None)


def unhedgeable(run: Run, job: Job, now: float) -> str:
    """Why no hedge of this job may be bought, "" where one may."""
    if not run.hedging.after_s:
        return "the run has no hedges"
    if late_s(job, now) < run.hedging.after_s:
        return f"job {job.job_id} is not late"
    if job.job_id in run.hedging.declined or any(attempt.quote.hedges == job.job_id for attempt in run.jobs):
        return f"a hedge of job {job.job_id} was bought or declined already"
    index = job.quote.index
    if index not in missing(run) or any(
        is_open(attempt) and attempt.job_id != job.job_id for attempt in run.jobs if attempt.quote.index == index
    ):
        return f"job {index} of {run.count} is completed, or another of it is open already"
    if is_enough_of(run, index, open_jobs=1):
        return f"the end of job {job.job_id} may show that the program is at fault"
    return "" if spare_tries(run) > 0 else "no tries are left for a hedge"


def hedge_problem(run: Run, quote: Quote, now: float) -> str:
    """Why a purchase is no hedge of the job that it names, "" where it is one."""
    job = next((job for job in run.jobs if job.job_id == quote.hedges), None)
    if job is None:
        return f"the run has no job {quote.hedges} to hedge"
    if job.quote.index != quote.index:
        return f"job {job.job_id} is of index {job.quote.index}, and its hedge of {quote.index}"
    if job.quote.vendor_id == quote.vendor_id:
        return f"{quote.vendor_id} has the job that is late"
    return unhedgeable(run, job, now)


def winner(run: Run, job: Job) -> Job | None:
    """The completed job that an open one is a pair with, None where it has none: then the open one is not needed."""
    if not run.hedging.after_s or not isinstance(job, Ordered):
        return None
    if not isinstance(job.work, Owed | Underway | Collecting):
        return None
    return next((attempt for attempt in run.jobs if is_pair(job, attempt) and has_completed(attempt)), None)
