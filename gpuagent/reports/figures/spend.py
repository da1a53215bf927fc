"""Spend by time, vendor, GPU and cause. Pure: frames in, frames out; amounts in atomic units, ratios as Decimal USD.

A payment belongs to the period it settled in, a planner's cost to the period of its decision, so all shares are of one
sum. The REST server's spend (adapters/mongo/queries.py) follows the same rules, which a test compares, and yet is
another sum: MongoDB adds it up over all networks, for the server loads no pandas; here every job is at hand, with its
hours, cause and refund.
"""

import re
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

import pandas as pd

from gpuagent.core.money import usd
from gpuagent.reports.frames import DECISIONS, Frame, frame
from gpuagent.reports.period import Period, buckets

PLANNER = "planner cost"
"""The planner's place among vendors."""


class JobResult(StrEnum):
    """The result of a paid job, as the column `outcome` has it."""

    SUCCESS = "success"
    FAILED = "failed"
    UNDER_WAY = "under way"


RESULTS = {
    "completed": JobResult.SUCCESS,
    "failed": JobResult.FAILED,
    "submitted": JobResult.UNDER_WAY,
    "running": JobResult.UNDER_WAY,
}
"""By the status of the job."""
CAUSE_MAX = 80
MILLIONTH = Decimal("0.000001")

SPENT = {"at": DECISIONS["at"], "payee": "str", "amount": "int64"}
HOURLY = {
    **dict.fromkeys(("vendorId", "gpuType"), "str"),
    **dict.fromkeys(("jobs", "succeeded"), "int64"),
    "hours": "float64",
    **dict.fromkeys(("cost", "wasted"), "int64"),
    **dict.fromkeys(("perHour", "perHourAlone"), "object"),
}
WASTE = {"vendorId": "str", "cause": "str", "jobs": "int64", "cost": "int64", "refunded": "int64"}
UNPAID = {"vendorId": "str", "cause": "str", "jobs": "int64", "released": "int64"}
BY_VENDOR = {
    **dict.fromkeys(("vendorId", "protocol"), "str"),
    **dict.fromkeys(("jobs", "succeeded", "failed", "paid", "refunded", "cost", "credit"), "int64"),
}


SALES = ("vendorId", "protocol", "gpuType", "outcome")
SALE_SUMS = ("jobs", "paid", "refunded", "cost", "credit", "hedgeJobs", "hedgeCost", "hedgeWins")


def paid_in(purchases: Frame, since: pd.Timestamp, until: pd.Timestamp) -> Frame:
    """Purchases that settled in [since, until), with the result of the work as `outcome`."""
    settled_at = purchases.settledAt
    paid = purchases[(purchases.state == "settled") & (settled_at >= since) & (settled_at < until)]
    return with_outcome(paid)


def with_outcome(paid: Frame) -> Frame:
    """Settled purchases with the result of the work as `outcome`."""
    return paid.assign(outcome=paid.status.map(RESULTS).astype("str"), jobs=1).reset_index(drop=True)


def decisions_in(decisions: Frame, since: pd.Timestamp, until: pd.Timestamp) -> Frame:
    within = decisions[(decisions["at"] >= since) & (decisions["at"] < until)]
    return within.assign(decisions=1).reset_index(drop=True)


def over_time(paid: Frame, decisions: Frame, period: Period, first: pd.Timestamp | None = None) -> tuple[Frame, str]:
    """Atomic units by bucket (rows, empty ones too) and vendor (columns, the planner last); the name of a bucket.

    The buckets add up to the spend of the period. first: when money was first spent, where the times are rounded.
    """
    spent = pd.concat(
        [
            frame(paid.assign(at=paid.settledAt, payee=paid.vendorId, amount=paid.cost), SPENT),
            frame(decisions.assign(payee=PLANNER, amount=decisions.cost), SPENT),
        ]
    )
    return bucketed(spent, period, first)


def bucketed(spent: Frame, period: Period, first: pd.Timestamp | None) -> tuple[Frame, str]:
    """The same of amounts with the time `at` and a payee, whatever the payees are."""
    began_at = (first or spent["at"].min()).to_pydatetime() if len(spent) else None
    frequency, bucket = buckets(period, began_at)
    if spent.empty:
        return pd.DataFrame(index=pd.DatetimeIndex([], tz="UTC", name="at")), bucket
    grouped = spent.groupby([pd.Grouper(key="at", freq=frequency, label="left", closed="left"), "payee"]).amount.sum()
    table = grouped.unstack(fill_value=0).asfreq(frequency, fill_value=0).astype("int64")
    return table[sorted(table.columns, key=lambda payee: (payee == PLANNER, payee))], bucket


def composition(paid: Frame, decisions: Frame) -> dict[str, int]:
    """The period's spend by the result of jobs, and the planner's, in atomic units; the parts add up to it."""
    parts: dict[str, int] = {result: int(paid[paid.outcome == result].cost.sum()) for result in JobResult}
    return {**parts, PLANNER: int(decisions.cost.sum())}


