"""The values of a run: its jobs and their states, quotes, payments, vendors. Immutable, no I/O.

Amounts are int atomic units of one asset (money.py); times are Unix seconds; addresses are hex strings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from gpuagent.core.work import Checkpoint, Completed, Failed, JobFile, Work


class RunStatus(StrEnum):
    """The status of a run, which has ended unless it is RUNNING."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class Phase(StrEnum):
    """The phase of a run as users see it, derived from its state (run_state.phase)."""

    PLANNING = "PLANNING"
    APPROVAL = "APPROVAL"
    EXECUTING = "EXECUTING"
    WAITING = "WAITING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


class Cause(StrEnum):
    """Why a purchase was voided: only VENDOR counts against the vendor."""

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
"""The longest life of an authorization, in seconds, unless the vendor's record allows a longer one."""
OWN_PROTOCOL = "gpuagent/1"
"""The protocol of docs/operating/vendors.md, and the default for records that name none."""
SECRET_FIELDS = ("header", "access", "envelope")
"""Fields of stored documents that are never shown: `header` holds the signature that moves the money, `access` what the
vendor gave to reach one job by, `envelope` what it was given to reach the job's files."""


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

    kind: where its key is, `key` (the environment), `keystore` or `cdp`. cdp_policies: the ids of its CDP policies.
    """

    address: str
    kind: str
    cdp_policies: tuple[str, ...] = ()

    @property
    def custody(self) -> str:
        """Where the key is, in words."""
        return {"key": "in the environment", "keystore": "in a keystore", "cdp": "at CDP"}[self.kind]


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A wallet's private key, encrypted with a password. text: what a keystore file holds."""

    address: str
    text: str


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor as the operator recorded it. pay_to is pinned here, never taken from what the vendor sends.

    secret_env: the variable of the bearer token, "" for a vendor without accounts. trusted: whether it may get secrets,
    and files that the policy keeps from others. protocol: the name of the adapter that speaks to it; x402_version: of
    its 402, no other is accepted. settles: when it takes the authorized payment. max_authorization_s: the longest life
    of an authorization here, 0 for Pace.authorization_s. proven: False for a vendor whose first purchases stay under
    the policy's new_vendor cap. refund_address: a further sender of its refunds beside pay_to, "" for none.
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
    """The place in the file store where a job at a vendor that takes no files reads and leaves them. Both are secrets.

    folder: its name, which cannot be guessed. url: reads the list of the job's signed URLs, once it is written.
    """

    folder: str = field(default="", repr=False)
    url: str = field(default="", repr=False)


NO_ENVELOPE = Envelope()


@dataclass(frozen=True, slots=True)
class Quote:
    """A vendor's binding price for one job, and the payee, who must be the recorded one.

    order: the canonical text of what the job is to do (orders.py), "" without a workload. accepts: the capabilities of
    the vendor. envelope: set where the order is a command that fetches and sends its files itself. protocol: of the
    vendor's record at the time of the quote. index: which of the run's jobs it is for. hedges: the job_id of the late
    job whose work this one buys again (hedging.py), "" for none.
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
    """The parts of a 402 that the payment header repeats beside the terms. Bounded, and sent to this vendor alone.

    version: the x402 version of the 402, and of the header. network: the network's name in version 1.
    """

    version: int = 2
    network: str = ""
    resource: Mapping[str, object] = field(default_factory=dict)
    extensions: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terms:
    """One entry of a 402's `accepts`, as sent; a network of x402 version 1 is translated to CAIP-2.

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
    """The terms of one EIP-3009 transferWithAuthorization. from_block: where the search for its settlement begins.

    life_s: seconds; it was signed no earlier than this long before valid_before, so it cannot have been used before.
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
    """What a vendor gave to reach one job by, as secret as a bearer token. poll_url: on the vendor's own origin.

    folder: of the job's envelope, where its files are left.
    """

    token: str = field(default="", repr=False)
    poll_url: str = field(default="", repr=False)
    folder: str = field(default="", repr=False)


NO_ACCESS = JobAccess()


@dataclass(frozen=True, slots=True)
class Receipt:
    """The vendor's claim that it settled, or did not. It is shown to users and never booked."""

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
    """A final transfer out of a wallet, as the chain logs it or as a ledger records it. payee: lower case."""

    transaction: str
    payee: str
    amount: int


# A job is the union of its states; each state carries exactly what is known in it.


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval request for one purchase at its quoted price. by: the approver; empty while it is open."""

    asked_at: float
    expires_at: float
    by: str = ""


@dataclass(frozen=True, slots=True)
class Reserved:
    """Budget is held; nothing is signed, and nothing will be while an approval is open.

    delivered: whether the vendor has all inputs of the job. postponed: why a step waits for the agent's own file store,
    "" for none. delivery_from: when the file store last recovered, where the vendor's time starts again; 0 for never.
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
    """Signed: the vendor may hold the signature. Only the chain can end this state.

    header: the only PAYMENT-SIGNATURE that is ever sent. last_reply: the vendor's last answer to it; vendor_job_id: the
    job that it named, which counts once the payment is final. cancellation: for a payment that is no longer wanted, the
    transaction that cancels it, or why there is none. work: at a vendor that is paid afterwards, once it has accepted
    the order. files, checkpoint, postponed: as in Settled.
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
    """The transfer is final; the vendor owes the work. header: HEADER_LOST where only the chain knew of the payment.

    files: the job's files in the file store. checkpoint: the newest that is complete there. postponed: why a step waits
    for the agent's own file store, "" for none.
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

    work: how the work ended at a vendor that was to be paid afterwards, and never took its payment.
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
"""A job that a vendor may be working on: it is paid, or signed for."""
Job = Reserved | Authorized | Settled | Voided
HEADER_LOST = "lost"
"""Stands for the header of a payment that only the chain knew of. It is never sent."""


JOBS_MAX = 8
"""Attempts that a run with one job may make in all, and that a run with several may make for each."""
COUNT_MAX = 200
"""Jobs that a run may have to complete: a run with all its attempts is read as one document of bounded size."""
AT_ONCE_MAX = 32
"""Jobs that a run with several may have open at once."""
HOURS_MIN = Decimal("0.01")
"""The shortest job, in hours, that is bought or learned from: prices and durations are compared by the hour."""


@dataclass(frozen=True, slots=True)
class Hedging:
    """A run's rule for late jobs (hedging.py). after_s: seconds past its expected time after which a job is late; 0 for
    no hedges.

    declined: ids of late jobs that get no hedge any more. waits, wait_until: as in Run, for the next hedge.
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
    count: the jobs of this kind to complete (indices.py). jobs_open_max: how many may be open at once. jobs_max: how
    many attempts it may make in all.
    planner_arms: where planners are compared, each with its weight; planner is the one that this run got.
    ask_first: the job that the next tick begins with, as the last one had no time left for it.
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
    """Something that was decided, paid or seen. position: a log line's index in its job, unique there."""

    type: ObservationType
    content: str
    job_id: str = ""
    data: Mapping[str, object] = field(default_factory=dict)
    position: int | None = None
