"""The records that a sweep compares: a wallet's history on chain, and what the ledgers hold. Plain values.

Amounts are atomic units, times Unix seconds; a payee is an address in lower case.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gpuagent.core.model import Authorization, Token

# On chain. A transfer is model.Transfer.


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the chain."""

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
class PayerRecord:
    """A wallet that some ledger names. from_block: where its first recorded payment may be, None if it has none."""

    payer: str
    first_run_at: float
    from_block: int | None


class PaymentStatus(StrEnum):
    """A recorded authorization: out, settled on chain, or released."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Payment:
    """An authorization as recorded. agrees: its job is in the state that goes with the status."""

    run_id: str
    job_id: str
    vendor_id: str
    status: PaymentStatus
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
    """The settled and held amounts of a run's own record, and what its jobs add up to."""

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


class Ledgers(Protocol):
    """The record of all runs, read from where it is written: what was saved before a read is in it."""

    def wallets(self, token: Token) -> Iterable[PayerRecord]: ...

    def payments(self, payer: str, token: Token) -> Iterable[Payment]: ...

    def again(self, payment: Payment) -> Payment:
        """The same payment, read anew."""
        ...

    def reservations(self, payer: str, token: Token) -> Iterable[Reservation]: ...

    def runs(self, payer: str) -> Iterable[RunRecord]: ...

    def run(self, run_id: str) -> RunRecord: ...
