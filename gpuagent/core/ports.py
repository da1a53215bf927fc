"""Ports: the interfaces that the core needs from outside. Adapters match them by shape; nothing to subclass."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, runtime_checkable

from gpuagent.core.alerts import AlertKind, Claimed, Message
from gpuagent.core.context import Context, PastJob, Thought
from gpuagent.core.credits import Credit
from gpuagent.core.listings import Declaration, Listing, ListReading, UnpaidAnswer
from gpuagent.core.model import (
    NO_ACCESS,
    Authorization,
    Authorized,
    Challenge,
    JobAccess,
    Observation,
    Quote,
    Reserved,
    Run,
    Settled,
    Settlement,
    Submitted,
    Terms,
    Token,
    Transfer,
    Vendor,
)
from gpuagent.core.pace import Pace
from gpuagent.core.policy import Policy, Usage
from gpuagent.core.records import Block, Incoming, Refund, Spent
from gpuagent.core.work import FileEntry, JobReport


class Clock(Protocol):
    """The agent's clock."""

    def now(self) -> float:
        """Unix seconds, whole milliseconds. Paces the agent; decides about money only with others: core/clocks."""
        ...


@dataclass(frozen=True, slots=True)
class Footing:
    """What any order is held against, all of one read. now: the database's clock, Unix seconds.

    policy: the rules in force; raises PolicyRefused when there are none. vendors: all recorded ones, by vendor_id.
    """

    now: float
    policy: Callable[[], Policy]
    vendors: Callable[[], Sequence[Vendor]]


@dataclass(frozen=True, slots=True)
class Standing:
    """A run, and what its steps are held against, all of one read; otherwise as Footing has it."""

    run: Run
    now: float
    policy: Callable[[], Policy]
    vendors: Callable[[], Sequence[Vendor]]


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """usage: what counts against the policy's caps. past: the vendors' newest ended jobs, as past_jobs() has them."""

    usage: Usage
    past: Sequence[PastJob]


class Runs(Protocol):
    """The runs with their jobs, payments and observations."""

    def now(self) -> float:
        """The database's clock, which is one for all agents and approvers. Unix seconds."""
        ...

    def new_id(self) -> str:
        """An id for a run: 24 hex digits, never given before."""
        ...

    def create(self, run: Run) -> None:
        """Raises DuplicateRun when there is one of this id; then nothing was written."""
        ...

    def load(self, run_id: str) -> Run:
        """Raises UnknownRun."""
        ...

    def footing(self, kept_s: float = 0.0) -> Footing:
        """The rules, the vendors and the clock. kept_s: what was read so many seconds ago at most will do."""
        ...

    def standing(self, run_id: str) -> Standing:
        """The run with the rules, the vendors and the clock. Raises UnknownRun."""
        ...

    def save(self, before: Run, after: Run, observations: Sequence[Observation], at: float) -> Run:
        """All of it or nothing, compare-and-swap on before.version. The run with its new version.

        A job that is newly reserved or newly authorized is held against the policy in the same transaction, whose
        day ends at `at`, but never later than by the database's clock.
        Raises StaleRun when another tick saved first, DuplicateVendorJob when a vendor's job id is taken,
        PolicyRefused when a rule of the policy says no.
        """
        ...


class Rules(Protocol):
    """The owner's policy, and what counts against its caps."""

    def policy(self) -> Policy:
        """The rules in force. Raises PolicyRefused when there are none."""
        ...

    def usage(
        self,
        run: Run,
        network: str,
        vendor_ids: Sequence[str],
        at: float,
        job_id: str = "",
        rules: Policy | None = None,
    ) -> Usage:
        """What counts against the policy's caps on the network, without the job itself.

        at: where a day ends, Unix seconds; never later than by the database's clock. rules: those whose caps are
        meant, the ones in force unless given.
        """
        ...

    def halt_payee(self, vendor: Vendor, why: str, at: float) -> bool:
        """Halt a vendor that names another payee than `vendor`, the record that it was held against; once.

        False where it is halted already, or is on record with another payee by now: then nothing is written.
        """
        ...


class Vendors(Protocol):
    """The recorded vendors and what became of their jobs."""

    def vendors(self) -> Sequence[Vendor]:
        """All recorded vendors, by vendor_id."""
        ...

    def past_jobs(self, run: Run, network: str, vendor_ids: Sequence[str], limit: int) -> Sequence[PastJob]:
        """The vendors' newest ended jobs on the network in all other runs, at most `limit` of each, oldest first.

        A purchase that fell through by the vendor's doing is among them, as a failure that cost nothing.
        """
        ...

    def track_record(
        self, run: Run, network: str, vendor_ids: Sequence[str], at: float, limit: int, rules: Policy | None = None
    ) -> TrackRecord:
        """Rules.usage() and past_jobs() of the same vendors, read together."""
        ...


