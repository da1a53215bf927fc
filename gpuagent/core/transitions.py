"""The state machine, pure. next_steps() names the steps that are due; apply() makes what an event changes.

Reserved ──PaymentAuthorized──> Authorized ──PaymentSettled──> Settled
    └──────────JobDropped──────────> Voided <──PaymentVoided──────┘ (only while Authorized)

The work of a Settled job: Owed ──JobClaimed──> Underway ──CollectingBegan──> Collecting ──JobFinished──> Completed
or Failed; without a workload there is nothing to collect. CheckpointKept and FilesKept say what is in the file store.

A Reserved job may wait for PurchaseApproved and InputsDelivered first; RunCancelled ends the run and drops what is
only Reserved.
VendorReadmitted lets a running run buy of a vendor that it had ended with. PlannerCharged, PaymentAdopted and
AskingCutShort fit every run, ended or not; PaymentAdopted makes Settled of whatever the job was.
"""

from dataclasses import replace
from typing import TypeVar

from gpuagent.core import budget
from gpuagent.core.adoption import adopted
from gpuagent.core.events import (
    NEWS,
    AskingCutShort,
    Authorize,
    CheckpointKept,
    CheckpointLost,
    Claim,
    Collect,
    CollectingBegan,
    CollectingHindered,
    Deliver,
    Event,
    FilesKept,
    InputsDelivered,
    JobAnswered,
    JobClaimed,
    JobDropped,
    JobFinished,
    JobProgressed,
    JobStopped,
    JobWentSilent,
    Pay,
    PaymentAdopted,
    PaymentAuthorized,
    PaymentSettled,
    PaymentUnresolved,
    PaymentUnwanted,
    PaymentVoided,
    Plan,
    PlanAborted,
    PlannerCharged,
    PlanPostponed,
    Poll,
    PurchaseApproved,
    RunCancelled,
    Step,
    Stop,
    VendorChosen,
    VendorReadmitted,
)
from gpuagent.core.model import (
    NO_ACCESS,
    Authorized,
    Cause,
    Job,
    JobAccess,
    Phase,
    Reserved,
    Run,
    RunStatus,
    Settled,
    Voided,
)
from gpuagent.core.orders import CANCEL, has_inputs
from gpuagent.core.verdict import blamed, excused, is_enough
from gpuagent.core.work import (
    CheckpointOffer,
    Collecting,
    Completed,
    Failed,
    FileKind,
    JobEnding,
    JobFile,
    Owed,
    Underway,
    with_metrics,
)
from gpuagent.errors import IllegalTransition

NOTES_MAX = 1_000
"""Notes of a job's news: a vendor that changes its word with every answer is heard no further, but for the end."""


def next_steps(run: Run, now: float) -> tuple[Step, ...]:
    """The steps that are due at `now` (Unix seconds): one per open job, then planning. Empty: wait, or all is over.

    What is signed comes first, as a vendor that is slow to tell of its job must not delay it; new signatures come last,
    as news of a job may make them unneeded. A run that has ended still follows the authorizations that are out: their
    money is not decided.
    """
    running = run.status is RunStatus.RUNNING
    first = next((place for place, job in enumerate(run.jobs) if job.job_id == run.ask_first), 0)
    in_turn = (*run.jobs[first:], *run.jobs[:first])
    steps = [step for job in in_turn for step in _steps_for(job, running, now)]
    steps.sort(key=lambda step: 0 if isinstance(step, Pay) else 2 if isinstance(step, Authorize) else 1)
    open_jobs = sum(map(is_open, run.jobs))
    if running and open_jobs < run.jobs_open_max and now >= run.wait_until and not is_enough(run, open_jobs):
        steps.append(Plan())
    return tuple(steps)


def _steps_for(job: Job, running: bool, now: float) -> tuple[Step, ...]:
    step = _step_for(job, running, now)
    offered = running and isinstance(job, Settled) and isinstance(job.work, Underway) and job.work.offer
    return (*((step,) if step else ()), *((Collect(job.job_id),) if offered else ()))


