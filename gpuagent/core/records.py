"""What a sweep holds against each other: a wallet's history on chain, and what the ledgers recorded. Plain values.

Amounts are atomic units, times Unix seconds; a payee is an address in lower case.
"""

from dataclasses import dataclass

from gpuagent.core.model import Authorization

# On chain. A transfer is model.Transfer.


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    time: int
    hash: str


@dataclass(frozen=True, slots=True)
class Spent:
    """A nonce of the wallet that no authorization can use again: used for a transfer, or cancelled."""

    nonce: str
    transaction: str
    cancelled: bool


# In the ledgers.


@dataclass(frozen=True, slots=True)
class Wallet:
    """A payer that some ledger knows. from_block: where its first recorded payment may be, None if it has none."""

    payer: str
    first_run_at: float
    from_block: int | None


@dataclass(frozen=True, slots=True)
class Payment:
    """An authorization as recorded. agrees: its job is in the state that goes with the status."""

    run_id: str
    job_id: str
    vendor_id: str
    status: str  # pending | completed | failed
    authorization: Authorization
    agrees: bool = True
    transaction: str = ""
    block_number: int = 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """Budget held for a quote, with nothing signed."""

    run_id: str
    job_id: str
    vendor_id: str
    amount: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run's own record says is settled and held, and what its jobs add up to."""

    run_id: str
    version: int
    jobs_max: int
    settled: int
    held: int
    settled_by_jobs: int
    held_by_jobs: int

    @property
    def adds_up(self) -> bool:
        return (self.settled, self.held) == (self.settled_by_jobs, self.held_by_jobs)
