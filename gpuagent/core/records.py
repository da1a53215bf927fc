"""Records as they are read: a wallet's history on chain, the ledgers' entries, a run's documents and their changes.

Amounts are atomic units, times Unix seconds; a payee is an address in lower case.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from gpuagent.core.credits import Credit
from gpuagent.core.model import OWN_PROTOCOL, Authorization, Token
from gpuagent.core.money import show_usd

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


@dataclass(frozen=True, slots=True)
class Incoming:
    """A final transfer of the token into a wallet, as the chain logs it. log_index: of its log in the block.

    Hashes and addresses are in lower case: with the token the first two are its identity.
    """

    transaction: str
    log_index: int
    block_number: int
    sender: str
    wallet: str
    amount: int

    @property
    def key(self) -> tuple[str, int]:
        return self.transaction, self.log_index

    def __str__(self) -> str:
        return f"{show_usd(self.amount)} from {self.sender} by {self.transaction}"


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
    """An authorization as recorded. contradiction: what its job says otherwise, in words, "" for nothing.

    refunded: what came back of it by chain, and is booked. credit: what its vendor says that it keeps of it. protocol:
    that the purchase went by.
    """

    run_id: str
    job_id: str
    vendor_id: str
    status: PaymentStatus
    authorization: Authorization
    contradiction: str = ""
    transaction: str = ""
    block_number: int = 0
    refunded: int = 0
    protocol: str = OWN_PROTOCOL
    credit: int = 0


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
    """The settled and held amounts of a run's own record, and what its jobs add up to.

    contradictions: of its jobs to themselves and to its payments, in words, by the job's id. payments_agree: whether
    its payments add up to the same as its jobs.
    """

    run_id: str
    version: int
    jobs_max: int
    settled: int
    held: int
    settled_by_jobs: int
    held_by_jobs: int
    contradictions: tuple[tuple[str, str], ...] = ()
    payments_agree: bool = True

    @property
    def adds_up(self) -> bool:
        return (self.settled, self.held) == (self.settled_by_jobs, self.held_by_jobs)

    @property
    def jobs_proven(self) -> bool:
        """Whether what the jobs add up to is what the run's record is to say."""
        return self.payments_agree and not self.contradictions


@dataclass(frozen=True, slots=True)
class Refund:
    """A transfer that is booked for a job. by: who assigned it, "" where the vendor's answer names it."""

    transfer: Incoming
    network: str
    asset: str
    vendor_id: str
    run_id: str
    job_id: str
    by: str = ""
    why: str = ""


class Refunds(Protocol):
    """What is booked of money that came back, and what vendors say of it. Addresses are in lower case."""

    def refunds(self, payer: str, token: Token) -> Iterable[Refund]: ...

    def claims(self, payer: str, token: Token) -> Iterable[tuple[Credit, Payment]]:
        """What vendors said that they give back, with the payment of the job."""
        ...

    def senders(self, payer: str, token: Token) -> Collection[str]:
        """The addresses that refunds come from: payees of the wallet, declared ones, and those of booked refunds."""
        ...

    def addresses(self) -> Mapping[str, str]:
        """By vendor, the address that it declared for refunds."""
        ...

    def payment_of(self, job_id: str) -> Payment:
        """The payment of a job. Raises BadInput where there is none."""
        ...


class Ledgers(Refunds, Protocol):
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
