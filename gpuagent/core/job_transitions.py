"""The states of a job, pure: what an event about it makes of the job. work_transitions.py says the same of its work."""

from dataclasses import replace

from gpuagent.core.events import (
    Event,
    InputsDelivered,
    JobDropped,
    PaymentAuthorized,
    PaymentSettled,
    PaymentUnresolved,
    PaymentUnwanted,
    PaymentVoided,
    PurchaseApproved,
    StepPostponed,
    StepTakenUp,
)
from gpuagent.core.indices import is_open
from gpuagent.core.model import Authorized, Cause, Job, Ordered, Reserved, Settled, Voided
from gpuagent.core.work import Collecting, Completed, Failed, JobEnding, Owed, Underway, Work, failed_by_vendor
from gpuagent.core.work_transitions import next_work, reached
from gpuagent.errors import IllegalTransition


def next_state(job: Job, event: Event) -> Job | None:
    """The job after the event, None where the event does not fit. Raises IllegalTransition."""
    match job, event:
        case Reserved(), JobDropped():
            return Voided(job.job_id, job.quote, job.reserved_at, event.reason, cause=event.cause)
        case Reserved(approval=approval), PurchaseApproved() if job.unapproved and approval is not None:
            if event.at >= approval.expires_at:
                raise IllegalTransition("the request for approval has expired")
            return replace(job, approval=replace(approval, by=event.by))
        case Reserved(delivered=False), InputsDelivered():
            return replace(job, delivered=True, postponed="")
        case Reserved(), PaymentAuthorized():
            if job.unapproved:
                raise IllegalTransition("the purchase is not approved")
            if event.authorization.amount != job.quote.amount:
                raise IllegalTransition("the authorization differs from the quote")
            return Authorized(job.job_id, job.quote, job.reserved_at, event.authorization, event.header)
        case Authorized(), PaymentUnresolved():
            job = replace(job, last_reply=event.reply, vendor_job_id=event.vendor_job_id or job.vendor_job_id)
            return reached(job, event.access)
        case Authorized(), PaymentUnwanted():
            return replace(job, cancellation=event.transaction or event.problem)
        case Authorized(), PaymentSettled():
            return _settled(job, event)
        case Authorized(), PaymentVoided():
            return _voided(job, event)
        case Reserved() | Authorized() | Settled(), StepPostponed():
            return _postponed(job, event.problem)
        case Reserved(), StepTakenUp() if job.postponed:
            return replace(job, postponed="", delivery_from=event.at)
        case Authorized() | Settled(), StepTakenUp() if job.postponed:
            return replace(job, postponed="")
    return next_work(job, event) if isinstance(job, Ordered) else None


def _postponed(job: Reserved | Ordered, problem: str) -> Job | None:
    """The job whose step waits for our own file store. Whatever time its vendor was given begins anew."""
    match job:
        case Reserved() | Authorized(work=Underway()) | Settled(work=Underway()):
            return replace(job, postponed=problem)
        case Settled(work=Owed() as work):
            return replace(job, postponed=problem, work=replace(work, silent_since=None, asked_at=None))
        case Authorized(work=Collecting() as work) | Settled(work=Collecting() as work):
            return replace(job, postponed=problem, work=replace(work, hindered_since=None, problem=""))
    return None


def _settled(job: Authorized, event: PaymentSettled) -> Settled:
    job = reached(job, event.access)
    return Settled(
        job.job_id,
        job.quote,
        job.reserved_at,
        job.authorization,
        job.header,
        event.settlement,
        _paid_work(job, event),
        job.files,
        job.checkpoint,
        job.access,
        job.postponed,
    )


def _paid_work(job: Authorized, event: PaymentSettled) -> Work:
    """The work as the payment finds it. A vendor that said failed and took its pay all the same is to be disputed."""
    match job.work:
        case None:
            return Underway(event.vendor_job_id, event.at) if event.vendor_job_id else Owed(event.at)
        case Failed() as failed if failed_by_vendor(failed):
            reason = f"{failed.reason}; and it took the payment that it was to have for success alone"
            return replace(failed, reason=reason, ending=JobEnding.DISPUTED, readmitted_by="")
    return job.work


def _voided(job: Authorized, event: PaymentVoided) -> Voided:
    # Not the vendor's fault where it was never asked, was asked to cancel, or did the work.
    is_late = not job.cancellation and (bool(job.last_reply) if job.work is None else is_open(job))
    work = job.work if isinstance(job.work, Completed | Failed) else None
    return Voided(
        job.job_id,
        job.quote,
        job.reserved_at,
        f"{work.reason}; {event.reason}" if isinstance(work, Failed) else event.reason,
        job.authorization,
        job.header,
        Cause.VENDOR if is_late or failed_by_vendor(job.work) else Cause.UNNEEDED,
        work,
        job.files,
        job.checkpoint,
    )
