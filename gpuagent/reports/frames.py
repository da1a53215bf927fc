"""Rows from MongoDB as DataFrames. Amounts are int64 atomic units (6 decimals of USD), times UTC; never float money.

Every frame has its columns and their types, also when it is empty.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd

from gpuagent.core.context import PastJob
from gpuagent.core.records import ReportScope

TIME = "datetime64[us, UTC]"
RUNS = {
    **dict.fromkeys(("runId", "userId", "goal", "status", "phase", "reason", "planner", "gpuType", "payer"), "str"),
    "workloadHash": "str",
    **dict.fromkeys(("budgetTotal", "budgetRemaining", "settled", "held", "plannerCost"), "int64"),
    "maxHours": "float64",
    "tags": "object",
    "plannerArms": "object",
    **dict.fromkeys(("createdAt", "updatedAt"), TIME),
}
JOBS = {
    **dict.fromkeys(("runId", "jobId"), "str"),
    "ordinal": "int64",
    **dict.fromkeys(("vendorId", "protocol", "gpuType"), "str"),
    "hours": "float64",
    **dict.fromkeys(("state", "status", "cause", "errorMessage", "vendorJobId"), "str"),
    **dict.fromkeys(("expectedCost", "actualCost"), "int64"),
    **dict.fromkeys(("createdAt", "settledAt", "startedAt", "completedAt", "quoteExpiresAt"), TIME),
    "approval": "object",
    **dict.fromkeys(("fault", "exitCode", "resumedFrom", "artifactUrl"), "str"),
    **dict.fromkeys(("resumedFraction", "hoursSaved"), "float64"),
    "outputs": "object",
    "outputCount": "int64",
    "jobIndex": "str",
    "hedges": "str",
}
PAYMENTS = {
    **dict.fromkeys(("runId", "jobId", "vendorId", "paymentStatus", "currency", "payer", "payee", "x402TxId"), "str"),
    **dict.fromkeys(("amount", "blockNumber", "refunded", "credit"), "int64"),
    **dict.fromkeys(("signedAt", "validBefore"), TIME),
}
PAYMENT_COLUMNS = ("paymentStatus", "payer", "payee", "x402TxId", "blockNumber", "signedAt", "validBefore")
BACK = ("refunded", "credit")
"""Columns of a payment that a purchase has too, as sums of its own."""
RUN_COLUMNS = ("userId", "tags", "planner", "goal")
PURCHASES = {
    **{name: kind for name, kind in JOBS.items() if name not in ("jobIndex", "hedges")},
    **{name: PAYMENTS[name] for name in PAYMENT_COLUMNS},
    **{name: RUNS[name] for name in RUN_COLUMNS},
    **dict.fromkeys(("paid", "refunded", "cost"), "int64"),
    **dict.fromkeys(("saved", "credit"), "int64"),
    **{name: JOBS[name] for name in ("jobIndex", "hedges")},
}
DECISIONS = {
    **dict.fromkeys(("decisionId", "runId"), "str"),
    "at": TIME,
    **dict.fromkeys(("planner", "decidedBy", "model"), "str"),
    **dict.fromkeys(("cost", "promptTokens", "completionTokens", "latencyMs"), "int64"),
}
VENDORS = {
    **dict.fromkeys(("vendorId", "name"), "str"),
    "reliabilityScore": "float64",
    "basePricePerHour": "int64",
    "enabled": "bool",
    "createdAt": TIME,
}
ROWS = 5_000
"""Rows that are made a frame of at once."""
Frame: TypeAlias = pd.DataFrame
Row: TypeAlias = Mapping[str, Any]


class ReportRows(Protocol):
    """The rows of one database, all as of one moment. Amounts in atomic units. Every method raises StoreError."""

    def vendors(self) -> Iterable[Row]:
        """The registry, in the order of registration."""
        ...

    def runs(self, scope: ReportScope) -> Iterable[Row]: ...

    def names(self, field: str) -> Sequence[str]:
        """The values of userId or tags that any run has, of any time, in the order of the alphabet."""
        ...

    def original_runs(self) -> int:
        """The number of runs of the original system, which no other method shows."""
        ...

    def jobs(self, scope: ReportScope) -> Iterable[Row]:
        """Jobs of all users."""
        ...

    def jobs_named(self, job_ids: list[str]) -> Iterable[Row]: ...

    def payments(self, scope: ReportScope) -> Iterable[Row]:
        """Payments of all users and tags."""
        ...

    def decisions(self, scope: ReportScope) -> Iterable[Row]:
        """Decisions of all users that a planner charged for."""
        ...

    def outcomes(self, scope: ReportScope, vendor_ids: list[str], limit: int) -> Sequence[PastJob]:
        """The newest ended jobs of each vendor before the scope's end, at most `limit` of each, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Frames:
    """The data of a report, of one scope. past_jobs: by vendor, oldest first, of all users.

    purchases: one row per job, with its payment and its run. paid: what settled on chain; refunded: what of it came
    back, by a transfer that is booked for the job, or where its record says that it cost less in the end (actualCost);
    cost = paid - refunded. credit: what else the vendor says that it has of it, by its word alone. saved: the
    price of the hours that a job did not have to buy, for it went on from a checkpoint, at its own price an hour.
    hedges: the late job for which it was bought once more, "" for a job of its own.
    Of one vendor alone, purchases are the vendor's, runs those that bought there, and no planner cost belongs to it;
    whole_purchases and whole_decisions are all of these runs, for their budgets.
    """

    runs: Frame
    purchases: Frame
    payments: Frame
    decisions: Frame
    vendors: Frame
    past_jobs: Mapping[str, Sequence[PastJob]]
    whole_purchases: Frame
    whole_decisions: Frame


