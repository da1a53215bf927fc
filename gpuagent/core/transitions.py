"""The state machine, pure: apply() is the run after an event. Which steps are due, says steps.py; what an event makes
of a single job, job_transitions.py.

Reserved ──PaymentAuthorized──> Authorized ──PaymentSettled──> Settled
    └──────────JobDropped──────────> Voided <──PaymentVoided──────┘ (only while Authorized)

A vendor that takes its pay after the work (model.Settles) has an Authorized job at work: JobClaimed begins that, its
amount stays held, and only the chain makes it Settled or Voided, whatever became of the work.

The work of a Settled job: Owed ──JobClaimed──> Underway ──CollectingBegan──> Collecting ──JobFinished──> Completed
or Failed; without a workload there is nothing to collect. CheckpointKept and FilesKept say what is in the file store.

A Reserved job may wait for PurchaseApproved and InputsDelivered first; RunCancelled ends the run and drops what is
only Reserved. StepPostponed and StepTakenUp frame a time in which the file store does not work: no job moves in it.
A run with several jobs to complete (indices.py) ends with the last of them; of each index one job is open at a time,
and beside it one that hedges it (hedging.py): whichever completes first, Stop and Supersede end the other.

VendorReadmitted lets a running run buy of a vendor that it had ended with. PlannerCharged, PaymentAdopted and
AskingCutShort fit every run, ended or not; PaymentAdopted makes Settled of whatever the job was.
"""

from dataclasses import replace

from gpuagent.core import budget
from gpuagent.core.adoption import adopted
from gpuagent.core.events import (
    NEWS,
    AskingCutShort,
    Event,
    HedgeDeclined,
    HedgePostponed,
    JobFinished,
    JobProgressed,
    PaymentAdopted,
    PlanAborted,
    PlannerCharged,
    PlanPostponed,
    RunCancelled,
    VendorChosen,
    VendorReadmitted,
)
from gpuagent.core.hedging import hedge_problem
from gpuagent.core.indices import is_open, missing, unbought
from gpuagent.core.job_transitions import next_state
from gpuagent.core.model import Cause, Job, Ordered, Reserved, Run, RunStatus, Voided
from gpuagent.core.run_state import ends_its_vendor, find_job, has_open_job
from gpuagent.core.verdict import blamed, excused
from gpuagent.core.work import Completed, Failed, Underway
from gpuagent.errors import IllegalTransition

NOTES_MAX = 1_000
"""Observations of one job's news, at most: a vendor whose every answer differs fills no database."""


def apply(run: Run, event: Event) -> Run:
    """The run after the event. Raises IllegalTransition for an event that does not fit the run, and BudgetExceeded."""
    if isinstance(event, VendorChosen | PlanPostponed | PlanAborted | RunCancelled | VendorReadmitted):
        return _planned(run, event)
    if isinstance(event, HedgePostponed | HedgeDeclined):
        return _unhedged(run, event)
    if isinstance(event, PlannerCharged):  # spent, even if the run has ended meanwhile
        return _charged(run, event.cost)
    if isinstance(event, PaymentAdopted):
        return _once(adopted(run, event), event.job_id)
    job = find_job(run, event.job_id)
    if isinstance(event, AskingCutShort):
        return replace(run, ask_first=job.job_id)
    after = next_state(job, event)
    if after is None:
        raise IllegalTransition(f"{event} does not fit {job}")
    if isinstance(event, NEWS) and is_noted(job, event):
        after = _with_note(after)
    run = replace(run, jobs=tuple(after if j.job_id == job.job_id else j for j in run.jobs))
    if not is_open(after):
        run = replace(run, waits=0, wait_until=0)  # the wait was decided on a state that has changed
    if isinstance(event, JobFinished) and isinstance(event.outcome, Completed):
        run = _completed(run, job)
    return budget.check(run)


def _completed(run: Run, job: Job) -> Run:
    """The run after the job has completed: over, if every index has a completed job."""
    run, unneeded = blamed(run, job.quote.index), "another job completed first"
    if missing(run):
        return _without_unsigned(run, unneeded, job.quote.index)
    reason = f"{job.quote.vendor_id} completed the job" if run.count == 1 else f"all {run.count} jobs are completed"
    return _ended(run, RunStatus.COMPLETED, reason, unneeded)


def _once(run: Run, job_id: str) -> Run:
    """The run without unsigned purchases of an index whose adopted job is still open: it would be bought twice."""
    job = find_job(run, job_id)
    if run.count == 1 or not is_open(job):
        return run
    return _without_unsigned(run, "an earlier payment for this job was adopted", job.quote.index)


