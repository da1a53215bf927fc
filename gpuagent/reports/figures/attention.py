"""Money that somebody should look at: held, late, or recorded in two ways; and the ledger against the chain."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from gpuagent.core.ports import Pace
from gpuagent.errors import ChainError, ConfigError
from gpuagent.reports.frames import TIME, Frame, Frames

if TYPE_CHECKING:
    from gpuagent.books.sweep import Sweep
    from gpuagent.core.ports import Node
    from gpuagent.wiring import Database

HELD, LATE, UNMATCHED = "held", "late", "unmatched"
ATTENTION = {
    **dict.fromkeys(("kind", "what", "vendorId"), "str"),
    "amount": "int64",
    "since": TIME,
    **dict.fromkeys(("runId", "jobId"), "str"),
}
PAYMENT_OF = {"authorized": "pending", "settled": "completed"}
"""How the payment of a job in this state is recorded. A voided one's has failed, if there is one."""


def attention(frames: Frames, now: datetime) -> Frame:
    """Late first, then what the records contradict each other in, then what is only held; dearest first in each.

    As of now, whatever the period: an old hold is still a hold.
    """
    at = pd.Timestamp(now)
    rows = [row for job in frames.purchases.itertuples() for row in (_of_job(job, at),) if row]
    rows += _strays(frames)
    found = pd.DataFrame(rows, columns=list(ATTENTION)).astype({**ATTENTION, "since": "object"})
    found["since"] = pd.to_datetime(found.since, utc=True).astype(TIME)
    order = found.kind.map({LATE: 0, UNMATCHED: 1, HELD: 2})
    sorted_by = found.assign(order=order).sort_values(["order", "amount"], ascending=[True, False], kind="stable")
    return sorted_by.drop(columns="order").reset_index(drop=True)


def _of_job(job: Any, now: pd.Timestamp) -> dict[str, Any] | None:
    voided = "failed" if job.state == "voided" and job.paymentStatus else ""
    if PAYMENT_OF.get(job.state, voided) != job.paymentStatus:
        words = f"the job is {job.state}, its payment {job.paymentStatus or 'missing'}"
        return _row(UNMATCHED, words, job, job.createdAt)
    match job.state:
        case "reserved" if now >= job.quoteExpiresAt:
            return _row(LATE, "reserved, and the quote has expired: the next tick releases it", job, job.createdAt)
        case "reserved":
            asked = isinstance(job.approval, dict) and not job.approval.get("by")
            return _row(HELD, "waits for a person's approval" if asked else "reserved, not signed", job, job.createdAt)
        case "authorized" if now >= job.validBefore:
            return _row(LATE, "signed, and past its time: the next tick asks the chain", job, job.signedAt)
        case "authorized":
            return _row(HELD, "signed, not settled yet", job, job.signedAt)
        case "settled" if job.status == "submitted":
            return _row(LATE, "paid, and the vendor has not named its job", job, job.settledAt)
        case "settled" if job.status == "running" and now >= _due(job):
            return _row(LATE, "paid, and not done in twice the paid hours", job, job.settledAt)
    return None


def _due(job: Any) -> pd.Timestamp:
    pace = Pace()
    return job.startedAt + timedelta(hours=job.hours * pace.overrun, seconds=pace.silence_s)


def _strays(frames: Frames) -> list[dict[str, Any]]:
    """Payments of no job."""
    stray = frames.payments[~frames.payments.jobId.isin(frames.purchases.jobId)]
    words = "a payment is recorded as {}, and no job goes with it"
    return [
        _row(UNMATCHED, words.format(one.paymentStatus), one, one.signedAt, one.amount) for one in stray.itertuples()
    ]


def _row(kind: str, what: str, job: Any, since: Any, amount: int | None = None) -> dict[str, Any]:
    cost = job.expectedCost if amount is None else amount
    named = {"vendorId": job.vendorId, "runId": job.runId, "jobId": job.jobId}
    return {"kind": kind, "what": what, "amount": cost, "since": since, **named}


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """All ledgers of the database against the chain, of every period; or why that was not checked."""

    found: "Sweep | None" = None
    why_not: str = ""

    @property
    def words(self) -> str:
        if self.found is None:
            return f"Not checked: {self.why_not}"
        differences = sum(finding.differs for finding in self.found.findings)
        if differences:
            return f"The ledgers differ from the chain in {differences} place{'s' * (differences > 1)}."
        return "Every transfer is in a ledger, and every payment on chain."


def check_chain(db: "Database", opened: "Callable[[], AbstractContextManager[Node]]") -> ChainCheck:
    """A chain that is not configured or does not answer is no error here: the report says so."""
    from gpuagent.books.sweep import sweep

    try:
        with opened() as chain:
            return ChainCheck(sweep(chain, db.ledgers))
    except (ConfigError, ChainError) as error:
        return ChainCheck(why_not=str(error))