def read_frames(rows: ReportRows, scope: ReportScope, vendor: str, past_jobs_max: int) -> Frames:
    """The frames of a scope. vendor: only this one's, or "" for all. Raises StoreError."""
    vendors = frame(rows.vendors(), VENDORS)
    runs = frame(rows.runs(scope), RUNS)
    payments = _of_runs(frame(rows.payments(scope), PAYMENTS), runs)
    decisions = _of_runs(frame(map(with_token_counts, rows.decisions(scope)), DECISIONS), runs)
    purchases = purchases_of(_jobs(rows, scope, payments), payments, runs)
    vendor_ids = list(vendors.vendorId)
    whole_purchases, whole_decisions = purchases, decisions
    if vendor:
        purchases = purchases[purchases.vendorId == vendor].reset_index(drop=True)
        payments = payments[payments.vendorId == vendor].reset_index(drop=True)
        runs = runs[runs.runId.isin(purchases.runId)].reset_index(drop=True)
        decisions = decisions.head(0)
        vendor_ids = [vendor_id for vendor_id in vendor_ids if vendor_id == vendor]
    past_jobs: dict[str, list[PastJob]] = {vendor_id: [] for vendor_id in vendor_ids}
    for job in rows.outcomes(scope, vendor_ids, past_jobs_max):
        past_jobs[job.vendor_id].append(job)
    return Frames(runs, purchases, payments, decisions, vendors, past_jobs, whole_purchases, whole_decisions)


def frame(rows: Iterable[Row] | Frame, columns: Mapping[str, str]) -> Frame:
    """A frame of just these columns with these types; what is missing is an empty text, 0 or no time."""
    if isinstance(rows, pd.DataFrame):
        return _typed(rows, columns)
    remaining = iter(rows)
    parts = [_typed(list(islice(remaining, ROWS)), columns)]
    while part := list(islice(remaining, ROWS)):  # rows take many times the memory of a frame
        parts.append(_typed(part, columns))
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def _typed(rows: list[Row] | Frame, columns: Mapping[str, str]) -> Frame:
    if not len(rows):
        return _empty(tuple(columns.items())).copy()
    # All at once: to set the columns of a frame one by one takes longer than to make them.
    if isinstance(rows, pd.DataFrame):
        table = rows if list(rows) == list(columns) else rows.reindex(columns=list(columns))
        return pd.DataFrame({name: _column(table[name], kind) for name, kind in columns.items()}, copy=False)
    values = {name: _values([row.get(name, np.nan) for row in rows], kind) for name, kind in columns.items()}
    return pd.DataFrame(values, copy=False)


@cache
def _empty(columns: tuple[tuple[str, str], ...]) -> Frame:
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in columns})


