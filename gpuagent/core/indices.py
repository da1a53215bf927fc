"""The indices of a run: it has `count` jobs of one kind to complete, numbered from 0, each tried until it is. Pure.

A run with one job has the index 0 alone; of that several jobs may be open at once, and the first to complete ends it.
Beside the open job of an index one more may be open, which hedges it (hedging.py).
"""

from collections import Counter
from dataclasses import replace

from gpuagent.core.model import COUNT_MAX, JOBS_MAX, Job, Ordered, Reserved, Run, Settled
from gpuagent.core.work import Collecting, Completed, Owed, Underway

UNKNOWN = -1
"""The index of a payment that only the chain knew of, in a run with several jobs: its order is lost."""


def tries_max(count: int) -> int:
    """Attempts that a run with `count` jobs to complete may make in all: half as many more, and at least seven more."""
    return count + max(JOBS_MAX - 1, count // 2)


TRIES_MAX = tries_max(COUNT_MAX)
"""The most attempts of any run."""


def is_open(job: Job) -> bool:
    """Whether the job may still complete. Work that has ended does not, even while the chain is undecided."""
    if isinstance(job, Reserved):
        return True
    return isinstance(job, Ordered) and isinstance(job.work, None | Owed | Underway | Collecting)


def has_completed(job: Job) -> bool:
    """Whether the job has completed, paid for or not yet."""
    return not isinstance(job, Reserved) and isinstance(job.work, Completed)


def completed(run: Run) -> frozenset[int]:
    """The indices that are done."""
    return frozenset(job.quote.index for job in run.jobs if has_completed(job)) - {UNKNOWN}


def missing(run: Run) -> tuple[int, ...]:
    """The indices that are not done, in order; a job of them may be open."""
    ended = completed(run)
    return tuple(index for index in range(run.count) if index not in ended)


def unbought(run: Run) -> tuple[int, ...]:
    """The indices that are neither done nor have an open job, in order: those to be bought."""
    busy = {job.quote.index for job in run.jobs if is_open(job)}
    return tuple(index for index in missing(run) if index not in busy)


def next_index(run: Run) -> int | None:
    """The index that is bought next, None while each that is missing has an open job: what was tried least.

    So an index that fails keeps no other waiting. Of a run with one job it is 0.
    """
    if run.count == 1:
        return 0
    counts = tries(run)
    return min(unbought(run), key=lambda index: (counts[index], index), default=None)


def tries(run: Run) -> Counter[int]:
    """How many jobs were begun for each index."""
    return Counter(job.quote.index for job in run.jobs)


def tries_left(run: Run, index: int) -> int:
    """The jobs that may still be begun for an index. One each is kept for the others that are to be bought."""
    remaining = run.jobs_max - len(run.jobs)
    if run.count == 1:
        return remaining
    return min(remaining - len(set(unbought(run)) - {index}), JOBS_MAX - tries(run)[index])


def spare_tries(run: Run) -> int:
    """The tries beside one for each index that is still to be bought, and one for each request that is open.

    One that stays unanswered is made once more.
    """
    requests = sum(isinstance(job, Reserved) and job.unapproved for job in run.jobs)
    return run.jobs_max - len(run.jobs) - len(unbought(run)) - requests


def is_paid_elsewhere(run: Run, job: Job) -> bool:
    """Whether another job of the same index is paid and still to come, as after an adoption; a hedge's pair is none."""
    attempts = (
        attempt for attempt in run.jobs if attempt.job_id != job.job_id and attempt.quote.index == job.quote.index
    )
    return run.count > 1 and any(
        isinstance(attempt, Settled) and is_open(attempt) and not is_pair(attempt, job) for attempt in attempts
    )


def is_pair(first: Job, second: Job) -> bool:
    """Whether one of the two hedges the other."""
    return first.quote.hedges == second.job_id or second.quote.hedges == first.job_id


def slots_used(run: Run) -> int:
    """The open jobs that count against jobs_open_max: all but hedges of jobs that are open too."""
    open_jobs = {job.job_id: job for job in run.jobs if is_open(job)}
    return sum(job.quote.hedges not in open_jobs for job in open_jobs.values())


def of_index(run: Run, index: int) -> Run:
    """The run as far as this index goes: with its jobs alone. One with one job is itself."""
    if run.count == 1:
        return run
    return replace(run, jobs=tuple(job for job in run.jobs if job.quote.index == index))


def progress(run: Run) -> str:
    """How many are done, in words; "" for a run with one job."""
    return f"{len(completed(run))} of {run.count} jobs are completed" if run.count > 1 else ""
