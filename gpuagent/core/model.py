"""The nouns of a run: immutable values, no I/O.

Amounts are int atomic units of one asset (money.py); times are Unix seconds; addresses are hex strings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from gpuagent.core.work import Checkpoint, Completed, Failed, JobFile, Work


class RunStatus(StrEnum):
    """The status of a run; ended in two of three."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class Phase(StrEnum):
    """The state of a run as users see it. Derived from it, never decided."""

    PLANNING = "PLANNING"
    APPROVAL = "APPROVAL"
    EXECUTING = "EXECUTING"
    WAITING = "WAITING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


class Cause(StrEnum):
    """The reason why a purchase came to nothing: only the first says anything about the vendor."""

    VENDOR = "vendor"
    POLICY = "policy"
    PERSON = "person"
    UNNEEDED = "unneeded"


class Action(StrEnum):
    """A planner's three choices."""

    START_JOB = "start_job"
    WAIT = "wait"
    ABORT = "abort"


class ObservationType(StrEnum):
    """The kinds of observation; REASONING is a planner's decision."""

    REASONING = "agent_reasoning"
    LOG = "job_log"
    ERROR = "error"
    PAYMENT = "payment_event"
    METRIC = "metric"


class Settles(StrEnum):
    """The moment when a vendor takes the payment that it was authorized: before it works, or after it succeeded."""

    BEFORE = "before"
    AFTER = "after"


TIMEOUT_MAX_S = 600
"""A vendor that wants its authorization to live longer is refused, unless its record says otherwise."""
OWN_PROTOCOL = "gpuagent/1"
"""The protocol of docs/vendors.md, which records without a word of it mean."""
SECRET_FIELDS = ("header", "access", "envelope")
"""Fields of stored documents that are never shown: a header is the signature that moves the money, access is what the
vendor gave to reach one job by, envelope what we gave it to reach the job's files."""


@dataclass(frozen=True, slots=True)
class Token:
    """The one asset a wallet pays with, pinned by configuration. name and version are its EIP-712 domain."""

    network: str  # CAIP-2, such as eip155:8453
    address: str
    name: str
    version: str

    @property
    def chain_id(self) -> int:
        return int(self.network.removeprefix("eip155:"))


@dataclass(frozen=True, slots=True)
class Payer:
    """The wallet that pays.

    kind: who holds its key, `key` (the environment), `keystore` or `cdp`. cdp_policies: ids of CDP's for the account.
    """

    address: str
    kind: str
    cdp_policies: tuple[str, ...] = ()

    @property
    def custody(self) -> str:
        """The place of the key, in words."""
        return {"key": "in the environment", "keystore": "in a keystore", "cdp": "at CDP"}[self.kind]


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A wallet's private key, encrypted with a password. text: what a keystore file holds."""

    address: str
    text: str


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor as the operator recorded it. pay_to is pinned here, never taken from what the vendor sends.

    secret_env: the variable of the bearer token, "" for a vendor without accounts. trusted: the operator's word that it
    may get secrets, and files that the policy keeps from others. protocol: how to speak to it, by the name of an
    adapter; x402_version: of its 402, and no other is read. settles: when it takes what it was authorized.
    max_authorization_s: the life that an authorization may have here, 0 for the agent's own pace. proven: False for one
    whose first purchases stay under the policy's new_vendor. refund_address: where its refunds come from beside pay_to,
    "" for nowhere else.
    """

    vendor_id: str
    name: str
    endpoint: str
    pay_to: str
    network: str
    asset: str
    secret_env: str
    base_price_per_hour: int
    reliability: float
    gpu_types: tuple[str, ...]
    enabled: bool = True
    trusted: bool = False
    protocol: str = OWN_PROTOCOL
    x402_version: int = 2
    settles: Settles = Settles.BEFORE
    max_authorization_s: int = 0
    proven: bool = True
    refund_address: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The place in the file store by which a job that takes no files gets them, and leaves its own; both are secrets.

    folder: its name, which nobody can guess. url: reads the list of the job's signed URLs there, once there is one.
    """

    folder: str = field(default="", repr=False)
    url: str = field(default="", repr=False)


NO_ENVELOPE = Envelope()


