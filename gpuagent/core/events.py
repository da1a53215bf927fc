"""Events: what happened in a run. Plain values; transitions.py says how each of them changes the run.

`at` is the agent's clock, Unix seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuagent.core.model import (
    NO_ACCESS,
    Approval,
    Authorization,
    Cause,
    Decision,
    JobAccess,
    Quote,
    Settlement,
)
from gpuagent.core.work import Checkpoint, CheckpointOffer, Collecting, Completed, Failed, JobFile


@dataclass(frozen=True, slots=True)
class VendorChosen:
    """The planner chose. approval: the request that must be answered first, if the policy asks for one.

    cost: of asking the planner.
    """

    job_id: str
    quote: Quote
    decision: Decision
    at: float
    data: Mapping[str, object]
    approval: Approval | None = None
    cost: int = 0


@dataclass(frozen=True, slots=True)
class PlanPostponed:
    """Nothing is bought now; planning waits."""

    until: float
    decision: Decision
    data: Mapping[str, object]
    cost: int = 0


@dataclass(frozen=True, slots=True)
class PlanAborted:
    """The run is given up."""

    reason: str
    data: Mapping[str, object]
    cost: int = 0


@dataclass(frozen=True, slots=True)
class HedgePostponed:
    """No hedge of the late job is bought now; that is decided anew later."""

    job_id: str
    until: float
    decision: Decision
    data: Mapping[str, object]
    cost: int = 0


@dataclass(frozen=True, slots=True)
class HedgeDeclined:
    """No hedge of the late job is bought any more."""

    job_id: str
    reason: str
    data: Mapping[str, object]
    cost: int = 0


@dataclass(frozen=True, slots=True)
class PlannerCharged:
    """A decision came to nothing, because another tick saved first; what asking for it cost is spent all the same.

    reason: of the decision. uncharged: the part of the cost that the run has no budget for, and is not charged.
    """

    reason: str
    data: Mapping[str, object]
    cost: int
    uncharged: int = 0


@dataclass(frozen=True, slots=True)
class JobDropped:
    """The purchase fell through before anything was signed."""

    job_id: str
    reason: str
    cause: Cause = Cause.VENDOR


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """A user ends the run: nothing more is bought, and what is out is cancelled or followed to its end."""

    by: str
    why: str


@dataclass(frozen=True, slots=True)
class VendorReadmitted:
    """A user allows the run to buy again of a vendor that it had ended with."""

    vendor_id: str
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class PurchaseApproved:
    """An approver agreed to the purchase at its quoted price."""

    job_id: str
    by: str
    at: float


@dataclass(frozen=True, slots=True)
class InputsDelivered:
    """The vendor has all the files that the job reads."""

    job_id: str


@dataclass(frozen=True, slots=True)
class PaymentAuthorized:
    """declined: why other offers of the vendor's 402 were not taken."""

    job_id: str
    authorization: Authorization
    header: str = field(repr=False)
    declined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PaymentUnresolved:
    """Sent, and the chain has not decided. reply: the vendor's words, for users only."""

    job_id: str
    reply: str
    vendor_job_id: str = ""
    access: JobAccess = field(default=NO_ACCESS, repr=False)


@dataclass(frozen=True, slots=True)
class PaymentUnwanted:
    """The token was asked to cancel what is out, by this transaction, which races the settlement; or why it was not."""

    job_id: str
    transaction: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PaymentSettled:
    """The transfer is in a final block."""

    job_id: str
    settlement: Settlement
    at: float
    vendor_job_id: str = ""
    access: JobAccess = field(default=NO_ACCESS, repr=False)


@dataclass(frozen=True, slots=True)
class PaymentVoided:
    """Dead or cancelled at a final block: it can never settle."""

    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class PaymentAdopted:
    """A user books what the chain proves of a nonce, whatever the ledger held of its job, if anything.

    quote and authorization: as the chain shows the payment. written_off: it was signed on other terms than these.
    """

    job_id: str
    quote: Quote
    authorization: Authorization
    settlement: Settlement
    by: str
    why: str
    at: float
    written_off: bool = False


@dataclass(frozen=True, slots=True)
class JobClaimed:
    """The vendor named its job for the order that it took."""

    job_id: str
    vendor_job_id: str
    at: float
    access: JobAccess = field(default=NO_ACCESS, repr=False)