class MoneyBack(Protocol):
    """What came back, and what is said to. Neither changes a run, its budget, or what counts against a cap."""

    def book_credit(self, credit: Credit, at: float) -> bool:
        """Books a vendor's word, once for a job and kind; False where there was one, which stays as it is."""
        ...

    def book_refund(self, refund: Refund, at: float) -> bool:
        """Books a transfer for a job, once; False where this transfer is booked, whatever it is booked for.

        Raises Refused, and nothing is written, where the job was not paid so, or more would come back than was paid.
        """
        ...


class Store(Runs, Rules, Vendors, MoneyBack, Protocol):
    """All together, as one database holds them."""


class Wallet(Protocol):
    """The wallet that pays: it signs one payment, or the transaction that cancels one."""

    @property
    def address(self) -> str: ...

    @property
    def token(self) -> Token: ...

    def sign(self, authorization: Authorization, terms: Terms, identifier: str) -> str:
        """The PAYMENT-SIGNATURE header value for exactly this authorization. Raises Refused, WalletError.

        identifier: the x402 payment identifier to declare, or "" for none.
        """
        ...

    def cancel(self, authorization: Authorization, gas: "Gas") -> str:
        """A raw transaction (EIP-1559, 0x hex) that cancels the authorization on chain, for Chain.send().

        It races the settlement, and either may win. Raises Refused when the authorization is not of this wallet
        and token, or gas.balance cannot pay for it, and WalletError; no signature leaves the wallet then.
        """
        ...


# The outcome of an authorization on chain.


@dataclass(frozen=True, slots=True)
class Open:
    """Undecided at the final block. used: the newest block already holds it. now: that block's time."""

    now: int
    used: bool


@dataclass(frozen=True, slots=True)
class Void:
    """Expired unused (EXPIRED) or cancelled, at a final block: it can never settle."""

    reason: str


EXPIRED = "expired unused"

Outcome = Open | Settlement | Void


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block, and what an address holds of the token there (atomic units).

    spent: which of the nonces that were asked about it holds as used or cancelled. latest: the time that the furthest
    of several nodes gives, 0 where there is one.
    """

    number: int
    time: int
    balance: int
    spent: tuple[str, ...] = ()
    latest: int = 0


@dataclass(frozen=True, slots=True)
class Gas:
    """The cost of a transaction of an address now. Amounts in wei of the chain's own coin, fees per unit of gas."""

    count: int
    """Transactions the address has sent, pending ones included."""
    max_fee: int
    priority_fee: int
    balance: int


CANCEL_GAS = 100_000
"""Gas limit of a cancellation, which takes about 60,000 on Circle's token; what is not used is not paid."""


class Chain(Protocol):
    """Every method raises ChainError when the chain does not answer or is another chain."""

    def head(self, address: str, nonces: Sequence[str] = ()) -> Head:
        """nonces: of the address, to be told of too."""
        ...

    def spent(self, payer: str, nonces: Sequence[str]) -> Sequence[str]:
        """Which of these nonces the newest block holds as used or cancelled."""
        ...

    def outcome(self, authorization: Authorization, transaction: str = "") -> Outcome:
        """All reads pinned to one block. Raises ChainMismatch when the nonce paid something else.

        transaction: where the use is looked for first, by anyone's word: it proves itself or counts for nothing.
        """
        ...

    def gas(self, address: str) -> Gas: ...

    def send(self, transaction: str) -> str:
        """Hand in a raw transaction (0x hex); its hash. One that is known already is no error.

        Says nothing of what becomes of it: ask outcome().
        """
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What a node answers at once. keeps_past: whether it reads the token as it was at past blocks."""

    logs_span: int
    """Blocks in one query for logs."""
    batch: int
    """Calls in one request; 1 where it takes no batches."""
    keeps_past: bool


class Node(Chain, Protocol):
    """A chain as a node shows it: the port, and the history that a sweep reads. Raises as Chain does."""

    @property
    def token(self) -> Token: ...

    def check(self) -> None:
        """Raises ChainError unless this is the token's chain, and everything is there that a payment will need."""
        ...

    def limits(self) -> Limits:
        """Found by asking for more and more at once."""
        ...

    def final(self) -> Block:
        """The newest block that counts as final."""
        ...

    def block(self, number: int) -> Block | None:
        """None where the node does not keep it."""
        ...

    def history(self, payer: str, first: int, last: int) -> Iterator[Transfer | Spent]:
        """The transfers out of the account and the nonces it spent, in these blocks, in order."""
        ...

    def incoming(self, wallet: str, first: int, last: int) -> Iterator[Incoming]:
        """The transfers of the token into the account in these blocks, in order."""
        ...

    def transfers(self, payer: str, from_block: int) -> tuple[Transfer, ...]: ...

    def close(self) -> None: ...


