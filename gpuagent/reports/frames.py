"""Rows from MongoDB as DataFrames. Amounts are int64 atomic units (6 decimals of USD), times UTC; never float money.

Every frame has its columns and their types, also when it is empty.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

from gpuagent.adapters.mongo.report_rows import MongoHistory, Scope

if TYPE_CHECKING:
    from gpuagent.core.context import PastJob

TIME = "datetime64[us, UTC]"
RUNS = {
    **dict.fromkeys(("runId", "userId", "goal", "status", "phase", "reason", "planner", "gpuType", "payer"), "str"),
    **dict.fromkeys(("budgetTotal", "budgetRemaining", "settled", "held", "plannerCost"), "int64"),
    "maxHours": "float64",
    "tags": "object",
    "plannerArms": "object",
    **dict.fromkeys(("createdAt", "updatedAt"), TIME),
}
JOBS = {
    **dict.fromkeys(("runId", "jobId"), "str"),
    "ordinal": "int64",
    **dict.fromkeys(("vendorId", "gpuType"), "str"),
    "hours": "float64",
    **dict.fromkeys(("state", "status", "cause", "errorMessage", "vendorJobId"), "str"),
    **dict.fromkeys(("expectedCost", "actualCost"), "int64"),
    **dict.fromkeys(("createdAt", "settledAt", "startedAt", "completedAt", "quoteExpiresAt"), TIME),
    "approval": "object",
}
PAYMENTS = {
    **dict.fromkeys(("runId", "jobId", "vendorId", "paymentStatus", "currency", "payer", "payee", "x402TxId"), "str"),
    **dict.fromkeys(("amount", "blockNumber"), "int64"),
    **dict.fromkeys(("signedAt", "validBefore"), TIME),
}
OF_PAYMENT = ("paymentStatus", "payer", "payee", "x402TxId", "blockNumber", "signedAt", "validBefore")
OF_RUN = ("userId", "tags", "planner", "goal")
PURCHASES = {
    **JOBS,
    **{name: PAYMENTS[name] for name in OF_PAYMENT},
    **{name: RUNS[name] for name in OF_RUN},
    **dict.fromkeys(("paid", "refunded", "cost"), "int64"),
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
Frame: TypeAlias = pd.DataFrame


@dataclass(frozen=True, slots=True)
class Frames:
    """What a report is made of, of one scope. outcomes: by vendor, oldest first, of all users.

    purchases: one row per job, with its payment and its run. paid: what settled on chain; refunded: what of it came
    back, where the job's record says that it cost less in the end (actualCost); cost = paid - refunded.
    Of one vendor alone, purchases are the vendor's, runs those that bought there, and no planner cost belongs to it;
    whole_purchases and whole_decisions are all of these runs, for their budgets.
    """

    runs: Frame
    purchases: Frame
    payments: Frame
    decisions: Frame
    vendors: Frame
    outcomes: "Mapping[str, list[PastJob]]"
    whole_purchases: Frame
    whole_decisions: Frame


def read(history: MongoHistory, scope: Scope, vendor: str, outcomes_max: int) -> Frames:
    """vendor: only this one's, or "". Raises StoreError."""
    vendors, runs = frame(history.vendors(), VENDORS), frame(history.runs(scope), RUNS)
    payments = frame(history.payments(scope), PAYMENTS)
    decisions = frame(map(_counted, history.decisions(scope)), DECISIONS)
    payments = payments[payments.runId.isin(runs.runId)].reset_index(drop=True)
    found = history.jobs(scope)
    unseen = set(payments.jobId) - {job["jobId"] for job in found}  # released, but signed for at another time
    whole = purchases = _purchases(frame([*found, *history.jobs_named(sorted(unseen))], JOBS), payments, runs)
    asked = decisions[decisions.runId.isin(runs.runId)].reset_index(drop=True)
    if vendor:
        purchases = whole[whole.vendorId == vendor].reset_index(drop=True)
        payments = payments[payments.vendorId == vendor].reset_index(drop=True)
        runs = runs[runs.runId.isin(purchases.runId)].reset_index(drop=True)
    known = [one for one in vendors.vendorId if one == (vendor or one)]
    past: dict[str, list[PastJob]] = {name: [] for name in known}
    for job in history.outcomes(scope, known, outcomes_max):
        past[job.vendor_id].append(job)
    return Frames(runs, purchases, payments, asked.head(0) if vendor else asked, vendors, past, whole, asked)


def frame(rows: Iterable[Mapping[str, Any]] | Frame, columns: Mapping[str, str]) -> Frame:
    """Just these columns with these types; what is missing is an empty text, 0 or no time."""
    made = pd.DataFrame(rows if isinstance(rows, pd.DataFrame) else list(rows), columns=list(columns))
    for name, kind in columns.items():
        if kind == TIME:
            made[name] = pd.to_datetime(made[name], utc=True).astype(TIME)
        elif kind in ("str", "int64"):
            made[name] = made[name].astype("object").where(made[name].notna(), "" if kind == "str" else 0).astype(kind)
        else:
            made[name] = made[name].astype(kind)
    return made


def _purchases(jobs: Frame, payments: Frame, runs: Frame) -> Frame:
    """Jobs of these runs with their payments; a job without one was never signed for."""
    nullable = payments.astype({"blockNumber": "Int64"})  # or a missing one would turn all of them into floats
    joined = jobs.merge(nullable[["jobId", *OF_PAYMENT]], on="jobId", how="left")
    joined = joined.merge(runs[["runId", *OF_RUN]], on="runId", how="inner")
    settled = joined.state == "settled"
    joined["paid"] = joined.expectedCost.where(settled, 0)
    joined["cost"] = joined.actualCost.where(settled, 0)
    joined["refunded"] = joined.paid - joined.cost
    return frame(joined, PURCHASES)


def _counted(decision: Mapping[str, Any]) -> Mapping[str, Any]:
    """Token counts as numbers; a planner may keep none."""
    tokens = decision.get("tokens")
    tokens = tokens if isinstance(tokens, Mapping) else {}
    return {**decision, "promptTokens": tokens.get("prompt"), "completionTokens": tokens.get("completion")}
