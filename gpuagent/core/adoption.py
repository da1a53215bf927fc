"""The adoption of a payment: what a run is once a user has booked what the chain proves of a nonce. Pure."""

from dataclasses import replace

from gpuagent.core import budget
from gpuagent.core.events import PaymentAdopted
from gpuagent.core.model import HEADER_LOST, NO_ACCESS, Authorized, Job, Quote, Reserved, Run, Settled
from gpuagent.core.work import Completed, Failed, Owed, Work
from gpuagent.errors import IllegalTransition


def adopted(run: Run, event: PaymentAdopted) -> Run:
    """The run with the payment as the chain shows it, in place of what it held of the job.

    Raises IllegalTransition where the job signed another nonce, and BudgetExceeded.
    """
    job = next((job for job in run.jobs if job.job_id == event.job_id), None)
    header = ""
    if job and not isinstance(job, Reserved) and job.authorization:
        if job.authorization.nonce != event.authorization.nonce:
            raise IllegalTransition(f"{event} is another payment than that of {job}")
        header = job.header
    if event.quote.amount != event.authorization.amount:
        raise IllegalTransition("the authorization differs from the quote")
    ordered = job if job and not isinstance(job, Reserved) else None
    after = Settled(
        event.job_id,
        _as_bought(event.quote, job.quote) if job else event.quote,
        job.reserved_at if job else float(event.settlement.at),
        event.authorization,
        header or HEADER_LOST,
        event.settlement,
        _work(job, event, header),
        ordered.files if ordered else (),
        ordered.checkpoint if ordered else None,
        job.access if isinstance(job, Authorized | Settled) else NO_ACCESS,
    )
    jobs = tuple(after if j.job_id == after.job_id else j for j in run.jobs) if job else (*run.jobs, after)
    return budget.check(replace(run, jobs=jobs, waits=0, wait_until=0))


def _as_bought(proven: Quote, quote: Quote) -> Quote:
    """What the chain proves, with what only the job's own quote says."""
    return replace(
        proven,
        order=quote.order,
        accepts=quote.accepts,
        protocol=quote.protocol,
        index=quote.index,
        hedges=quote.hedges,
    )


def _work(job: Job | None, event: PaymentAdopted, header: str) -> Work:
    """What is known of the work. Without the signed bytes the vendor cannot be asked for it."""
    if job and not isinstance(job, Reserved) and isinstance(job.work, Completed):
        return job.work  # its result counts, wherever the money went: it is not to be bought again
    if event.written_off:
        return Failed(f"written off by {event.by}: {event.why}", event.at)
    if job and not isinstance(job, Reserved) and job.work:
        return job.work
    if header:
        return Owed(event.at)
    return Failed(f"adopted by {event.by}: {event.why}; the signed bytes that ask for the job are lost", event.at)
