"""A vendor's word that it gives money back: held against the job's payment, and booked beside it, once.

It changes nothing of the run: what is spent stays spent, whatever a vendor says. Booked before the step's own event is
saved, so that an agent which dies in between hears it again, and books it no second time.
"""

from gpuagent.core.credits import Credit, CreditClaim, bounded
from gpuagent.core.model import Ordered, Run
from gpuagent.core.ports.store import MoneyBack


def note_credit(run: Run, job: Ordered, claim: CreditClaim, store: MoneyBack, now: float) -> None:
    """Books the claim, as far as it can be true. Raises StoreError."""
    signed = job.authorization
    amount, note = bounded(claim, signed.amount, signed.payer, signed.network)
    credit = Credit(
        vendor_id=job.quote.vendor_id,
        run_id=run.run_id,
        job_id=job.job_id,
        wallet=signed.payer,
        kind=claim.kind,
        amount=amount,
        claimed="" if claim.amount is None else str(claim.amount),
        transaction=claim.transaction,
        note=note,
    )
    store.book_credit(credit, now)
