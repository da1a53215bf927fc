"""What a run's own jobs say of their vendors, and of how long its next one takes. Pure."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from statistics import median

from gpuagent.core.belief import PAST_JOBS_MAX
from gpuagent.core.context import PastJob
from gpuagent.core.model import Authorized, Cause, Job, Run, Settled, Voided
from gpuagent.core.work import Completed, Failed, Fault, failed_by_vendor

HOUR_S = 3600.0
JOB_MIN_S = 1.0


def own_past_jobs(run: Run) -> list[PastJob]:
    """The run's own ended jobs, of each vendor the newest. A purchase that fell through by the vendor's doing is a
    failure that cost nothing."""
    counted: Counter[str] = Counter()
    newest = []
    for job in reversed(run.jobs):
        if (past := _past_job(job)) and counted[past.vendor_id] < PAST_JOBS_MAX:
            counted[past.vendor_id] += 1
            newest.append(past)
    return newest[::-1]


def job_s(hours: Decimal, past: Sequence[PastJob]) -> float:
    """The time a job of this run takes: by the paid hour as past jobs took, if there are any; at most the paid time."""
    paid_s = float(hours) * HOUR_S
    shares = [(job.ended_at - job.started_at) / (float(job.hours) * HOUR_S) for job in past if job.paid]
    return max(JOB_MIN_S, paid_s * min(1.0, median(shares))) if shares else paid_s


def _past_job(job: Job) -> PastJob | None:
    """Begun when it was reserved. When a voided job was known to be void is not kept: it took no time."""
    match job:
        case Settled(work=Failed(fault=Fault.PROGRAM | Fault.TIME | Fault.NONE)):
            return None  # that says nothing of the vendor
        case Settled(work=Completed(at=at) | Failed(at=at) as work):
            succeeded, paid, ended_at = isinstance(work, Completed), job.quote.amount, at
        case Authorized(work=Failed(at=at) as work) if failed_by_vendor(work):
            succeeded, paid, ended_at = False, 0, at
        case Voided(cause=Cause.VENDOR):
            succeeded, paid, ended_at = False, 0, job.reserved_at
        case _:
            return None
    quote = job.quote
    return PastJob(
        quote.vendor_id,
        True,
        succeeded,
        quote.amount,
        paid,
        quote.max_hours,
        job.reserved_at,
        max(ended_at, job.reserved_at),
    )