def _step_for(job: Job, running: bool, now: float) -> Step | None:
    match job:
        case Reserved(approval=approval):
            if job.unapproved and approval is not None and now < approval.expires_at:
                return None
            return Authorize(job.job_id) if job.delivered or not has_inputs(job.quote.order) else Deliver(job.job_id)
        case Authorized():
            return Pay(job.job_id)
        case Settled(work=Owed()) if running:
            return Claim(job.job_id)
        case Settled(work=Underway()) if running:
            return Poll(job.job_id)
        case Settled(work=Collecting()) if running:
            return Collect(job.job_id)
        case Settled(work=Underway(asked_to_stop=False)) if CANCEL in job.quote.accepts:
            return Stop(job.job_id)
    return None


def is_open(job: Job) -> bool:
    """True while the job's money or work is undecided."""
    match job:
        case Reserved() | Authorized() | Settled(work=Owed() | Underway() | Collecting()):
            return True
    return False


def has_open_job(run: Run) -> bool:
    return any(map(is_open, run.jobs))


def ends_its_vendor(job: Job, vendor_id: str) -> bool:
    """Whether the run pays this vendor no more, because of what became of this job there."""
    match job:
        case Settled(work=Failed(ending=JobEnding.DISPUTED | JobEnding.AT_ONCE, readmitted_by="")):
            return job.quote.vendor_id == vendor_id
    return False


def is_over(run: Run) -> bool:
    """True when the run has ended, no money is undecided and no vendor is to be told: no step is due ever again."""
    to_tell = any(isinstance(step, Stop) for job in run.jobs for step in _steps_for(job, running=False, now=0))
    return run.status is not RunStatus.RUNNING and budget.held(run) == 0 and not to_tell


def phase(run: Run) -> Phase:
    if run.status is RunStatus.COMPLETED:
        return Phase.SUCCESS
    if run.status is RunStatus.FAILED:
        return Phase.FAILED
    if any(isinstance(job, Reserved) and job.unapproved for job in run.jobs):
        return Phase.APPROVAL
    if any(isinstance(job, Reserved | Authorized) for job in run.jobs):
        return Phase.EXECUTING
    if any(isinstance(job, Settled) and isinstance(job.work, Owed | Underway | Collecting) for job in run.jobs):
        return Phase.WAITING
    return Phase.WAITING if run.wait_until else Phase.PLANNING


def find_job(run: Run, job_id: str) -> Job:
    """The job with this id. Raises IllegalTransition when the run has none."""
    for job in run.jobs:
        if job.job_id == job_id:
            return job
    raise IllegalTransition(f"run {run.run_id} has no job {job_id}")


def apply(run: Run, event: Event) -> Run:
    """The run after the event. Raises IllegalTransition rather than bend a rule."""
    if isinstance(event, VendorChosen | PlanPostponed | PlanAborted | RunCancelled | VendorReadmitted):
        return _planned(run, event)
    if isinstance(event, PlannerCharged):  # the money is gone, whatever has become of the run meanwhile
        return _charged(run, event.cost)
    if isinstance(event, PaymentAdopted):
        return adopted(run, event)
    job = find_job(run, event.job_id)
    if isinstance(event, AskingCutShort):
        return replace(run, ask_first=job.job_id)
    after = _next_state(job, event)
    if after is None:
        raise IllegalTransition(f"{event} does not fit {job}")
    if isinstance(event, NEWS) and is_noted(job, event):
        after = _with_note(after)
    run = replace(run, jobs=tuple(after if j.job_id == job.job_id else j for j in run.jobs))
    if not is_open(after):
        run = replace(run, waits=0, wait_until=0)  # what a wait was decided on has changed
    if isinstance(event, JobFinished) and isinstance(event.outcome, Completed):
        run = blamed(run)
        reason = f"{job.quote.vendor_id} completed the job"
        return _ended(run, RunStatus.COMPLETED, reason, "another job completed first")
    return budget.check(run)


def is_noted(job: Job, event: Event) -> bool:
    """Whether news of the job is noted for people, beside its log lines and metrics: at most NOTES_MAX of it, and how
    far the job is only where that is shown as something else than before."""
    if not isinstance(job, Settled) or not isinstance(job.work, Underway):
        return True
    before = job.work
    if before.notes >= NOTES_MAX:
        return False
    if not isinstance(event, JobProgressed) or before.silent_since is not None or not before.notes:
        return True
    return (f"{event.progress:.0%}", event.reply) != (f"{before.progress:.0%}", before.reply)


