"""A run in each state that its one job can be in, made by the core's own events."""

from collections.abc import Callable

from gpuagent.core.events import (
    JobAnswered,
    JobDropped,
    JobFinished,
    JobProgressed,
    JobWentSilent,
    PaymentAuthorized,
    PaymentSettled,
    PaymentVoided,
    VendorChosen,
    VendorReadmitted,
)
from gpuagent.core.model import Run
from gpuagent.core.transitions import apply
from gpuagent.core.work import Completed, Failed, JobEnding
from tests.support.factories import RUN, SETTLEMENT, authorization, decision, quote


def vendor_chosen(job_id: str, amount: int) -> VendorChosen:
    return VendorChosen(job_id, quote(amount), decision(), 1.0, {})


def payment_authorized(job_id: str, amount: int) -> PaymentAuthorized:
    return PaymentAuthorized(job_id, authorization(amount), "header")


STATES: dict[str, Callable[[], Run]] = {
    "reserved": lambda: apply(RUN, vendor_chosen("one", 1_400_000)),
    "authorized": lambda: apply(STATES["reserved"](), payment_authorized("one", 1_400_000)),
    "owed": lambda: apply(STATES["authorized"](), PaymentSettled("one", SETTLEMENT, 2.0)),
    "owed in silence": lambda: apply(STATES["owed"](), JobWentSilent("one", 2.5, "timeout")),
    "owed and answered": lambda: apply(STATES["owed in silence"](), JobAnswered("one", 2.75, "it names no job")),
    "underway": lambda: apply(STATES["authorized"](), PaymentSettled("one", SETTLEMENT, 2.0, "v")),
    "queued": lambda: apply(STATES["underway"](), JobProgressed("one", 0.0, (), "queued")),
    "completed": lambda: apply(STATES["underway"](), JobFinished("one", Completed("v", 3.0))),
    "failed": lambda: apply(STATES["underway"](), JobFinished("one", Failed("oom", 3.0, "v"))),
    "disputed": lambda: apply(STATES["owed"](), JobFinished("one", Failed("?", 3.0, ending=JobEnding.DISPUTED))),
    "readmitted": lambda: apply(STATES["disputed"](), VendorReadmitted("gpu_vendor_1", "Ada", "they called")),
    "voided": lambda: apply(STATES["authorized"](), PaymentVoided("one", "expired unused")),
    "dropped": lambda: apply(STATES["reserved"](), JobDropped("one", "price raised")),
}