def is_noted(job: Job, event: Event) -> bool:
    """Whether news of the job gets an observation of its own, beside its log lines and metrics.

    At most NOTES_MAX do, and progress only where it reads otherwise than before.
    """
    if not isinstance(job, Ordered) or not isinstance(job.work, Underway):
        return True
    before = job.work
    if before.notes >= NOTES_MAX:
        return False
    if not isinstance(event, JobProgressed) or before.silent_since is not None or not before.notes:
        return True
    return (f"{event.progress:.0%}", event.reply) != (f"{before.progress:.0%}", before.reply)


def _with_note(job: Job) -> Job:
    if not isinstance(job, Ordered) or not isinstance(job.work, Underway):
        return job
    return replace(job, work=replace(job.work, notes=job.work.notes + 1))


def _planned(run: Run, event: VendorChosen | PlanPostponed | PlanAborted | RunCancelled | VendorReadmitted) -> Run:
    if run.status is not RunStatus.RUNNING:
        raise IllegalTransition(f"{event} on a run that has {run.status}")
    if not isinstance(event, RunCancelled | VendorReadmitted):
        run = _charged(run, event.cost)
    match event:
        case PlanAborted(reason):
            if has_open_job(run):
                raise IllegalTransition("a run is not given up while a job of it is open")
            return replace(excused(run), status=RunStatus.FAILED, reason=reason)
        case PlanPostponed(until):
            return replace(run, waits=run.waits + 1, wait_until=until)
        case VendorChosen():
            return _with_reservation(run, event)
        case RunCancelled(by, why):
            return _ended(run, RunStatus.FAILED, f"cancelled by {by}: {why}", "the run was cancelled")
        case VendorReadmitted(vendor_id, by):
            jobs = tuple(_readmitted(job, by) if ends_its_vendor(job, vendor_id) else job for job in run.jobs)
            if jobs == run.jobs:
                raise IllegalTransition(f"run {run.run_id} has not ended with {vendor_id}")
            return replace(run, jobs=jobs, waits=0, wait_until=0)


def _with_reservation(run: Run, event: VendorChosen) -> Run:
    """The run with one job more. Of an index that has an open job only a hedge may be a second one."""
    quote = event.quote
    if any(job.job_id == event.job_id for job in run.jobs):
        raise IllegalTransition(f"job {event.job_id} was chosen already")
    job = Reserved(event.job_id, quote, event.at, event.approval)
    if quote.hedges:
        if problem := hedge_problem(run, quote, event.at):
            raise IllegalTransition(f"no hedge: {problem}")
        hedging = replace(run.hedging, waits=0, wait_until=0)
        return budget.check(replace(run, jobs=(*run.jobs, job), hedging=hedging))
    if (run.count > 1 or run.hedging.after_s) and quote.index not in unbought(run):
        raise IllegalTransition(f"job {quote.index} of {run.count} is open or completed already")
    return budget.check(replace(run, jobs=(*run.jobs, job), waits=0, wait_until=0))


def _unhedged(run: Run, event: HedgePostponed | HedgeDeclined) -> Run:
    """The run without a hedge of a late job, for a while or for good."""
    if run.status is not RunStatus.RUNNING:
        raise IllegalTransition(f"{event} on a run that has {run.status}")
    find_job(run, event.job_id)
    run, hedging = _charged(run, event.cost), run.hedging
    if isinstance(event, HedgePostponed):
        return replace(run, hedging=replace(hedging, waits=hedging.waits + 1, wait_until=event.until))
    declined = tuple(dict.fromkeys((*hedging.declined, event.job_id)))
    return replace(run, hedging=replace(hedging, declined=declined, waits=0, wait_until=0))


def _charged(run: Run, cost: int) -> Run:
    """The cost of asking the planner, taken out of the budget. Raises BudgetExceeded."""
    if cost < 0:
        raise IllegalTransition(f"a planner that costs {cost} would pay into the budget")
    return budget.check(replace(run, planner_cost=run.planner_cost + cost))


def _ended(run: Run, status: RunStatus, reason: str, unneeded: str) -> Run:
    """The ended run: unsigned purchases are dropped, signed ones go on to their end on chain."""
    return replace(_without_unsigned(run, unneeded), status=status, reason=reason, wait_until=0)


def _without_unsigned(run: Run, unneeded: str, index: int | None = None) -> Run:
    """The run without its unsigned purchases, of one index or of all."""
    jobs = (
        Voided(job.job_id, job.quote, job.reserved_at, unneeded, cause=Cause.UNNEEDED)
        if isinstance(job, Reserved) and index in (None, job.quote.index)
        else job
        for job in run.jobs
    )
    return replace(run, jobs=tuple(jobs))


def _readmitted(job: Job, by: str) -> Job:
    if not isinstance(job, Ordered) or not isinstance(job.work, Failed):
        raise IllegalTransition(f"{job} has not failed")
    return replace(job, work=replace(job.work, readmitted_by=by))