@dataclass(frozen=True, slots=True)
class JobProgressed:
    """reply, cursor, offer: as in Underway. metrics: new ones, oldest first."""

    job_id: str
    progress: float
    new_logs: tuple[str, ...]
    reply: str = ""
    cursor: str = ""
    metrics: tuple[Mapping[str, object], ...] = ()
    offer: CheckpointOffer | None = None


@dataclass(frozen=True, slots=True)
class JobWentSilent:
    """The vendor does not answer about the job. problem: what came of the request instead."""

    job_id: str
    at: float
    problem: str


@dataclass(frozen=True, slots=True)
class JobAnswered:
    """The vendor answers, and says nothing that the job could go on by: it is not silent. reply: its words."""

    job_id: str
    at: float
    reply: str


@dataclass(frozen=True, slots=True)
class AskingCutShort:
    """The tick had no time left to ask for this job, nor for those after it."""

    job_id: str


@dataclass(frozen=True, slots=True)
class CollectingBegan:
    """The work is over by the vendor's word, and there are files to fetch."""

    job_id: str
    work: Collecting
    new_logs: tuple[str, ...] = ()
    metrics: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class FilesKept:
    """Files are in the file store, proven. Others are still to come."""

    job_id: str
    files: tuple[JobFile, ...]


@dataclass(frozen=True, slots=True)
class CheckpointKept:
    """A checkpoint is kept whole, by these files beside those that were kept of it before."""

    job_id: str
    checkpoint: Checkpoint
    files: tuple[JobFile, ...]


@dataclass(frozen=True, slots=True)
class CheckpointLost:
    """A checkpoint that was offered cannot be had: it is not what was listed, or not there any more. at: since when."""

    job_id: str
    sha256: str
    problem: str
    at: float


@dataclass(frozen=True, slots=True)
class CollectingHindered:
    """Hardly anything of a file came. at: since when."""

    job_id: str
    at: float
    problem: str


@dataclass(frozen=True, slots=True)
class StepPostponed:
    """A step of the job needs the agent's own file store, which does not work: its vendor's time does not run."""

    job_id: str
    problem: str


@dataclass(frozen=True, slots=True)
class StepTakenUp:
    """The file store works again, and the step that was postponed goes on. at: since when the vendor's time runs."""

    job_id: str
    at: float


@dataclass(frozen=True, slots=True)
class JobStopped:
    """The vendor was told that the job is not needed any more. reply: what it said to that."""

    job_id: str
    reply: str


@dataclass(frozen=True, slots=True)
class JobFinished:
    """The end of the work. files: the last ones that were kept of it."""

    job_id: str
    outcome: Completed | Failed
    new_logs: tuple[str, ...] = ()
    metrics: tuple[Mapping[str, object], ...] = ()
    files: tuple[JobFile, ...] = ()


Event = (
    VendorChosen
    | PlanPostponed
    | PlanAborted
    | HedgePostponed
    | HedgeDeclined
    | PlannerCharged
    | JobDropped
    | RunCancelled
    | VendorReadmitted
    | PurchaseApproved
    | InputsDelivered
    | PaymentAuthorized
    | PaymentUnresolved
    | PaymentUnwanted
    | PaymentSettled
    | PaymentVoided
    | PaymentAdopted
    | JobClaimed
    | JobProgressed
    | JobWentSilent
    | JobAnswered
    | AskingCutShort
    | CollectingBegan
    | FilesKept
    | CheckpointKept
    | CheckpointLost
    | CollectingHindered
    | StepPostponed
    | StepTakenUp
    | JobStopped
    | JobFinished
)

NEWS = JobProgressed | JobWentSilent | JobAnswered | CheckpointKept | CheckpointLost
"""News of a job that goes on, which a vendor may bring without end."""

TICK_ENDING = (
    PlanPostponed
    | HedgePostponed
    | PaymentUnresolved
    | PaymentUnwanted
    | JobProgressed
    | JobWentSilent
    | JobAnswered
    | FilesKept
    | CheckpointKept
    | CheckpointLost
    | CollectingHindered
    | StepPostponed
    | StepTakenUp
    | JobStopped
)
"""Events after which a tick ends: the next news can only come from outside, or with time."""