@dataclass(frozen=True, slots=True)
class Quote:
    """A vendor's binding price for one job, and whom it wants paid, which must be the recorded payee.

    order: the canonical text of what the job is to do (orders.py), "" without a workload. accepts: what the vendor can.
    envelope: made for this quote, where the order goes as a command that fetches and sends its files itself.
    protocol: of the vendor's record when it was asked, whatever that says later. index: which of the run's jobs it is.
    hedges: the job_id of the late job whose work this one buys once more (hedging.py), "" for none.
    """

    vendor_id: str
    template_id: str
    amount: int
    pay_to: str
    network: str
    asset: str
    expires_at: float
    eta_s: float
    gpu_type: str
    max_hours: Decimal
    order: str = ""
    accepts: tuple[str, ...] = ()
    envelope: Envelope = field(default=NO_ENVELOPE, repr=False)
    protocol: str = OWN_PROTOCOL
    index: int = 0
    hedges: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A planner's answer. The guard checks it; it never names an amount or an address."""

    action: Action
    reason: str
    vendor_id: str = ""
    max_hours: Decimal = Decimal(0)
    wait_until: float = 0


@dataclass(frozen=True, slots=True)
class Echo:
    """The parts of a 402 that the header which pays repeats beside the terms: inert, bounded, sent to nobody else.

    version: of x402, in which the 402 came and the header is written. network: its name there, in version 1.
    """

    version: int = 2
    network: str = ""
    resource: Mapping[str, object] = field(default_factory=dict)
    extensions: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terms:
    """One entry of a 402's `accepts`, as sent, but for a network of version 1, which has its CAIP-2 name here.

    Nothing in it is trusted before terms.agreed() has matched it.
    """

    scheme: str
    network: str
    asset: str
    amount: str
    pay_to: str
    max_timeout_s: int
    extra: Mapping[str, object]
    echo: Echo = Echo()


@dataclass(frozen=True, slots=True)
class Challenge:
    """A decoded 402 Payment Required."""

    accepts: tuple[Terms, ...]
    wants_identifier: bool = False


@dataclass(frozen=True, slots=True)
class Authorization:
    """The terms of one EIP-3009 transferWithAuthorization. from_block: where its search begins.

    life_s: seconds before valid_before in which it can have been used at all, as it was signed no earlier.
    """

    payer: str
    payee: str
    amount: int
    network: str
    asset: str
    nonce: str
    valid_before: int
    from_block: int
    life_s: int = TIMEOUT_MAX_S


@dataclass(frozen=True, slots=True)
class JobAccess:
    """The means to reach one job by, as secret as a bearer token. poll_url: on the vendor's own origin.

    folder: of the job's envelope, where its files are left.
    """

    token: str = field(default="", repr=False)
    poll_url: str = field(default="", repr=False)
    folder: str = field(default="", repr=False)


NO_ACCESS = JobAccess()


@dataclass(frozen=True, slots=True)
class Receipt:
    """The vendor's word that it settled, or did not: for people, never for the books."""

    success: bool
    transaction: str
    network: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """A vendor's answer to a paid order. vendor_job_id: "" where it names none."""

    vendor_job_id: str = ""
    access: JobAccess = NO_ACCESS
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """The transfer on chain, final."""

    transaction: str
    block_number: int
    at: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """A final transfer out of a wallet, as the chain logs it or as a ledger believes it. payee: lower case."""

    transaction: str
    payee: str
    amount: int


