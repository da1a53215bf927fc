"""Questions that the state of a run and of its jobs answers by itself: phase, open jobs, held amounts. Pure."""

from gpuagent.core.indices import is_open
from gpuagent.core.model import Authorized, Job, Ordered, Phase, Reserved, Run, RunStatus, Settled
from gpuagent.core.work import Collecting, Failed, JobEnding, Owed, Underway
from gpuagent.errors import IllegalTransition


def phase(run: Run) -> Phase:
    """The phase of a run as users see it."""
    if run.status is RunStatus.COMPLETED:
        return Phase.SUCCESS
    if run.status is RunStatus.FAILED:
        return Phase.FAILED
    if any(isinstance(job, Reserved) and job.unapproved for job in run.jobs):
        return Phase.APPROVAL
    if any(isinstance(job, Reserved) or (isinstance(job, Authorized) and job.work is None) for job in run.jobs):
        return Phase.EXECUTING
    if any(isinstance(job, Ordered) and isinstance(job.work, Owed | Underway | Collecting) for job in run.jobs):
        return Phase.WAITING
    return Phase.WAITING if run.wait_until else Phase.PLANNING


def ends_its_vendor(job: Job, vendor_id: str) -> bool:
    """Whether the run pays this vendor no more, because of what became of this job there."""
    match job:
        case (
            Settled(work=Failed(ending=JobEnding.DISPUTED | JobEnding.AT_ONCE, readmitted_by=""))
            | Authorized(work=Failed(ending=JobEnding.DISPUTED | JobEnding.AT_ONCE, readmitted_by=""))
        ):
            return job.quote.vendor_id == vendor_id
    return False


def lasting_holds(run: Run) -> tuple[Authorized, ...]:
    """The jobs whose work has failed and whose payment the chain may still let through: their amounts stay held."""
    return tuple(job for job in run.jobs if isinstance(job, Authorized) and isinstance(job.work, Failed))


def has_open_job(run: Run) -> bool:
    """Whether a job of the run is not at its end."""
    return any(map(is_open, run.jobs))


def find_job(run: Run, job_id: str) -> Job:
    """The job with this id. Raises IllegalTransition when the run has none."""
    for job in run.jobs:
        if job.job_id == job_id:
            return job
    raise IllegalTransition(f"run {run.run_id} has no job {job_id}")
