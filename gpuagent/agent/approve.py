"""A user's orders to a run: approve or reject a purchase, readmit a vendor, cancel the run. Needs no key, no chain."""

from gpuagent.agent.save import save_event
from gpuagent.core import policy
from gpuagent.core.events import Event, JobDropped, PurchaseApproved, RunCancelled, VendorReadmitted
from gpuagent.core.model import Cause, Reserved, Run, RunStatus
from gpuagent.core.money import show_usd
from gpuagent.core.ports.clock import Clock
from gpuagent.core.ports.store import Runs
from gpuagent.core.text import check_signed
from gpuagent.errors import BadInput


def approve(run_id: str, by: str, amount: int, store: Runs, clock: Clock, job_id: str = "") -> Run:
    """Approve the one purchase that waits, or job_id; it is signed at the next tick, at the price quoted.

    amount: the price that the approver saw, in atomic units: a vendor may have quoted anew meanwhile. The request
    ends by the database's clock, wherever the approver is. Raises
    UnknownRun, and BadInput when nothing waits, for another amount, and when the request has expired.
    """
    check_signed(by)

    def approval(run: Run) -> Event:
        job, now = waiting(run, job_id), store.now()
        if job.quote.amount != amount:
            raise BadInput(
                f"what waits now is {show_usd(job.quote.amount)} for {job.quote.vendor_id}, not {show_usd(amount)}: "
                f"look again, `gpuagent run status {run.run_id}`"
            )
        if job.approval is None or now >= job.approval.expires_at:
            raise BadInput(f"the request has expired with its quote: tick run {run.run_id}, and it will ask again")
        return PurchaseApproved(job.job_id, by, now)

    return save_event(run_id, approval, store, clock)


def reject(run_id: str, by: str, why: str, store: Runs, clock: Clock, job_id: str = "") -> Run:
    """Refuse the purchase that waits: the run looks elsewhere, and does not ask again at that price.

    Raises UnknownRun, and BadInput when nothing waits.
    """
    check_signed(by, why)

    def rejection(run: Run) -> Event:
        return JobDropped(waiting(run, job_id).job_id, f"rejected by {by}: {why}", Cause.PERSON)

    return save_event(run_id, rejection, store, clock)


def readmit(run_id: str, vendor_id: str, by: str, why: str, store: Runs, clock: Clock) -> Run:
    """Let the run pay a vendor again that it ended with after a dispute, or a job that failed within seconds.

    What the vendor was paid stays spent, and counts against its reliability. Raises UnknownRun, and BadInput when the
    run has ended, or has not ended with this vendor.
    """
    check_signed(by, why)

    def readmission(run: Run) -> Event:
        if run.status is not RunStatus.RUNNING:
            raise BadInput(f"run {run.run_id} has {run.status} already: start another, which may pay {vendor_id}")
        if not policy.has_ended_with(run, vendor_id):
            raise BadInput(f"run {run.run_id} may pay {vendor_id!r} as it is: nothing there was disputed")
        return VendorReadmitted(vendor_id, by, why)

    return save_event(run_id, readmission, store, clock)


def cancel(run_id: str, by: str, why: str, store: Runs, clock: Clock) -> Run:
    """End the run: no new signature. What is out is cancelled on chain by the next tick, or followed to its end.

    Raises UnknownRun, and BadInput when the run has ended.
    """
    check_signed(by, why)

    def cancellation(run: Run) -> Event:
        if run.status is not RunStatus.RUNNING:
            raise BadInput(f"run {run.run_id} has {run.status} already")
        return RunCancelled(by, why)

    return save_event(run_id, cancellation, store, clock)


def waiting(run: Run, job_id: str = "") -> Reserved:
    """The purchase that waits for approval. Raises BadInput when there is none, or several and no job_id."""
    jobs = [job for job in run.jobs if isinstance(job, Reserved) and job.unapproved and job_id in ("", job.job_id)]
    if not jobs:
        raise BadInput(f"nothing of run {run.run_id} waits for approval: `gpuagent run status {run.run_id}` shows it")
    if len(jobs) > 1:
        ids = ", ".join(job.job_id for job in jobs)
        raise BadInput(f"{len(jobs)} purchases wait, name one by --job: {ids}")
    return jobs[0]
