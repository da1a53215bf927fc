"""The write-off of a payment that moved something else than its ledger says: booked as spent, with a name and a reason.

Never automatic. A hold is released by it only where the chain proves that it can never be paid.
"""

from dataclasses import replace

from gpuagent.books.repair import Sources
from gpuagent.books.unclaimed import book, moved_instead, undecided
from gpuagent.core.events import PaymentAdopted, PaymentVoided
from gpuagent.core.model import Authorized, Reserved, Run, Settlement
from gpuagent.core.ports.chain import Void
from gpuagent.core.text import check_signed
from gpuagent.errors import BadInput, ChainMismatch


def write_off(run_id: str, job_id: str, by: str, why: str, sources: Sources) -> Run:
    """The run without the hold of the job, whose terms can never match: the amount that its nonce moved is spent.

    Only what can never be paid is released. Raises BadInput where the chain does not prove either, ChainMismatch where
    it does not show what the nonce moved, ChainError, StoreError.
    """
    check_signed(by, why)
    return book(run_id, lambda run: _written_off(run, job_id, by, why, sources), sources)


def _written_off(run: Run, job_id: str, by: str, why: str, sources: Sources) -> PaymentAdopted | PaymentVoided:
    job = next((job for job in run.jobs if job.job_id == job_id), None)
    if job is None:
        raise BadInput(f"run {run.run_id} has no job {job_id}")
    if isinstance(job, Reserved) or job.authorization is None:
        raise BadInput(f"nothing was signed for job {job_id} of run {run.run_id}: a tick releases such a hold")
    signed = job.authorization
    try:
        outcome = sources.chain.outcome(signed)
    except ChainMismatch as mismatch:
        transfer = moved_instead(job_id, signed, sources)
        if transfer is None:
            raise ChainMismatch(f"{mismatch}. What it moved is not shown, so nothing was written off") from mismatch
        terms = replace(signed, payee=transfer.payee, amount=transfer.amount)
        settlement = sources.chain.outcome(terms)
        if not isinstance(settlement, Settlement):
            raise
        quote = replace(job.quote, pay_to=transfer.payee, amount=transfer.amount)
        return PaymentAdopted(job_id, quote, terms, settlement, by, why, sources.clock.now(), written_off=True)
    if isinstance(outcome, Void) and isinstance(job, Authorized):
        return PaymentVoided(job_id, f"{outcome.reason}; written off by {by}: {why}")
    if isinstance(outcome, Settlement):
        raise BadInput(f"it was paid on just its terms, by {outcome.transaction}: there is nothing to write off")
    raise BadInput(f"{undecided(outcome, signed)}: nothing is released, and what is recorded as spent stays so")