class VendorApi(Protocol):
    """The vendor's HTTP interface. Whatever a vendor does, a method raises VendorError and nothing else."""

    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
        """A quote for just this order (core/orders), whose hash the vendor repeats. "" asks for a job without one.

        Where the protocol has no quotes it is what an unpaid order is asked for now, good for a short time.
        Raises JobSecretMissing, as challenge() and submit() do, where a secret of the order is not set here.
        """
        ...

    def input_received(self, vendor: Vendor, job: Reserved, file: FileEntry) -> int:
        """The bytes that the vendor has of a file that the job needs; file.bytes when it has all of it."""
        ...

    def send_input(self, vendor: Vendor, job: Reserved, file: FileEntry, start: int, parts: Iterable[bytes]) -> int:
        """Sends what follows after `start` bytes, which is what input_received() said; the bytes it has then.

        It ends early where its time is over, or where the vendor has other bytes than it was sent.
        """
        ...

    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        """Submit without payment; the decoded 402."""
        ...

    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        """Submit with the stored header, and nothing else that could pay. What it says of money is not believed."""
        ...

    def status(
        self,
        vendor: Vendor,
        vendor_job_id: str,
        after: str = "",
        secrets: Sequence[str] = (),
        access: JobAccess = NO_ACCESS,
    ) -> JobReport:
        """News of the job. after: the cursor of the news that is known, "" for all of it.

        secrets: the names of those that the job got (orders.secret_names), whose values are taken out of the answer.
        access: what the vendor gave for this job when it was ordered.
        """
        ...

    def read_file(
        self,
        vendor: Vendor,
        vendor_job_id: str,
        file: FileEntry,
        start: int,
        seconds: float,
        checkpoint: str = "",
        secrets: Sequence[str] = (),
        access: JobAccess = NO_ACCESS,
    ) -> Iterator[bytes]:
        """The content from a byte on, unproven; ends early once so many seconds have passed. Close it.

        Raises VendorError where nothing at all came in that time. Where there are more than file.bytes, one of those
        comes too. checkpoint: the SHA-256 of the checkpoint's manifest that the file is of, "" for an output.
        secrets, access: as status().
        """
        ...

    def cancel(
        self, vendor: Vendor, vendor_job_id: str, secrets: Sequence[str] = (), access: JobAccess = NO_ACCESS
    ) -> str:
        """Says that the job is not needed any more; the vendor's answer in words. secrets, access: as status()."""
        ...


class Discovery(Protocol):
    """Strangers who sell, and who lists them. Nothing is paid, and no token is sent."""

    def listings(self, list_url: str, query: str) -> ListReading:
        """The rows of a public list that may fit a query in words. Raises BadInput, ListUnavailable."""
        ...

    def unpaid(self, listing: Listing) -> UnpaidAnswer:
        """The 402 to the listed resource's declared order. Raises VendorError."""
        ...

    def declarations(self, url: str) -> Sequence[Declaration]:
        """The vendors that the well-known document of a server has; none where it has no such document.

        Raises BadInput for a URL that is not asked, VendorError for a document that cannot be read.
        """
        ...


class Planner(Protocol):
    """A planner: it chooses what to do next."""

    @property
    def name(self) -> str: ...

    def decide(self, context: Context, objection: str = "") -> Thought:
        """The decision for this context. objection: why the guard refused the answer that was given to it before.

        It may spend up to context.asking_max on finding out, and says what it spent; one that might need more does
        not begin. Thought.record holds what it has of model, promptHash, prompt, rawReply, tokens (prompt and
        completion) and scores (by vendor_id, of any shape). Raises PlannerError, with its cost, when no usable answer
        came.
        """
        ...


