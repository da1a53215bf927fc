"""Payments that need attention: held, late, or recorded in two ways; and the check of the ledger against the chain."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pandas as pd

from gpuagent.core.pace import Pace
from gpuagent.core.records import Ledgers, PaymentStatus
from gpuagent.errors import ChainError, ConfigError
from gpuagent.reports.frames import TIME, Frame

if TYPE_CHECKING:
    from gpuagent.books.sweep import Sweep
    from gpuagent.core.ports.chain import Node


class Concern(StrEnum):
    """The reason why a payment needs attention, the most urgent first."""

    LATE = "late"
    UNMATCHED = "unmatched"
    HELD = "held"


ATTENTION = {
    **dict.fromkeys(("kind", "what", "vendorId"), "str"),
    "amount": "int64",
    "since": TIME,
    **dict.fromkeys(("runId", "jobId"), "str"),
}
UNPAID = {
    "running": "at work, and paid once it is done",
    "completed": "done, and the vendor has not taken its payment",
    "failed": "the work failed; held until the chain has decided",
}
"""Of a vendor that is paid after the work, by the status of the job."""
PAYMENT_STATUS = {"authorized": PaymentStatus.PENDING, "settled": PaymentStatus.COMPLETED}
"""The status of the payment of a job in this state. A voided one's has failed, if there is one."""


def attention(purchases: Frame, payments: Frame, now: datetime) -> Frame:
    """Late first, then what the records contradict each other in, then what is only held; dearest first in each.

    As of now, whatever the period: an old hold is still a hold.
    """
    rows = [*_job_rows(purchases, pd.Timestamp(now)), *_stray_payment_rows(purchases, payments)]
    table = pd.DataFrame(rows, columns=list(ATTENTION)).astype({**ATTENTION, "since": "object"})
    table["since"] = pd.to_datetime(table.since, utc=True).astype(TIME)
    urgency = table.kind.map({concern: place for place, concern in enumerate(Concern)})
    ordered = table.assign(urgency=urgency).sort_values(["urgency", "amount"], ascending=[True, False], kind="stable")
    return ordered.drop(columns="urgency").reset_index(drop=True)


def _job_rows(purchases: Frame, now: pd.Timestamp) -> Iterator[dict[str, Any]]:
    for job in purchases.itertuples():
        if concern := _concern(job, now):
            kind, text, since = concern
            yield _row(kind, text, job, since, job.expectedCost)


def _stray_payment_rows(purchases: Frame, payments: Frame) -> Iterator[dict[str, Any]]:
    """Payments of no job."""
    stray = payments[~payments.jobId.isin(purchases.jobId)]
    for payment in stray.itertuples():
        text = f"a payment is recorded as {payment.paymentStatus}, and no job goes with it"
        yield _row(Concern.UNMATCHED, text, payment, payment.signedAt, payment.amount)


def _row(kind: Concern, text: str, record: Any, since: Any, amount: int) -> dict[str, Any]:
    """A row of the table. record: a row of a frame that names its vendor, run and job."""
    return {
        "kind": kind.value,
        "what": text,
        "vendorId": record.vendorId,
        "amount": amount,
        "since": since,
        "runId": record.runId,
        "jobId": record.jobId,
    }


def _concern(job: Any, now: pd.Timestamp) -> tuple[Concern, str, Any] | None:
    """Why a job's payment needs attention, in a word and in full, and since when; None where it needs none."""
    voided_status = PaymentStatus.FAILED if job.state == "voided" and job.paymentStatus else ""
    if PAYMENT_STATUS.get(job.state, voided_status) != job.paymentStatus:
        text = f"the job is {job.state}, its payment {job.paymentStatus or 'missing'}"
        return Concern.UNMATCHED, text, job.createdAt
    match job.state:
        case "reserved" if now >= job.quoteExpiresAt:
            return Concern.LATE, "reserved, and the quote has expired: the next tick releases it", job.createdAt
        case "reserved" if isinstance(job.approval, dict) and not job.approval.get("by"):
            return Concern.HELD, "waits for approval", job.createdAt
        case "reserved":
            return Concern.HELD, "reserved, not signed", job.createdAt
        case "authorized" if now >= job.validBefore:
            return Concern.LATE, "signed, and past its time: the next tick asks the chain", job.signedAt
        case "authorized" if job.status in UNPAID:
            return Concern.HELD, UNPAID[job.status], job.signedAt
        case "authorized":
            return Concern.HELD, "signed, not settled yet", job.signedAt
        case "settled" if job.status == "submitted":
            return Concern.LATE, "paid, and the vendor has not named its job", job.settledAt
        case "settled" if job.status == "running" and now >= _deadline(job):
            return Concern.LATE, "paid, and not done in twice the paid hours", job.settledAt
    return None


def _deadline(job: Any) -> pd.Timestamp:
    """The time at which the agent gives a running job up."""
    return job.startedAt + timedelta(seconds=Pace().job_max_s(job.hours))


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """All ledgers of the database against the chain, of every period; or the reason why they were not checked."""

    sweep: "Sweep | None" = None
    skipped: str = ""

    @property
    def balanced(self) -> bool:
        """Whether nothing differs, as far as it was checked."""
        return self.sweep is None or self.sweep.balanced

    @property
    def summary(self) -> str:
        if self.sweep is None:
            return f"Not checked: {self.skipped}"
        differences = sum(finding.differs for finding in self.sweep.findings)
        if differences:
            return f"The ledgers differ from the chain in {differences} place{'s' * (differences > 1)}."
        return "Every transfer is in a ledger, and every payment on chain."


def check_chain(ledgers: Ledgers, open_chain: Callable[[], AbstractContextManager["Node"]]) -> ChainCheck:
    """The check. A chain that is not configured or does not answer is no error here: the report says so."""
    from gpuagent.books.sweep import sweep

    try:
        with open_chain() as chain:
            return ChainCheck(sweep(chain, ledgers))
    except (ConfigError, ChainError) as error:
        return ChainCheck(skipped=str(error))
