"""Records as they are read: a wallet's history on chain, the ledgers' entries, a run's documents and their changes.

Amounts are atomic units, times Unix seconds; a payee is an address in lower case.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

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
    """A nonce of the wallet that no authorization can use again: used for a transfer, or cancelled, in this block."""

    nonce: str
    transaction: str
    cancelled: bool
    block_number: int = 0


# In a report.


@dataclass(frozen=True, slots=True)
class ReportScope:
    """The rows that a report is about: since <= t < until, with time zones. An empty user or tag: all of them."""

    network: str
    since: datetime
    until: datetime
    user: str = ""
    tag: str = ""


# In the ledgers.


@dataclass(frozen=True, slots=True)
class PayerRecord:
    """A wallet that some ledger names.

    first_usable: when the first of its recorded payments can have been used, by the chain; None if it has none.
    """

    payer: str
    first_run_at: float
    first_usable: int | None


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


# A run's documents, for views.


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """The documents of one run at one moment, without anything that was signed.

    decision: the agent_reasoning that was asked for, or the newest, whole; decisions: all, without data, oldest first.
    observations: without data, the newest first. metrics: of each job, in the order they came, thinned out evenly where
    they are many: jobId, position, and the metric as a mapping.
    """

    run: Mapping[str, Any]
    jobs: Sequence[Mapping[str, Any]]
    payments: Sequence[Mapping[str, Any]]
    decision: Mapping[str, Any] | None
    observations: Sequence[Mapping[str, Any]]
    metrics: Sequence[Mapping[str, Any]] = ()
    decisions: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A write to a run's document, or a moment of watching without one.

    kind: run, job, payment, observation or (of all runs) policy, with the whole document as it now is in the
    database, but for a payment's signed header; or open or idle, without one. token: watch() goes on after this
    change with it. changed: the fields that this very write set, where document may be of a later one; all, for a
    new document.
    """

    kind: str
    token: str
    document: Mapping[str, Any]
    changed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobLogLine:
    """A line of a job's log, with the vendor that sent it; at: when it was stored."""

    id: str
    at: datetime
    job_id: str
    vendor_id: str
    text: str