# A job is the union of its states; each state carries exactly what is known in it.


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval request for one purchase at its quoted price. by: who agreed; empty while it is open."""

    asked_at: float
    expires_at: float
    by: str = ""


@dataclass(frozen=True, slots=True)
class Reserved:
    """Budget is held; nothing is signed. With an approval that is still open, nothing will be.

    delivered: the vendor has all the files that the job reads. postponed: why a step waits for the agent's own file
    store, "" where none does. delivery_from: when that worked again, from which on the vendor's time runs; 0 for never.
    """

    job_id: str
    quote: Quote
    reserved_at: float
    approval: Approval | None = None
    delivered: bool = False
    postponed: str = ""
    delivery_from: float = 0.0

    @property
    def unapproved(self) -> bool:
        return self.approval is not None and not self.approval.by


@dataclass(frozen=True, slots=True)
class Authorized:
    """A signature may be in the vendor's hands. Only the chain can end this state.

    header is the only PAYMENT-SIGNATURE that is ever sent; last_reply is what the vendor last said to it, and
    vendor_job_id the job it named, which counts once the payment is final. cancellation: once it was not wanted
    any more, the transaction that was to cancel it, or why there is none.
    work: of a vendor that takes its pay after the work, once it has taken the order; files, checkpoint,
    postponed: as in Settled.
    """

    job_id: str
    quote: Quote
    reserved_at: float
    authorization: Authorization
    header: str = field(repr=False)
    last_reply: str = ""
    vendor_job_id: str = ""
    cancellation: str = ""
    access: JobAccess = field(default=NO_ACCESS, repr=False)
    work: Work | None = None
    files: tuple[JobFile, ...] = ()
    checkpoint: Checkpoint | None = None
    postponed: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """The transfer is final; the vendor owes the work. header: HEADER_LOST where it is known from the chain alone.

    files: what of the job is in the file store. checkpoint: the newest that is kept whole. postponed: why a step waits
    for the agent's own file store, "" where none does.
    """

    job_id: str
    quote: Quote
    reserved_at: float
    authorization: Authorization
    header: str = field(repr=False)
    settlement: Settlement
    work: Work
    files: tuple[JobFile, ...] = ()
    checkpoint: Checkpoint | None = None
    access: JobAccess = field(default=NO_ACCESS, repr=False)
    postponed: str = ""


@dataclass(frozen=True, slots=True)
class Voided:
    """Can never settle; the hold is released. Without an authorization nothing was ever signed.

    work: the end of what a vendor did that was to be paid after it, and never was.
    """

    job_id: str
    quote: Quote
    reserved_at: float
    reason: str
    authorization: Authorization | None = None
    header: str = field(default="", repr=False)
    cause: Cause = Cause.VENDOR
    work: Completed | Failed | None = None
    files: tuple[JobFile, ...] = ()
    checkpoint: Checkpoint | None = None


Ordered = Authorized | Settled
"""A job that a vendor may have: it is paid, or will be once the work is done."""
Job = Reserved | Authorized | Settled | Voided
HEADER_LOST = "lost"
"""In place of the header of a payment that is known from the chain alone. It is never sent."""


JOBS_MAX = 8
"""Jobs that a run with one to complete may try, all told, and that one with several may try for each."""
COUNT_MAX = 200
"""Jobs that a run may have to complete: with all that were tried it is one document when it is read."""
AT_ONCE_MAX = 32
"""Jobs that a run with several may have open at once."""
HOURS_MIN = Decimal("0.01")
"""The shortest job that is bought, or learned from: prices and durations are compared by the hour."""


@dataclass(frozen=True, slots=True)
class Hedging:
    """A run's rule for late jobs (hedging.py). after_s: seconds past its expected time after which a job is late; 0 for
    no hedges.

    declined: ids of late jobs for which no hedge is bought any more. waits: in a row, of the hedge that is due next,
    until wait_until.
    """

    after_s: int = 0
    declined: tuple[str, ...] = ()
    waits: int = 0
    wait_until: float = 0


NO_HEDGING = Hedging()
HEDGE_AFTER_MAX_S = 30 * 86_400
"""The longest delay after which a run may have its late jobs hedged."""


@dataclass(frozen=True, slots=True)
class Run:
    """One goal with one budget, paid on one network (CAIP-2). vendor_ids empty: any enabled vendor.

    workload: the canonical text of what is to run (workload.py), "" for a run without a job file.
    count: the jobs of this kind that it has to complete (indices.py). jobs_open_max: of them all at once.
    jobs_max: those it may try, all told.
    planner_arms: where several planners were to be compared, each with its weight; planner is the one that it got.
    ask_first: the job whose vendor no tick has reached for the longest time, where ticks had no time for all.
    """

    run_id: str
    user_id: str
    goal: str
    budget: int
    gpu_type: str
    max_hours: Decimal
    planner: str
    payer: str
    created_at: float
    network: str = ""
    workload: str = ""
    vendor_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    jobs_open_max: int = 1
    jobs_max: int = JOBS_MAX
    count: int = 1
    hedging: Hedging = NO_HEDGING
    jobs: tuple[Job, ...] = ()
    status: RunStatus = RunStatus.RUNNING
    reason: str = ""
    planner_cost: int = 0
    planner_arms: tuple[tuple[str, int], ...] = ()
    waits: int = 0
    wait_until: float = 0
    ask_first: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """The four parts of a budget, which always add up to it."""

    settled: int
    held: int
    planner_cost: int
    available: int


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing decided, paid or seen. position: a log line's index in its job, unique there."""

    type: ObservationType
    content: str
    job_id: str = ""
    data: Mapping[str, object] = field(default_factory=dict)
    position: int | None = None