def _with_note(job: Job) -> Job:
    if not isinstance(job, Settled) or not isinstance(job.work, Underway):
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
        case VendorChosen(job_id, quote):
            if any(job.job_id == job_id for job in run.jobs):
                raise IllegalTransition(f"job {job_id} was chosen already")
            job = Reserved(job_id, quote, event.at, event.approval)
            return budget.check(replace(run, jobs=(*run.jobs, job), waits=0, wait_until=0))
        case RunCancelled(by, why):
            return _ended(run, RunStatus.FAILED, f"cancelled by {by}: {why}", "the run was cancelled")
        case VendorReadmitted(vendor_id, by):
            jobs = tuple(_readmitted(job, by) if ends_its_vendor(job, vendor_id) else job for job in run.jobs)
            if jobs == run.jobs:
                raise IllegalTransition(f"run {run.run_id} has not ended with {vendor_id}")
            return replace(run, jobs=jobs, waits=0, wait_until=0)


def _charged(run: Run, cost: int) -> Run:
    """The cost of asking the planner, taken out of the budget. Raises BudgetExceeded."""
    if cost < 0:
        raise IllegalTransition(f"a planner that costs {cost} would pay into the budget")
    return budget.check(replace(run, planner_cost=run.planner_cost + cost))


def _ended(run: Run, status: RunStatus, reason: str, unneeded: str) -> Run:
    """The ended run: unsigned purchases are dropped, signed ones go on to their end on chain."""
    jobs = (
        Voided(job.job_id, job.quote, job.reserved_at, unneeded, cause=Cause.UNNEEDED)
        if isinstance(job, Reserved)
        else job
        for job in run.jobs
    )
    return replace(run, status=status, reason=reason, wait_until=0, jobs=tuple(jobs))


def _next_state(job: Job, event: Event) -> Job | None:
    match job, event:
        case Reserved(), JobDropped():
            return Voided(job.job_id, job.quote, job.reserved_at, event.reason, cause=event.cause)
        case Reserved(approval=approval), PurchaseApproved() if job.unapproved and approval is not None:
            if event.at >= approval.expires_at:
                raise IllegalTransition("the request for approval has expired")
            return replace(job, approval=replace(approval, by=event.by))
        case Reserved(delivered=False), InputsDelivered():
            return replace(job, delivered=True)
        case Reserved(), PaymentAuthorized():
            if job.unapproved:
                raise IllegalTransition("the purchase is not approved")
            if event.authorization.amount != job.quote.amount:
                raise IllegalTransition("the authorization differs from the quote")
            return Authorized(job.job_id, job.quote, job.reserved_at, event.authorization, event.header)
        case Authorized(), PaymentUnresolved():
            job = replace(job, last_reply=event.reply, vendor_job_id=event.vendor_job_id or job.vendor_job_id)
            return _reached(job, event.access)
        case Authorized(), PaymentUnwanted():
            return replace(job, cancellation=event.transaction or event.problem)
        case Authorized(), PaymentSettled():
            return _settled(job, event)
        case Authorized(), PaymentVoided():
            # A vendor that was never asked, or asked to let go, has done nothing wrong.
            cause = Cause.VENDOR if job.last_reply and not job.cancellation else Cause.UNNEEDED
            return Voided(job.job_id, job.quote, job.reserved_at, event.reason, job.authorization, job.header, cause)
        case Settled(work=Owed()), JobClaimed():
            return _reached(replace(job, work=Underway(event.vendor_job_id, event.at)), event.access)
        case Settled(work=Underway() as work), JobProgressed():
            return replace(job, work=_progressed(work, event))
        case Settled(work=Owed(silent_since=None) as work), JobWentSilent():
            return replace(job, work=replace(work, silent_since=event.at, asked_at=work.asked_at or event.at))
        case Settled(work=Underway(silent_since=None) as work), JobWentSilent():
            return replace(job, work=replace(work, silent_since=event.at))
        case Settled(work=Owed() as work), JobAnswered():
            asked_at = work.asked_at or event.at
            return replace(job, work=replace(work, silent_since=None, reply=event.reply, asked_at=asked_at))
        case Settled(work=Underway() as work), JobAnswered():
            return replace(job, work=replace(work, silent_since=None, reply=event.reply))
        case Settled(work=Underway(asked_to_stop=False) as work), JobStopped():
            return replace(job, work=replace(work, asked_to_stop=True))
        case Settled(work=Underway()), CollectingBegan():
            return replace(job, work=event.work)
        case Settled(work=Underway(offer=offer) | Collecting(offer=offer)), CheckpointKept() if offer:
            return _kept(job, offer, event)
        case Settled(work=Underway(offer=offer) as work), CheckpointLost() if not offer or offer.sha256 == event.sha256:
            return replace(
                job, work=replace(work, offer=None, lost=event.sha256, lost_at=event.at), files=_current(job)
            )
        case Settled(work=Collecting(offer=offer) as work), CheckpointLost() if offer and offer.sha256 == event.sha256:
            return replace(job, work=replace(work, offer=None), files=_current(job))
        case Settled(work=Underway()), FilesKept():
            return replace(job, files=_with_files(job.files, event.files))
        case Settled(work=Collecting() as work), FilesKept():
            work = replace(work, hindered_since=None, problem="")
            return replace(job, files=_with_files(job.files, event.files), work=work)
        case Settled(work=Collecting(hindered_since=None) as work), CollectingHindered():
            return replace(job, work=replace(work, hindered_since=event.at, problem=event.problem))
        case Settled(work=Owed() | Underway() | Collecting()), JobFinished():
            return replace(job, work=event.outcome, files=_with_files(job.files, event.files))
    return None


