"""The audit of a run: its ledger in MongoDB held against the chain, payment by payment."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuagent.books.findings import remedy
from gpuagent.core import budget
from gpuagent.core.model import Authorized, Job, Ledger, Reserved, Run, Settled, Settlement, Token, Voided
from gpuagent.core.money import show_usd
from gpuagent.core.ports.chain import Chain, Open, Void
from gpuagent.core.terms import unsigned_nonces
from gpuagent.errors import ChainMismatch


@dataclass(frozen=True, slots=True)
class Books:
    """The result of an audit, in atomic units. on_chain: what final transfers of this run's payments add up to.

    protocols: what was settled, by the protocol that it was bought by.
    """

    budget: int
    ledger: Ledger
    on_chain: int
    differences: tuple[str, ...]
    protocols: Mapping[str, int] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        return self.ledger.settled == self.on_chain and not self.differences


def audit(run: Run, recorded: Ledger, chain: Chain, token: Token) -> Books:
    """The run's record held against the chain, for every payment that the run signed or could have signed.

    recorded: the amounts that stand in the run's own record. Raises ChainError when the chain does not answer.
    """
    on_chain, differences = 0, []
    if recorded != budget.ledger(run):
        differences.append(f"the run's record says {recorded}, its jobs add up to {budget.ledger(run)}")
    for job in run.jobs:
        amount, difference = _audit_job(run.run_id, job, chain)
        on_chain += amount
        if difference:
            differences.append(f"job {job.job_id} with {job.quote.vendor_id}: {difference}")
    differences += [
        f"job {job.job_id} was signed for by {job.authorization.payer}, and the run is of wallet {run.payer}"
        for job in run.jobs
        if not isinstance(job, Reserved) and job.authorization and job.authorization.payer != run.payer
    ]
    differences += [
        f"nonce {spent} of this run is spent, but the ledger knows no payment of it "
        f"{remedy(run.run_id, 'adopt', spent)}"
        for spent in chain.spent(run.payer, unsigned_nonces(run, token))
    ]
    return Books(run.budget, recorded, on_chain, tuple(differences), _protocols(run))


def _protocols(run: Run) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for job in run.jobs:
        if isinstance(job, Settled):
            sums[job.quote.protocol] += job.quote.amount
    return dict(sorted(sums.items()))


def _audit_job(run_id: str, job: Job, chain: Chain) -> tuple[int, str]:
    """The amount that the job's payment moved for good, and how the ledger differs from that."""
    if isinstance(job, Reserved) or job.authorization is None:
        return 0, ""
    try:
        outcome, adopt = chain.outcome(job.authorization), remedy(run_id, "adopt", job.authorization.nonce)
    except ChainMismatch as error:
        return 0, f"{error} {remedy(run_id, 'write-off', job.job_id)}"
    signed = job.authorization.amount
    match job, outcome:
        case _ if job.quote.amount != signed:
            moved = signed if isinstance(outcome, Settlement) else 0
            return moved, f"quoted at {show_usd(job.quote.amount)}, signed for {show_usd(signed)}"
        case Settled(), Settlement(transaction):
            recorded = job.settlement.transaction
            same = transaction == recorded
            return job.quote.amount, "" if same else f"recorded {recorded}, on chain {transaction} {adopt}"
        case Authorized(), Settlement(transaction):
            return job.quote.amount, f"paid by {transaction}, still held in the ledger: tick the run"
        case Authorized(), Void(reason):
            return 0, f"{reason} on chain, still held in the ledger: tick the run"
        case Authorized(), Open():
            return 0, ""
        case Voided(), Settlement(transaction):
            return job.quote.amount, f"released in the ledger, but paid by {transaction} {adopt}"
        case Voided(), Open():
            return 0, "released in the ledger, but still payable on chain"
        case Settled(), _:
            return 0, f"recorded as paid by {job.settlement.transaction}, not paid on chain"
    return 0, ""
