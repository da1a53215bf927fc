"""Where the money went. Pure: frames in, frames out; amounts in atomic units, ratios as Decimal USD.

Money belongs to the moment it settled on chain, a planner's cost to its decision. So all shares here are of one sum.
"""

import re
from decimal import ROUND_HALF_EVEN, Decimal

import pandas as pd

from gpuagent.core.money import usd
from gpuagent.reports.frames import DECISIONS, Frame, frame
from gpuagent.reports.period import Period, buckets

PLANNER = "planner cost"
"""What stands for it beside vendors."""
SUCCESS, FAILED, UNDER_WAY = "success", "failed", "under way"
OUTCOME = {"completed": SUCCESS, "failed": FAILED, "submitted": UNDER_WAY, "running": UNDER_WAY}
CAUSE_MAX = 80
PER_HOUR = Decimal("0.000001")


def paid_in(purchases: Frame, since: pd.Timestamp, until: pd.Timestamp) -> Frame:
    """Purchases that settled then, with what became of the work as `outcome`."""
    settled = purchases.settledAt
    chosen = purchases[(purchases.state == "settled") & (settled >= since) & (settled < until)].copy()
    chosen["outcome"] = chosen.status.map(OUTCOME).astype("str")
    return chosen.reset_index(drop=True)


def asked_in(decisions: Frame, since: pd.Timestamp, until: pd.Timestamp) -> Frame:
    return decisions[(decisions["at"] >= since) & (decisions["at"] < until)].reset_index(drop=True)


def over_time(paid: Frame, decisions: Frame, period: Period) -> tuple[Frame, str]:
    """Atomic units by bucket (rows, the empty ones too) and vendor (columns, the planner last); the bucket's word.

    The buckets add up to the spend of the period.
    """
    spent = pd.concat(
        [
            frame(paid.assign(at=paid.settledAt, who=paid.vendorId, amount=paid.cost), SPENT),
            frame(decisions.assign(who=PLANNER, amount=decisions.cost), SPENT),
        ]
    )
    frequency, word = buckets(period, spent["at"].min().to_pydatetime() if len(spent) else None)
    if spent.empty:
        return pd.DataFrame(index=pd.DatetimeIndex([], tz="UTC", name="at")), word
    grouped = spent.groupby([pd.Grouper(key="at", freq=frequency, label="left", closed="left"), "who"]).amount.sum()
    table = grouped.unstack(fill_value=0).asfreq(frequency, fill_value=0).astype("int64")
    return table[sorted(table.columns, key=lambda who: (who == PLANNER, who))], word


SPENT = {"at": DECISIONS["at"], "who": "str", "amount": "int64"}


def composition(paid: Frame, decisions: Frame) -> dict[str, int]:
    """What the period's spend bought, in atomic units; the parts add up to it."""
    parts = {outcome: int(paid[paid.outcome == outcome].cost.sum()) for outcome in (SUCCESS, FAILED, UNDER_WAY)}
    return {**parts, PLANNER: int(decisions.cost.sum())}


def per_hour(paid: Frame) -> Frame:
    """By vendor and GPU: what a successful GPU hour cost, all that failed included; and what it would have without.

    The cheapest of each GPU first. GPU hours are those that were paid for. perHour, perHourAlone: Decimal USD, None
    where no job succeeded.
    """
    rows = []
    for (vendor, gpu), jobs in paid[paid.outcome != UNDER_WAY].groupby(["vendorId", "gpuType"]):
        good = jobs[jobs.outcome == SUCCESS]
        hours = sum((Decimal(str(one)) for one in good.hours), Decimal(0))
        cost, alone = int(jobs.cost.sum()), int(good.cost.sum())
        rows.append(
            {
                "vendorId": vendor,
                "gpuType": gpu,
                "jobs": len(jobs),
                "succeeded": len(good),
                "hours": float(hours),
                "cost": cost,
                "wasted": cost - alone,
                "perHour": ratio(cost, hours),
                "perHourAlone": ratio(alone, hours),
            }
        )
    found = pd.DataFrame(rows, columns=list(HOURLY)).astype(HOURLY)
    return found.sort_values(["gpuType", "perHour", "vendorId"], na_position="last", ignore_index=True)