def _values(values: list[Any], kind: str) -> Any:
    """The values of rows as an array: pandas would first guess of what kind they are, which takes longer."""
    match kind:
        case "str":
            return pd.array(["" if value is None or value != value else str(value) for value in values], dtype="str")
        case "int64":
            return np.array([0 if value is None or value != value else value for value in values], kind)
        case "object":
            return pd.Series(values, dtype=kind).array
        case _ if kind == TIME:
            return pd.DatetimeIndex(values, dtype=TIME).array
    return np.array(values, "object").astype(kind)


def _column(values: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    if values.dtype == kind and not (kind == "str" and values.hasnans):
        return values
    if kind == TIME:
        return pd.to_datetime(values, utc=True).astype(TIME)
    if kind in ("str", "int64") and values.hasnans:
        values = values.astype("object").where(values.notna(), "" if kind == "str" else 0)
    return values.astype(kind)


def _of_runs(table: Frame, runs: Frame) -> Frame:
    return table[table.runId.isin(runs.runId)].reset_index(drop=True)


def _jobs(rows: ReportRows, scope: ReportScope, payments: Frame) -> Frame:
    """The scope's jobs, and of its payments those that were reserved before the period and released since."""
    jobs = frame(rows.jobs(scope), JOBS)
    missing = frame(rows.jobs_named(sorted(set(payments.jobId) - set(jobs.jobId))), JOBS)
    return pd.concat([jobs, missing], ignore_index=True) if len(missing) else jobs


def purchases_of(jobs: Frame, payments: Frame, runs: Frame, columns: Mapping[str, str] = PURCHASES) -> Frame:
    """Jobs of these runs with their payments; a job without one was never signed for.

    columns: of the result; what of the given frames is not among them may be missing there.
    """
    own = [name for name in (*PAYMENT_COLUMNS, *BACK) if name in payments]
    nullable = payments.astype(
        dict.fromkeys((name for name in ("blockNumber", *BACK) if name in own), "Int64")
    )  # or a missing one would turn all of them into floats
    joined = jobs.merge(nullable[["jobId", *own]], on="jobId", how="left")
    joined = joined.merge(runs[["runId", *(name for name in RUN_COLUMNS if name in runs)]], on="runId", how="inner")
    for name in BACK:
        joined[name] = joined[name].fillna(0).astype("int64")
    settled_at = _not_before(joined.settledAt, joined.createdAt, joined.signedAt)
    joined = joined.assign(settledAt=settled_at, **costs(joined.state == "settled", joined))
    joined["saved"] = [
        saved_by(*row) if row[2] else 0 for row in zip(joined.paid, joined.hours, joined.hoursSaved, strict=True)
    ]
    return frame(joined, columns)


def costs(settled: Any, amounts: Mapping[str, Any]) -> dict[str, Any]:
    """What jobs cost, by column, nothing for one that is not settled: paid, what of that came back, the rest, credit.

    amounts: columns of jobs and payments. What a vendor gave back of a credit is no credit any more.
    """
    paid, actual, returned, credit = (
        np.where(settled, amounts[name], 0) for name in ("expectedCost", "actualCost", "refunded", "credit")
    )
    cost = actual - returned
    return {"paid": paid, "refunded": paid - cost, "cost": cost, "credit": (credit - returned).clip(min=0)}


def _not_before(settled_at: Any, *earlier: Any) -> Any:
    """The times of settlement, none before the reservation and the signature: a block's time is in whole seconds."""
    times = pd.concat([settled_at, *earlier], axis=1).max(axis=1)
    return times.where(settled_at.notna())


def saved_by(paid: int, hours: float, hours_saved: float) -> int:
    """The price of the hours that a job did not have to buy, at its own price an hour."""
    return round(Decimal(int(paid)) * Decimal(str(hours_saved)) / Decimal(str(hours))) if hours > 0 else 0


def with_token_counts(decision: Row) -> Row:
    """The decision with its token counts as columns; a planner may record none."""
    tokens = decision.get("tokens")
    tokens = tokens if isinstance(tokens, Mapping) else {}
    return {**decision, "promptTokens": tokens.get("prompt"), "completionTokens": tokens.get("completion")}
