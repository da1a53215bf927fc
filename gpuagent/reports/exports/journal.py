"""A double-entry journal of a report's period: every transaction adds up to zero, and so does the whole.

Accounts, by event:
- a payment settled: from assets:wallet to assets:prepaid, for the vendor owes the work;
- the job ended: from assets:prepaid to expenses:gpu, or to expenses:failed jobs;
- some of it came back: from that expense to assets:wallet, dated by the end of the job, for the day is not recorded;
- a planner's answer cost money: from liabilities:planner, for it is billed elsewhere, to expenses:planner.
What is only held has not moved, and is not in it. 1 USDC is booked as 1 USD.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from heapq import merge
from itertools import groupby
from typing import Any

import pandas as pd

from gpuagent.core.money import usd
from gpuagent.reports.frames import TIME, Frame
from gpuagent.reports.report import Report
from gpuagent.reports.stream import ExportStream

JOURNAL = {
    "transactionId": "str",
    "date": TIME,
    "account": "str",
    **dict.fromkeys(("debit", "credit", "amount"), "object"),
    **dict.fromkeys(("currency", "runId", "jobId", "vendorId", "protocol", "userId", "x402TxId", "description"), "str"),
}
"""debit, credit, amount: Decimal USD with 6 decimals; amount = debit - credit."""
COLUMNS = "runId", "jobId", "vendorId", "protocol", "userId", "x402TxId"
ZERO = Decimal("0.000000")
PAID, ENDED, ASKED = {"paid"}, {"ended", "refund"}, {"planner"}
"""How the keys of transactions end, by the time of a row that dates them."""
EXPENSE = {"completed": "expenses:gpu", "failed": "expenses:failed jobs"}


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction of two lines. amount: atomic units, from one account to the other. columns: the same in both."""

    key: str
    date: Any
    origin: str
    target: str
    amount: int
    description: str
    columns: dict[str, str]


def journal(report: Report) -> Frame:
    """Two lines per transaction, oldest first."""
    with report.stream() as stream:
        return frame_of(lines(stream))


def lines(stream: ExportStream) -> Iterator[dict[str, Any]]:
    """The lines of journal(), one by one."""
    paid = _in_order(stream.settled("settledAt"), _of_purchases, PAID)
    ended = _in_order(stream.settled("completedAt"), _of_purchases, ENDED)
    answers = _in_order(stream.decisions("at"), _of_planners, ASKED)
    for transaction in merge(paid, ended, answers, key=_place):
        yield from _lines(transaction)


def frame_of(rows: Iterable[Mapping[str, Any]]) -> Frame:
    """Lines as a frame."""
    table = pd.DataFrame(list(rows), columns=list(JOURNAL))
    table["date"] = pd.to_datetime(table.date, utc=True)
    return table.astype(JOURNAL)


def _in_order(
    batches: Iterable[Frame], transactions: Callable[[Frame], Iterator[Transaction]], kinds: Collection[str]
) -> Iterator[Transaction]:
    """The transactions of these kinds, of rows that come in the order of their date; those of one date by their key."""
    of_kinds = (
        transaction
        for batch in batches
        for transaction in transactions(batch)
        if transaction.key.rpartition("-")[2] in kinds
    )
    for _, alike in groupby(of_kinds, key=lambda transaction: transaction.date):
        yield from sorted(alike, key=_place)


def _place(transaction: Transaction) -> tuple[Any, str]:
    return transaction.date, transaction.key


def _of_purchases(purchases: Frame) -> Iterator[Transaction]:
    for job in purchases[purchases.state == "settled"].itertuples():
        wallet = f"assets:wallet:{job.payer}"
        prepaid = f"assets:prepaid:{job.vendorId}"
        goods = f"{job.hours:g} h {job.gpuType} from {job.vendorId}"
        columns = {name: getattr(job, name) for name in COLUMNS}
        key = f"{job.jobId}-paid"
        yield Transaction(key, job.settledAt, wallet, prepaid, job.paid, f"paid: {goods}", columns)
        if job.status not in EXPENSE:
            continue
        key = f"{job.jobId}-ended"
        expense = f"{EXPENSE[job.status]}:{job.vendorId}"
        yield Transaction(key, job.completedAt, prepaid, expense, job.paid, f"{job.status}: {goods}", columns)
        if job.refunded:
            key = f"{job.jobId}-refund"
            yield Transaction(key, job.completedAt, expense, wallet, job.refunded, f"refunded: {goods}", columns)


def _of_planners(decisions: Frame) -> Iterator[Transaction]:
    for decision in decisions.itertuples():
        model = decision.model or decision.planner
        yield Transaction(
            key=f"{decision.decisionId}-planner",
            date=decision.at,
            origin=f"liabilities:planner:{model}",
            target=f"expenses:planner:{model}",
            amount=decision.cost,
            description=f"{decision.planner} was asked",
            columns={**dict.fromkeys(COLUMNS, ""), "runId": decision.runId},
        )


def _lines(transaction: Transaction) -> Iterator[dict[str, Any]]:
    """The debit and the credit."""
    value = usd(int(transaction.amount))
    line = {
        "transactionId": transaction.key,
        "date": transaction.date,
        "currency": "USD",
        "description": transaction.description,
        **transaction.columns,
    }
    yield {**line, "account": transaction.target, "debit": value, "credit": ZERO, "amount": value}
    yield {**line, "account": transaction.origin, "debit": ZERO, "credit": value, "amount": -value}