def per_hour(paid: Frame) -> Frame:
    """The cost of a successful GPU hour by vendor and GPU, with all failed jobs and without; the cheapest first.

    GPU hours are those that were paid for. perHour, perHourAlone: Decimal USD, None where no job succeeded.
    """
    ended = paid[paid.outcome != JobResult.UNDER_WAY]
    succeeded = ended.outcome == JobResult.SUCCESS
    hours = [Decimal(str(each)) if counts else Decimal(0) for each, counts in zip(ended.hours, succeeded, strict=True)]
    counted = ended[["vendorId", "gpuType", "jobs", "cost"]].assign(
        succeeded=ended.jobs.where(succeeded, 0),
        hours=pd.Series(hours, index=ended.index, dtype="object"),
        earned=ended.cost.where(succeeded, 0),
    )
    sums = counted.groupby(["vendorId", "gpuType"], as_index=False).sum()
    rows = sums.assign(
        wasted=sums.cost - sums.earned,
        perHour=list(map(ratio, sums.cost, sums.hours)),
        perHourAlone=list(map(ratio, sums.earned, sums.hours)),
    )
    hourly = rows[list(HOURLY)].astype(HOURLY)
    return hourly.sort_values(["gpuType", "perHour", "vendorId"], na_position="last", ignore_index=True)


def successful_hours(paid: Frame) -> Decimal:
    """The paid hours of the jobs that succeeded."""
    return sum((Decimal(str(hours)) for hours in paid[paid.outcome == JobResult.SUCCESS].hours), Decimal(0))


def ratio(amount: int, hours: Decimal) -> Decimal | None:
    """USD per hour, to the millionth; None without an hour."""
    return (usd(amount) / hours).quantize(MILLIONTH, ROUND_HALF_EVEN) if hours else None


def waste(paid: Frame) -> Frame:
    """Money on failed jobs by vendor and cause, dearest first. Numbers and ids in a cause are not told apart."""
    failed = paid[paid.outcome == JobResult.FAILED]
    if failed.empty:
        return frame([], WASTE)
    grouped = failed.assign(cause=_causes(failed), jobs=1).groupby(["vendorId", "cause"])
    sums = grouped[["jobs", "cost", "refunded"]].sum()
    return dearest(frame(sums.reset_index(), WASTE))


def dearest(wasted: Frame) -> Frame:
    return wasted.sort_values(["cost", "vendorId", "cause"], ascending=[False, True, True], ignore_index=True)


def unpaid_in(purchases: Frame, since: pd.Timestamp, until: pd.Timestamp) -> Frame:
    """Purchases that were reserved in [since, until) and never paid, by vendor and cause: they cost only time."""
    created_at = purchases.createdAt
    voided = purchases[(purchases.state == "voided") & (created_at >= since) & (created_at < until)]
    if voided.empty:
        return frame([], UNPAID)
    grouped = voided.assign(cause=_causes(voided), jobs=1, released=voided.expectedCost).groupby(["vendorId", "cause"])
    sums = grouped[["jobs", "released"]].sum()
    return most(frame(sums.reset_index(), UNPAID))


def most(unpaid: Frame) -> Frame:
    return unpaid.sort_values(["jobs", "vendorId", "cause"], ascending=[False, True, True], ignore_index=True)


def _causes(jobs: Frame) -> "pd.Series[str]":
    return jobs.errorMessage.map(cause) if len(jobs) else jobs.errorMessage


def cause(message: str) -> str:
    """A vendor's message without the numbers and ids that differ from job to job."""
    text = re.sub(r"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8,}\b|[0-9]+(\.[0-9]+)*", "#", " ".join(message.split()))
    text = text or "no reason given"
    return text if len(text) <= CAUSE_MAX else f"{text[: CAUSE_MAX - 1]}…"


def _names(texts: "pd.Series[str]") -> str:
    return ", ".join(sorted(texts.unique()))


def by_vendor(paid: Frame) -> Frame:
    """Spend, jobs and results by vendor, dearest first. protocol: all that it was bought from by."""
    counts = {
        "succeeded": paid.jobs.where(paid.outcome == JobResult.SUCCESS, 0),
        "failed": paid.jobs.where(paid.outcome == JobResult.FAILED, 0),
    }
    sums = (
        paid.assign(**counts)
        .groupby("vendorId")
        .agg(
            protocol=("protocol", _names),
            jobs=("jobs", "sum"),
            succeeded=("succeeded", "sum"),
            failed=("failed", "sum"),
            paid=("paid", "sum"),
            refunded=("refunded", "sum"),
            cost=("cost", "sum"),
            credit=("credit", "sum"),
        )
    )
    vendors = frame(sums.reset_index(), BY_VENDOR)
    return vendors.sort_values(["cost", "vendorId"], ascending=[False, True], ignore_index=True)


def by_model(decisions: Frame, vendor_cost: int) -> Frame:
    """Paid answers, tokens and cost by planner and model, dearest first. share: of vendor_cost and all of these."""
    grouped = decisions.groupby(["planner", "model"])
    sums = grouped[["promptTokens", "completionTokens", "cost"]].sum()
    spent = vendor_cost + int(decisions.cost.sum())
    models = sums.assign(decisions=grouped.decisions.sum(), share=sums.cost / max(spent, 1)).reset_index()
    return models.sort_values("cost", ascending=False, ignore_index=True)
