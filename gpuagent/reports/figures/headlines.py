"""The figures on top of a report, each beside the same figure of the period before. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

import pandas as pd

from gpuagent.core.money import usd
from gpuagent.reports import display
from gpuagent.reports.display import Display
from gpuagent.reports.figures import runs, spend
from gpuagent.reports.frames import Frame, Frames

USD, USD_HOUR, SHARE, COUNT, TIME, HOURS = "USD", "USD/h", "share", "count", "time", "GPU h"
Value = int | float | Decimal | None


@dataclass(frozen=True, slots=True)
class Headline:
    """now, before: atomic units, Decimal USD an hour, a share, a count, seconds or hours, by unit.

    None: there is none (nothing to divide by). good: +1 where more is better, -1 worse, 0 neither. compared: whether
    there is a period before.
    """

    name: str
    unit: str
    now: Value
    before: Value
    good: int = 0
    compared: bool = True

    def words(self, shown: Display) -> str:
        return write(self.unit, self.now, shown)

    def second(self, shown: Display) -> str:
        """An amount in the second currency, if there is one."""
        if self.now is None or self.unit not in (USD, USD_HOUR):
            return ""
        return shown.second(Decimal(self.now), "/h") if self.unit == USD_HOUR else shown.second(usd(int(self.now)))

    @property
    def change(self) -> str:
        """Against the period before, in words."""
        if not self.compared:
            return ""
        if self.before is None:
            return "none before"
        was = write(self.unit, self.before, Display())
        if self.same or self.now is None or not self.before:
            return f"{was} before"
        sign, apart = "+" if self.now > self.before else "−", abs(float(self.now) - float(self.before))
        much = f"{apart * 100:.1f} points" if self.unit == SHARE else f"{apart / abs(float(self.before)):.0%}"
        return f"{sign}{much}, {was} before"

    @property
    def same(self) -> bool:
        """As far as one can see."""
        return self.words(Display()) == write(self.unit, self.before, Display())

    @property
    def better(self) -> bool | None:
        """None where it is neither better nor worse than before."""
        if not self.good or self.now is None or self.before is None or self.same:
            return None
        return (self.now > self.before) == (self.good > 0)


def write(unit: str, value: Value, shown: Display) -> str:
    if value is None:
        return "–"
    forms: dict[str, Callable[[], str]] = {
        USD: lambda: shown.amount(int(value)),
        USD_HOUR: lambda: shown.decimal(Decimal(value), "/h"),
        SHARE: lambda: display.share(float(value)),
        TIME: lambda: display.duration(float(value)),
        HOURS: lambda: f"{float(value):,.2f} h",
        COUNT: lambda: f"{int(value):,}",
    }
    return forms[unit]()


Window: TypeAlias = tuple[pd.Timestamp, pd.Timestamp]
KINDS = {
    "Spent": (USD, 0),
    "Paid to vendors": (USD, 0),
    "Refunded": (USD, 0),
    "Planner cost": (USD, 0),
    "Planner share of spend": (SHARE, 0),
    "Wasted on failed jobs": (USD, -1),
    "Waste share of vendor cost": (SHARE, -1),
    "Successful GPU hours": (HOURS, 1),
    "Cost of a successful GPU hour": (USD_HOUR, -1),
    "Runs started": (COUNT, 0),
    "Runs completed, of those that ended": (SHARE, 1),
    "Median time to success": (TIME, -1),
}


def headlines(frames: Frames, now: Window, before: Window | None) -> list[Headline]:
    """Spent = paid to vendors - refunded + planner cost. Runs belong to the period they were started in."""
    found = values(frames, *now)
    earlier = values(frames, *before) if before else dict.fromkeys(KINDS)
    return [
        Headline(name, unit, found[name], earlier[name], good, before is not None)
        for name, (unit, good) in KINDS.items()
    ]


def values(frames: Frames, since: pd.Timestamp, until: pd.Timestamp) -> dict[str, Value]:
    paid = spend.paid_in(frames.purchases, since, until)
    planner = int(spend.asked_in(frames.decisions, since, until).cost.sum())
    started = runs.started_in(frames.runs, since, until)
    times = runs.times_to_success(started, frames.purchases)
    cost, wasted, hours = int(paid.cost.sum()), int(paid[paid.outcome == spend.FAILED].cost.sum()), _hours(paid)
    over = int(paid[paid.outcome != spend.UNDER_WAY].cost.sum())
    ended = started[started.status != "running"]
    return {
        "Spent": cost + planner,
        "Paid to vendors": int(paid.paid.sum()),
        "Refunded": int(paid.refunded.sum()),
        "Planner cost": planner,
        "Planner share of spend": _share(planner, cost + planner),
        "Wasted on failed jobs": wasted,
        "Waste share of vendor cost": _share(wasted, cost),
        "Successful GPU hours": float(hours),
        "Cost of a successful GPU hour": spend.ratio(over, hours),
        "Runs started": len(started),
        "Runs completed, of those that ended": _share(int((ended.status == "completed").sum()), len(ended)),
        "Median time to success": float(times.seconds.median()) if len(times) else None,
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _hours(paid: Frame) -> Decimal:
    return sum((Decimal(str(one)) for one in paid[paid.outcome == spend.SUCCESS].hours), Decimal(0))