def _kept(job: Settled, offer: CheckpointOffer, event: CheckpointKept) -> Settled:
    """The job with its newest checkpoint whole; the files of the one before it are not the job's any more."""
    work = job.work
    if offer.sha256 != event.checkpoint.sha256 or not isinstance(work, Underway | Collecting):
        raise IllegalTransition(f"{event} is not the checkpoint that was offered")
    job = replace(job, files=_with_files(job.files, event.files), checkpoint=event.checkpoint)
    return replace(job, files=_current(job), work=replace(work, offer=None))


def _current(job: Settled) -> tuple[JobFile, ...]:
    """The outputs, and the files of the checkpoint that is kept."""
    contents = {(file.path, file.sha256) for file in job.checkpoint.files} if job.checkpoint else set()
    return tuple(
        file for file in job.files if file.kind is not FileKind.CHECKPOINT or (file.path, file.sha256) in contents
    )


def _with_files(files: tuple[JobFile, ...], more: tuple[JobFile, ...]) -> tuple[JobFile, ...]:
    """Each output once; of a checkpoint's paths several contents, while the next one is being fetched."""
    by_place = {
        (file.kind, file.path, file.sha256 if file.kind is FileKind.CHECKPOINT else ""): file
        for file in (*files, *more)
    }
    return tuple(by_place.values())


def _settled(job: Authorized, event: PaymentSettled) -> Settled:
    work = Underway(event.vendor_job_id, event.at) if event.vendor_job_id else Owed(event.at)
    job = _reached(job, event.access)
    access = job.access
    return Settled(
        job.job_id, job.quote, job.reserved_at, job.authorization, job.header, event.settlement, work, access=access
    )


_Reached = TypeVar("_Reached", Authorized, Settled)


def _reached(job: _Reached, access: JobAccess) -> _Reached:
    """The job with what the vendor gives to reach it by; an answer that gives nothing leaves what was given before."""
    return replace(job, access=access) if access != NO_ACCESS else job


def _progressed(work: Underway, event: JobProgressed) -> Underway:
    return replace(
        work,
        progress=max(work.progress, event.progress),
        logs_seen=work.logs_seen + len(event.new_logs),
        silent_since=None,
        reply=event.reply,
        cursor=event.cursor or work.cursor,
        metrics=with_metrics(work.metrics, event.metrics),
        metrics_seen=work.metrics_seen + len(event.metrics),
        offer=work.offer or event.offer,
    )


def _readmitted(job: Job, by: str) -> Job:
    if not isinstance(job, Settled) or not isinstance(job.work, Failed):
        raise IllegalTransition(f"{job} has not failed")
    return replace(job, work=replace(job.work, readmitted_by=by))
