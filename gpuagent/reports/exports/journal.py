"""A double-entry journal of a report's period: every transaction adds up to zero, and so does the whole.

Accounts, by what happened:
- a payment settled: from assets:wallet to assets:prepaid, for the vendor owes the work;
- the job ended: from assets:prepaid to expenses:gpu, or to expenses:failed jobs;
- some of it came back: from that expense to assets:wallet, dated by the end of the job, for the day is not recorded;
- a planner's answer cost money: from liabilities:planner, for it is billed elsewhere, to expenses:planner.
What is only held has not moved, and is not in it. 1 USDC is booked as 1 USD.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

from gpuagent.core.money import usd
from gpuagent.reports.frames import TIME, Frame
from gpuagent.reports.report import Report

JOURNAL = {
    "transactionId": "str",
    "date": TIME,
    "account": "str",
    **dict.fromkeys(("debit", "credit", "amount"), "object"),
    **dict.fromkeys(("currency", "runId", "jobId", "vendorId", "userId", "x402TxId", "description"), "str"),
}
"""debit, credit, amount: Decimal USD with 6 decimals; amount = debit - credit."""
EXPENSE = {"completed": "expenses:gpu", "failed": "expenses:failed jobs"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction of two lines. amount: atomic units, from one account to the other."""

    key: str
    date: Any
    origin: str
    target: str
    amount: int
    words: str
    about: dict[str, str]


def journal(report: Report) -> Frame:
    """Two lines a transaction, oldest first."""
    since, until = pd.Timestamp(report.period.since), pd.Timestamp(report.period.until)
    entries = [*_of_purchases(report.frames.purchases), *_of_planners(report.frames.decisions)]
    chosen = sorted((one for one in entries if since <= one.date < until), key=lambda one: (one.date, one.key))
    made = pd.DataFrame([line for one in chosen for line in _lines(one)], columns=list(JOURNAL))
    made["date"] = pd.to_datetime(made.date, utc=True)
    return made.astype(JOURNAL)


def _of_purchases(purchases: Frame) -> Iterator[Entry]:
    for job in purchases[purchases.state == "settled"].itertuples():
        wallet, prepaid = f"assets:wallet:{job.payer}", f"assets:prepaid:{job.vendorId}"
        about = {"runId": job.runId, "jobId": job.jobId, "vendorId": job.vendorId, "userId": job.userId}
        about["x402TxId"] = job.x402TxId
        words = f"{job.hours:g} h {job.gpuType} from {job.vendorId}"
        yield Entry(f"{job.jobId}-paid", job.settledAt, wallet, prepaid, job.paid, f"paid: {words}", about)
        if (kind := EXPENSE.get(job.status)) is None:
            continue
        expense = f"{kind}:{job.vendorId}"
        yield Entry(f"{job.jobId}-ended", job.completedAt, prepaid, expense, job.paid, f"{job.status}: {words}", about)
        if job.refunded:
            back = (expense, wallet, job.refunded, f"refunded: {words}")
            yield Entry(f"{job.jobId}-refund", job.completedAt, *back, about)


def _of_planners(decisions: Frame) -> Iterator[Entry]:
    for one in decisions.itertuples():
        who = one.model or one.planner
        about = {"runId": one.runId, "jobId": "", "vendorId": "", "userId": "", "x402TxId": ""}
        accounts = (f"liabilities:planner:{who}", f"expenses:planner:{who}")
        yield Entry(f"{one.decisionId}-planner", one.at, *accounts, one.cost, f"{one.planner} was asked", about)


def _lines(one: Entry) -> Iterator[dict[str, Any]]:
    value, nothing = usd(int(one.amount)), Decimal("0.000000")
    told = {"transactionId": one.key, "date": one.date, "currency": "USD", "description": one.words, **one.about}
    yield {**told, "account": one.target, "debit": value, "credit": nothing, "amount": value}
    yield {**told, "account": one.origin, "debit": nothing, "credit": value, "amount": -value}
