"""The steps of a run, and next_steps(), which says which of them are due. Pure.

agent/ makes a step; the event that comes of it changes the run (transitions.py).
"""

from dataclasses import dataclass

from gpuagent.core import budget
from gpuagent.core.hedging import next_late, winner
from gpuagent.core.indices import is_open, next_index, slots_used, spare_tries
from gpuagent.core.model import Authorized, Job, Ordered, Reserved, Run, RunStatus, Settled
from gpuagent.core.orders import CANCEL, has_inputs
from gpuagent.core.verdict import is_enough
from gpuagent.core.work import Collecting, Owed, Underway


@dataclass(frozen=True, slots=True)
class Plan:
    """Collect quotes, let the planner choose, reserve."""


@dataclass(frozen=True, slots=True)
class Hedge:
    """Buy the work of a late job once more, at another vendor: quotes, the planner's choice, a reservation."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send the vendor the files that the job reads, before it is paid: a share of them a tick."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Authorize:
    """Ask for the vendor's 402, check its terms, sign the payment, which is not sent yet."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Pay:
    """Ask the chain; while it says open, send the stored authorization."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Ask a paid vendor for the job id that it has not given yet, with the same signed bytes."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask the vendor for news of the job."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Collect:
    """Fetch and prove files of the job: a share of them a tick."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell the vendor, once, that the job is not needed any more."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Supersede:
    """Follow the job no further: one that it hedges, or that hedges it, completed first."""

    job_id: str


Step = Plan | Hedge | Deliver | Authorize | Pay | Claim | Poll | Collect | Stop | Supersede


def next_steps(run: Run, now: float) -> tuple[Step, ...]:
    """The steps that are due at `now` (Unix seconds): those of each open job, then planning, then a late job's hedge.

    Empty where the run waits or is over. Payments that are signed come first, so that no slow vendor delays them; new
    signatures come last, as news of other jobs may make them unneeded. A run that has ended still follows the
    authorizations that may be with vendors, until the chain has decided on them.
    """
    running = run.status is RunStatus.RUNNING
    first = next((place for place, job in enumerate(run.jobs) if job.job_id == run.ask_first), 0)
    in_turn = (*run.jobs[first:], *run.jobs[:first])
    steps = [step for job in in_turn for step in _steps_for(run, job, now)]
    steps.sort(key=lambda step: 0 if isinstance(step, Pay) else 2 if isinstance(step, Authorize) else 1)
    if running and now >= run.wait_until and _may_begin(run):
        steps.append(Plan())
    if running and (late := next_late(run, now)):
        steps.append(Hedge(late.job_id))
    return tuple(steps)


def _may_begin(run: Run) -> bool:
    """Whether a further job may be begun beside those that are open."""
    if run.count > 1 and not _has_spare_tries(run):
        return False
    open_jobs = sum(map(is_open, run.jobs))
    return slots_used(run) < run.jobs_open_max and next_index(run) is not None and not is_enough(run, open_jobs)


def _has_spare_tries(run: Run) -> bool:
    """Whether tries are left even if no open approval request is answered: each of them would cost one more."""
    has_requests = any(isinstance(job, Reserved) and job.unapproved for job in run.jobs)
    return not has_requests or spare_tries(run) > 0


def _steps_for(run: Run, job: Job, now: float) -> tuple[Step, ...]:
    beaten = winner(run, job) is not None
    required = run.status is RunStatus.RUNNING and not beaten
    step = _step_for(job, required, beaten, now)
    payment = (Pay(job.job_id),) if isinstance(job, Authorized) else ()
    offered = required and isinstance(job, Ordered) and isinstance(job.work, Underway) and job.work.offer
    return (*payment, *((step,) if step else ()), *((Collect(job.job_id),) if offered else ()))


def _step_for(job: Job, required: bool, beaten: bool, now: float) -> Step | None:
    match job:
        case Reserved(approval=approval):
            if job.unapproved and approval is not None and now < approval.expires_at:
                return None
            return Authorize(job.job_id) if job.delivered or not has_inputs(job.quote.order) else Deliver(job.job_id)
        case Authorized() | Settled():
            return _step_for_work(job, required, beaten)
    return None


def _step_for_work(job: Ordered, required: bool, beaten: bool) -> Step | None:
    match job.work:
        case Owed() if required:
            return Claim(job.job_id)
        case Underway() if required:
            return Poll(job.job_id)
        case Collecting() if required:
            return Collect(job.job_id)
        case Underway(asked_to_stop=False) if CANCEL in job.quote.accepts:
            return Stop(job.job_id)
        case Owed() | Underway() | Collecting() if beaten:
            return Supersede(job.job_id)
    return None


def is_over(run: Run) -> bool:
    """Whether no step will ever be due again: the run has ended, holds no money, and has no vendor left to tell."""
    if run.status is RunStatus.RUNNING or budget.held(run):
        return False
    return not any(isinstance(step, Stop | Supersede) for job in run.jobs for step in _steps_for(run, job, now=0))
