"""A run in each state that its one job can be in, made by the core's own events."""

from collections.abc import Callable
from typing import Any

from gpuagent.core.events import (
    CheckpointKept,
    CollectingBegan,
    CollectingHindered,
    InputsDelivered,
    JobAnswered,
    JobClaimed,
    JobDropped,
    JobFinished,
    JobProgressed,
    JobStopped,
    JobWentSilent,
    PaymentAuthorized,
    PaymentSettled,
    PaymentVoided,
    StepPostponed,
    StepTakenUp,
    VendorChosen,
    VendorReadmitted,
)
from gpuagent.core.model import JobAccess, Run
from gpuagent.core.transitions import apply
from gpuagent.core.work import (
    Checkpoint,
    CheckpointOffer,
    Collecting,
    Completed,
    Failed,
    Fault,
    FileEntry,
    FileKind,
    JobEnding,
    JobFile,
)
from tests.support.factories import RUN, SETTLEMENT, authorization, decision, quote

ACCESS = JobAccess("job-token-0123456789", "https://gpu.example/jobs/v")
OUTPUT = FileEntry("model.npz", 3, "1" * 64)
OFFER = CheckpointOffer("2" * 64, (FileEntry("progress.json", 5, "3" * 64),))
CHECKPOINT = Checkpoint(OFFER.sha256, OFFER.files, 0.5, 2.5)
CHECKPOINT_FILES = (JobFile("progress.json", 5, "3" * 64, FileKind.CHECKPOINT, 2.5),)


def vendor_chosen(job_id: str, amount: int) -> VendorChosen:
    return VendorChosen(job_id, quote(amount), decision(), 1.0, {})


def payment_authorized(job_id: str, amount: int) -> PaymentAuthorized:
    return PaymentAuthorized(job_id, authorization(amount), "header")


def progressed(job_id: str, **news: Any) -> JobProgressed:
    return JobProgressed(job_id, 0.5, ("line",), "training", "cursor-1", ({"step": 1, "loss": 2.5},), **news)


def collecting_began(outcome: Completed | Failed, **changes: Any) -> CollectingBegan:
    return CollectingBegan("one", Collecting(outcome, 2.0, **(changes or {"files": (OUTPUT,)})))


STATES: dict[str, Callable[[], Run]] = {
    "reserved": lambda: apply(RUN, vendor_chosen("one", 1_400_000)),
    "authorized": lambda: apply(STATES["reserved"](), payment_authorized("one", 1_400_000)),
    "owed": lambda: apply(STATES["authorized"](), PaymentSettled("one", SETTLEMENT, 2.0)),
    "owed in silence": lambda: apply(STATES["owed"](), JobWentSilent("one", 2.5, "timeout")),
    "owed and answered": lambda: apply(STATES["owed in silence"](), JobAnswered("one", 2.75, "it names no job")),
    "underway": lambda: apply(STATES["authorized"](), PaymentSettled("one", SETTLEMENT, 2.0, "v")),
    "queued": lambda: apply(STATES["underway"](), JobProgressed("one", 0.0, (), "queued")),
    "delivered": lambda: apply(STATES["reserved"](), InputsDelivered("one")),
    "offered": lambda: apply(STATES["underway"](), progressed("one", offer=OFFER)),
    "kept": lambda: apply(STATES["offered"](), CheckpointKept("one", CHECKPOINT, CHECKPOINT_FILES)),
    "collecting": lambda: apply(STATES["kept"](), collecting_began(Completed("v", 3.0, {"loss": 2.1}, "", 0))),
    "hindered": lambda: apply(STATES["collecting"](), CollectingHindered("one", 3.5, "timeout")),
    "collecting a checkpoint": lambda: apply(
        STATES["underway"](), collecting_began(Failed("lost", 3.0, "v", fault=Fault.TIME), offer=OFFER)
    ),
    "delivery postponed": lambda: apply(STATES["reserved"](), StepPostponed("one", "disk full")),
    "delivery taken up": lambda: apply(STATES["delivery postponed"](), StepTakenUp("one", 1.5)),
    "claim postponed": lambda: apply(STATES["owed in silence"](), StepPostponed("one", "disk full")),
    "checkpoint postponed": lambda: apply(STATES["offered"](), StepPostponed("one", "disk full")),
    "collecting postponed": lambda: apply(STATES["hindered"](), StepPostponed("one", "disk full")),
    "stopped": lambda: apply(STATES["underway"](), JobStopped("one", "stopped")),
    "completed": lambda: apply(STATES["underway"](), JobFinished("one", Completed("v", 3.0))),
    "failed": lambda: apply(STATES["underway"](), JobFinished("one", Failed("oom", 3.0, "v"))),
    "disputed": lambda: apply(STATES["owed"](), JobFinished("one", Failed("?", 3.0, ending=JobEnding.DISPUTED))),
    "readmitted": lambda: apply(STATES["disputed"](), VendorReadmitted("gpu_vendor_1", "Ada", "they called")),
    "unpaid underway": lambda: apply(STATES["authorized"](), JobClaimed("one", "v", 2.0, ACCESS)),
    "unpaid in silence": lambda: apply(STATES["unpaid underway"](), JobWentSilent("one", 2.5, "timeout")),
    "unpaid and stopped": lambda: apply(STATES["unpaid underway"](), JobStopped("one", "stopped")),
    "unpaid collecting": lambda: apply(STATES["unpaid underway"](), collecting_began(Completed("v", 3.0, {}, "", 0))),
    "unpaid collecting postponed": lambda: apply(STATES["unpaid collecting"](), StepPostponed("one", "disk full")),
    "paid collecting postponed": lambda: apply(
        STATES["unpaid collecting postponed"](), PaymentSettled("one", SETTLEMENT, 4.0)
    ),
    "unpaid completed": lambda: apply(STATES["unpaid underway"](), JobFinished("one", Completed("v", 3.0))),
    "unpaid failed": lambda: apply(STATES["unpaid underway"](), JobFinished("one", Failed("oom", 3.0, "v"))),
    "paid underway": lambda: apply(STATES["unpaid underway"](), PaymentSettled("one", SETTLEMENT, 2.0)),
    "paid completed": lambda: apply(STATES["unpaid completed"](), PaymentSettled("one", SETTLEMENT, 4.0)),
    "paid after it failed": lambda: apply(STATES["unpaid failed"](), PaymentSettled("one", SETTLEMENT, 4.0)),
    "completed for nothing": lambda: apply(STATES["unpaid completed"](), PaymentVoided("one", "expired unused")),
    "failed for nothing": lambda: apply(STATES["unpaid failed"](), PaymentVoided("one", "cancelled on chain")),
    "voided": lambda: apply(STATES["authorized"](), PaymentVoided("one", "expired unused")),
    "dropped": lambda: apply(STATES["reserved"](), JobDropped("one", "price raised")),
}