HOURLY = {
    **dict.fromkeys(("vendorId", "gpuType"), "str"),
    **dict.fromkeys(("jobs", "succeeded"), "int64"),
    "hours": "float64",
    **dict.fromkeys(("cost", "wasted"), "int64"),
    **dict.fromkeys(("perHour", "perHourAlone"), "object"),
}


def ratio(amount: int, hours: Decimal) -> Decimal | None:
    """USD per hour, to the millionth."""
    return (usd(amount) / hours).quantize(PER_HOUR, ROUND_HALF_EVEN) if hours else None


def waste(paid: Frame) -> Frame:
    """Money on failed jobs by vendor and cause, dearest first. Numbers and ids in a cause are not told apart."""
    failed = paid[paid.outcome == FAILED]
    causes = failed.errorMessage.map(cause) if len(failed) else failed.errorMessage
    grouped = failed.assign(why=causes).groupby(["vendorId", "why"])
    found = grouped.agg(jobs=("jobId", "count"), cost=("cost", "sum"), refunded=("refunded", "sum")).reset_index()
    found = frame(found.rename(columns={"why": "cause"}), WASTE)
    return found.sort_values(["cost", "vendorId", "cause"], ascending=[False, True, True], ignore_index=True)


WASTE = {"vendorId": "str", "cause": "str", "jobs": "int64", "cost": "int64", "refunded": "int64"}


def cause(message: str) -> str:
    """A vendor's words without what differs from job to job."""
    plain = re.sub(r"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8,}\b|[0-9]+(\.[0-9]+)*", "#", " ".join(message.split()))
    plain = plain or "no reason given"
    return plain if len(plain) <= CAUSE_MAX else f"{plain[: CAUSE_MAX - 1]}…"


def by_vendor(paid: Frame) -> Frame:
    """Spend, jobs and outcomes by vendor, dearest first."""
    parts = {name: paid.outcome == name for name in (SUCCESS, FAILED, UNDER_WAY)}
    counted = paid.assign(**{f"n_{name}": chosen.astype("int64") for name, chosen in parts.items()})
    found = counted.groupby("vendorId").agg(
        jobs=("jobId", "count"),
        succeeded=(f"n_{SUCCESS}", "sum"),
        failed=(f"n_{FAILED}", "sum"),
        paid=("paid", "sum"),
        refunded=("refunded", "sum"),
        cost=("cost", "sum"),
    )
    found = frame(found.reset_index(), BY_VENDOR)
    return found.sort_values(["cost", "vendorId"], ascending=[False, True], ignore_index=True)


BY_VENDOR = {
    "vendorId": "str",
    **dict.fromkeys(("jobs", "succeeded", "failed", "paid", "refunded", "cost"), "int64"),
}


def fell_through(purchases: Frame, since: pd.Timestamp, until: pd.Timestamp) -> Frame:
    """Purchases that were reserved then and never paid, by vendor and cause: they cost nothing but time."""
    chosen = purchases[(purchases.state == "voided") & (purchases.createdAt >= since) & (purchases.createdAt < until)]
    why = chosen.errorMessage.map(cause) if len(chosen) else chosen.errorMessage
    grouped = chosen.assign(why=why).groupby(["vendorId", "why"])
    found = grouped.agg(jobs=("jobId", "count"), released=("expectedCost", "sum")).reset_index()
    found = frame(found.rename(columns={"why": "cause"}), FELL_THROUGH)
    return found.sort_values(["jobs", "vendorId", "cause"], ascending=[False, True, True], ignore_index=True)


FELL_THROUGH = {"vendorId": "str", "cause": "str", "jobs": "int64", "released": "int64"}
