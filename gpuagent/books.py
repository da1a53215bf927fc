"""The books of a run: the ledger in MongoDB held against the chain, payment by payment."""

from dataclasses import dataclass

from gpuagent import budget
from gpuagent.errors import ChainMismatch
from gpuagent.model import Authorized, Job, Reserved, Run, Settled, Settlement, Voided
from gpuagent.ports import Chain, Open, Void


@dataclass(frozen=True, slots=True)
class Books:
    """Amounts in atomic units. on_chain: what final transfers of this run's payments add up to."""

    budget: int
    settled: int
    held: int
    planner_cost: int
    available: int
    on_chain: int
    differences: tuple[str, ...]

    @property
    def balanced(self) -> bool:
        parts = self.settled + self.held + self.planner_cost + self.available
        return self.budget == parts and self.settled == self.on_chain and not self.differences


def audit(run: Run, chain: Chain) -> Books:
    """Ask the chain about every payment that was ever signed. Raises ChainError when it does not answer."""
    on_chain, differences = 0, []
    for job in run.jobs:
        found, difference = _audit_job(job, chain)
        on_chain += found
        if difference:
            differences.append(f"job {job.job_id} with {job.quote.vendor_id}: {difference}")
    return Books(
        budget=run.budget,
        settled=budget.settled(run),
        held=budget.held(run),
        planner_cost=run.planner_cost,
        available=budget.available(run),
        on_chain=on_chain,
        differences=tuple(differences),
    )


def _audit_job(job: Job, chain: Chain) -> tuple[int, str]:
    """What the job's payment moved for good, and how the ledger differs from that."""
    if isinstance(job, Reserved) or job.authorization is None:
        return 0, ""
    try:
        outcome = chain.outcome(job.authorization)
    except ChainMismatch as error:
        return 0, str(error)
    match job, outcome:
        case Settled(), Settlement(transaction):
            recorded = job.settlement.transaction
            same = transaction == recorded
            return job.quote.amount, "" if same else f"recorded {recorded}, on chain {transaction}"
        case Authorized(), Settlement(transaction):
            return job.quote.amount, f"paid by {transaction}, still held in the ledger: tick the run"
        case Authorized(), Void(reason):
            return 0, f"{reason} on chain, still held in the ledger: tick the run"
        case Authorized(), Open():
            return 0, ""
        case Voided(), Settlement(transaction):
            return job.quote.amount, f"released in the ledger, but paid by {transaction}"
        case Voided(), Open():
            return 0, "released in the ledger, but still payable on chain"
        case Settled(), _:
            return 0, f"recorded as paid by {job.settlement.transaction}, not paid on chain"
    return 0, ""
