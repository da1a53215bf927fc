"""The headlines of a report, each beside the same figure of the period before. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from gpuagent.core.money import usd
from gpuagent.reports.display import USD_ALONE, Display, duration, share
from gpuagent.reports.figures import delivery, spend
from gpuagent.reports.figures.spend import JobResult
from gpuagent.reports.figures.summary import Summary


class Unit(StrEnum):
    """The unit of a headline: atomic units, Decimal USD an hour, a share of 1, a number, seconds, hours."""

    USD = "USD"
    USD_PER_HOUR = "USD/h"
    SHARE = "share"
    COUNT = "count"
    TIME = "time"
    GPU_HOURS = "GPU h"


Value: TypeAlias = int | float | Decimal | None

HEADLINES = {
    "Spent": (Unit.USD, 0),
    "Paid to vendors": (Unit.USD, 0),
    "Refunded": (Unit.USD, 0),
    "Planner cost": (Unit.USD, 0),
    "Planner share of spend": (Unit.SHARE, 0),
    "Wasted on failed jobs": (Unit.USD, -1),
    "Waste share of vendor cost": (Unit.SHARE, -1),
    "Successful GPU hours": (Unit.GPU_HOURS, 1),
    "Cost of a successful GPU hour": (Unit.USD_PER_HOUR, -1),
    "Runs started": (Unit.COUNT, 0),
    "Runs completed, of those that ended": (Unit.SHARE, 1),
    "Median time to success": (Unit.TIME, -1),
    "Cost of a delivered result": (Unit.USD, -1),
    "Hours bought twice": (Unit.GPU_HOURS, -1),
    "Saved by resuming": (Unit.USD, 1),
    "Late jobs hedged": (Unit.COUNT, 0),
    "Cost of hedges": (Unit.USD, 0),
    "Hedges that won": (Unit.COUNT, 0),
}
"""The unit of each, and whether more is better (+1), worse (-1) or neither."""


@dataclass(frozen=True, slots=True)
class Headline:
    """One figure, now and in the period before, in its unit; None where there is nothing to divide by.

    good: +1 where more is better, -1 worse, 0 neither. compared: whether there is a period before.
    """

    name: str
    unit: Unit
    now: Value
    before: Value
    good: int = 0
    compared: bool = True

    def text(self, display: Display) -> str:
        return value_text(self.unit, self.now, display)

    def second(self, display: Display) -> str:
        """An amount in the second currency, if there is one."""
        if self.now is None:
            return ""
        match self.unit:
            case Unit.USD:
                return display.second(usd(int(self.now)))
            case Unit.USD_PER_HOUR:
                return display.second(Decimal(self.now), "/h")
        return ""

    @property
    def change(self) -> str:
        """The change against the period before, such as +25%, 1.40 USD before."""
        if not self.compared:
            return ""
        if self.before is None:
            return "none before"
        before = value_text(self.unit, self.before, USD_ALONE)
        if self.same or self.now is None or not self.before:
            return f"{before} before"
        sign = "+" if self.now > self.before else "−"
        difference = abs(float(self.now) - float(self.before))
        if self.unit is Unit.SHARE:
            return f"{sign}{difference * 100:.1f} points, {before} before"
        return f"{sign}{difference / abs(float(self.before)):.0%}, {before} before"

    @property
    def same(self) -> bool:
        """Whether both are written alike."""
        return self.text(USD_ALONE) == value_text(self.unit, self.before, USD_ALONE)

    @property
    def better(self) -> bool | None:
        """Whether it is better than before; None where it is neither better nor worse."""
        if not self.good or self.now is None or self.before is None or self.same:
            return None
        return (self.now > self.before) == (self.good > 0)


def value_text(unit: Unit, value: Value, display: Display) -> str:
    """A headline's value with its unit, or a dash."""
    if value is None:
        return "–"
    forms: dict[Unit, Callable[[], str]] = {
        Unit.USD: lambda: display.amount(int(value)),
        Unit.USD_PER_HOUR: lambda: display.decimal(Decimal(value), "/h"),
        Unit.SHARE: lambda: share(float(value)),
        Unit.TIME: lambda: duration(float(value)),
        Unit.GPU_HOURS: lambda: f"{float(value):,.2f} h",
        Unit.COUNT: lambda: f"{int(value):,}",
    }
    return forms[unit]()


def headlines(now: Summary, before: Summary | None) -> list[Headline]:
    """Spent = paid to vendors - refunded + planner cost. Runs belong to the period they were started in."""
    values = headline_values(now)
    earlier = headline_values(before) if before else dict.fromkeys(HEADLINES)
    return [
        Headline(name, unit, values[name], earlier[name], good, before is not None)
        for name, (unit, good) in HEADLINES.items()
    ]


def headline_values(summary: Summary) -> dict[str, Value]:
    """The value of each headline over the summary's window."""
    sales, counts = summary.tables["sales"], summary.counts
    cost = int(sales.cost.sum())
    wasted = int(sales[sales.outcome == JobResult.FAILED].cost.sum())
    ended_cost = int(sales[sales.outcome != JobResult.UNDER_WAY].cost.sum())
    hours = spend.successful_hours(sales)
    planner_cost = int(summary.tables["answers"].cost.sum())
    return {
        "Spent": cost + planner_cost,
        "Paid to vendors": int(sales.paid.sum()),
        "Refunded": int(sales.refunded.sum()),
        "Planner cost": planner_cost,
        "Planner share of spend": _share(planner_cost, cost + planner_cost),
        "Wasted on failed jobs": wasted,
        "Waste share of vendor cost": _share(wasted, cost),
        "Successful GPU hours": float(hours),
        "Cost of a successful GPU hour": spend.ratio(ended_cost, hours),
        "Runs started": counts["started"],
        "Runs completed, of those that ended": _share(counts["completed"], counts["ended"]),
        "Median time to success": float(np.median(summary.times / 1000)) if len(summary.times) else None,
        "Cost of a delivered result": delivery.mean_cost(counts["deliveredCost"], counts["delivered"]),
        "Hours bought twice": float(summary.twice),
        "Saved by resuming": counts["deliveredSaved"],
        "Late jobs hedged": int(sales.hedgeJobs.sum()),
        "Cost of hedges": int(sales.hedgeCost.sum()),
        "Hedges that won": int(sales.hedgeWins.sum()),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