class FileStore(Protocol):
    """Files by the SHA-256 of their content. Safe to share between threads. Every method raises StoreError.

    A file arrives under an upload's id, part by part and over as many ticks as it takes; it is there for others once
    its content has been proven. An upload's id stands for one announced content, and is given to no other. Two ticks
    may extend and finish one upload at the same time: no byte of it is kept twice, and none is lost. Once it is
    finished it stays so for as long as the file is there and the upload is not swept: a tick that was killed before it
    could save what it did may do it again. Content that is there already is kept once, and yet each upload of it must
    have come whole.
    """

    def size(self, sha256: str) -> int | None:
        """The bytes of a file; None where it is not there."""
        ...

    def received(self, upload: str) -> int:
        """The bytes of an upload that are kept so far."""
        ...

    def extend(self, upload: str, start: int, parts: Iterable[bytes], size: int) -> int:
        """Keeps what follows after `start` bytes, which is what received() said; the bytes that are kept then.

        size: of the whole. What goes beyond it raises FileAltered.
        """
        ...

    def finish(self, upload: str, sha256: str, size: int) -> None:
        """Proves an upload's content and makes a file of it.

        Raises FileAltered for another content, FileMissing where nothing of it is there, and drops the upload.
        """
        ...

    def read(self, sha256: str, start: int = 0) -> Iterator[bytes]:
        """The content from a byte on. Raises FileMissing."""
        ...

    def delete(self, sha256: str, before: float | None = None) -> int:
        """Deletes a file; the bytes that became free. before: only if no upload of it was finished since."""
        ...

    def older(self, before: float) -> Iterator[tuple[str, int]]:
        """The files of which no upload was finished since a time: SHA-256 and bytes."""
        ...

    def sweep(self, before: float, *, dry_run: bool = False) -> int:
        """Drops the uploads that nothing came to since a time and that were never finished; the bytes that became free.

        The proofs of finished ones are dropped then too. dry_run: says what would become free, and drops nothing.
        """
        ...

    def sharers(self) -> Sequence[str]:
        """The other databases that keep files here too, in words: what they need, this one's record does not name."""
        ...


@runtime_checkable
class Depot(Protocol):
    """The part of a file store that others reach by signed URLs, where it has one. Every method raises StoreError.

    A folder is of one job. Its name cannot be guessed, and each URL reads or writes one object and nothing else. What
    is there is whatever somebody wrote: it counts for nothing until it is proven.
    """

    def new_folder(self) -> str: ...

    def url(self, sha256: str, seconds: int) -> str:
        """A URL that reads one file of the store, for so long."""
        ...

    def place_url(self, folder: str, name: str, seconds: int, *, write: bool = False) -> str:
        """A URL that reads, or writes, one object of a folder, for so long."""
        ...

    def leave(self, folder: str, name: str, content: bytes) -> None:
        """Writes an object, or writes it again."""
        ...

    def fetch(self, folder: str, name: str, start: int = 0) -> Iterator[bytes]:
        """An object's content from a byte on, unproven. Raises FileMissing."""
        ...


class Outbox(Protocol):
    """The alerts that were written, and what became of each in each channel. Every method raises StoreError."""

    def now(self) -> float:
        """The database's clock, Unix seconds."""
        ...

    def note_late_holds(self) -> None:
        """Write alerts of the holds that are late by now, once each."""
        ...

    def join(self, channel: str) -> float:
        """Since when the channel gets alerts, Unix seconds: it is sent none that is older than its first sender."""
        ...

    def claim(self, channel: str, since: float, kinds: Sequence[AlertKind]) -> Claimed | None:
        """The oldest alert of these kinds that is due for the channel, the caller's alone for a while."""
        ...

    def mark_sent(self, claim: Claimed, skipped: str = "") -> None:
        """The channel took it. skipped: why it was not sent at all, and never will be."""
        ...

    def mark_failed(self, claim: Claimed, problem: str) -> None:
        """The channel did not take it: it is due again after a while, which doubles with each attempt."""
        ...


class Messenger(Protocol):
    """Channels by which users are told."""

    def send(self, channel: str, message: Message) -> str:
        """The problem, without any address or secret; "" where the channel took the message."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All ports of one agent. planners: by name, "stub" among them, which decides where another fails.

    files: the file store, where runs with a workload keep their inputs and results.
    """

    store: Store
    planners: Mapping[str, Planner]
    wallet: Wallet
    chain: Chain
    vendor_api: VendorApi
    clock: Clock
    files: FileStore
    pace: Pace = field(default_factory=Pace)
