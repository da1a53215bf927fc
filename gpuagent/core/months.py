"""Budgets over calendar months: what a tag's or a user's runs may spend between one month's first moment and the next.

Pure. A month is of a named time zone; its first moment is midnight there, or the first moment of that day where summer
time skips midnight. Amounts are atomic units, times Unix seconds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from gpuagent.core.money import parse_usd, show_usd
from gpuagent.core.zones import UTC_NAME, zone_of
from gpuagent.errors import BadInput

TAG, USER = "tag", "user"
KINDS = (TAG, USER)
NAME_MAX = 200
DAY_S = 86_400.0
BudgetKey = tuple[str, str]
"""The kind and the name of a budget."""


@dataclass(frozen=True, slots=True)
class MonthBudget:
    """All that the runs of a tag, or of a user, may hold and settle in a calendar month. kind: TAG or USER."""

    kind: str
    name: str
    amount: int

    @property
    def key(self) -> BudgetKey:
        return self.kind, self.name

    @property
    def text(self) -> str:
        """As parse_budget() reads it."""
        return f"{self.kind} {self.name}={show_usd(self.amount).removesuffix(' USD')}"


@dataclass(frozen=True, slots=True)
class MonthSum:
    """What was settled in a month so far, and what is held."""

    settled: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class BudgetShare:
    """A budget with what is used of it. month: such as 2026-11. share: 1.0 is all of it.

    per_day: settled a day of the month so far, of one day at least. forecast: what is held and settled at the month's
    end, if it goes on like that. ends_at: when the next month begins.
    """

    budget: MonthBudget
    month: str
    settled: int
    held: int
    share: float
    per_day: int
    forecast: int
    ends_at: float

    @property
    def used(self) -> int:
        return self.settled + self.held

    def as_json(self, zone: str, money: Callable[[int], object] = str) -> dict[str, object]:
        """For programs. money: how an amount is written, atomic units as a text unless said otherwise."""
        amounts = {
            "amount": self.budget.amount,
            "settled": self.settled,
            "held": self.held,
            "perDay": self.per_day,
            "forecast": self.forecast,
        }
        return {
            "kind": self.budget.kind,
            "name": self.budget.name,
            "month": self.month,
            **{name: money(amount) for name, amount in amounts.items()},
            "share": round(self.share, 4),
            "endsAt": datetime.fromtimestamp(self.ends_at, zone_of(zone)).isoformat(),
        }


def month_start(at: float, zone: str = UTC_NAME) -> float:
    """When the month began that this moment is in."""
    local = datetime.fromtimestamp(at, zone_of(zone))
    return _first_moment(local.year, local.month, zone)


def month_end(at: float, zone: str = UTC_NAME) -> float:
    """When the month begins that follows the one of this moment."""
    local = datetime.fromtimestamp(at, zone_of(zone))
    return _first_moment(local.year + local.month // 12, local.month % 12 + 1, zone)


def month_name(at: float, zone: str = UTC_NAME) -> str:
    """The calendar month of a moment in a zone, such as 2026-11."""
    return f"{datetime.fromtimestamp(at, zone_of(zone)):%Y-%m}"


@lru_cache(64)
def _first_moment(year: int, month: int, zone: str) -> float:
    """The first moment whose local date is in the month: found by looking, for clocks may be changed at midnight."""
    about = datetime(year, month, 1, tzinfo=zone_of(zone)).astimezone(UTC)
    early, late = about - timedelta(hours=4), about + timedelta(hours=4)
    low, high = int(early.timestamp()), int(late.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        local = datetime.fromtimestamp(middle, zone_of(zone))
        if (local.year, local.month) < (year, month):
            low = middle
        else:
            high = middle
    return float(high)


def of_run(budgets: Iterable[MonthBudget], user_id: str, tags: Iterable[str]) -> list[MonthBudget]:
    """The budgets that a run of this user with these tags counts against."""
    keys = {(USER, user_id), *((TAG, tag) for tag in tags)}
    return [budget for budget in budgets if budget.key in keys]


def problem(budgets: Iterable[MonthBudget], zone: str) -> str:
    """Why budgets cannot be meant; "" where they can. Raises BadInput for an unknown zone."""
    zone_of(zone)
    keys = [budget.key for budget in budgets]
    if repeated := [key for key in keys if keys.count(key) > 1]:
        return f"{' '.join(repeated[0])} has two budgets a month: write one"
    for budget in budgets:
        if budget.kind not in KINDS or not 0 < len(budget.name) <= NAME_MAX or not budget.name.isprintable():
            return f"a budget a month is of a tag or a user, with a name of 1 to {NAME_MAX} characters"
        if budget.amount < 0:
            return "a budget a month is 0 USD or more; write `none` for no limit"
    return ""


def parse_budget(text: str) -> MonthBudget:
    """A budget as a user writes it: `tag NAME=USD` or `user NAME=USD`. Raises BadInput."""
    kind, _, rest = text.strip().partition(" ")
    name, equals, amount = rest.rpartition("=")
    if kind not in KINDS or not equals or not name.strip():
        raise BadInput(f"{text[:60]!r} is no budget a month: write `tag NAME=USD` or `user NAME=USD`")
    return MonthBudget(kind, name.strip(), parse_usd(amount.strip()))


def budget_share(
    budgets: Iterable[MonthBudget], sums: Mapping[BudgetKey, MonthSum], at: float, zone: str = UTC_NAME
) -> list[BudgetShare]:
    """Each budget with what is used of it, the fullest first. at: now; sums: of the month that it is in."""
    began, ends = month_start(at, zone), month_end(at, zone)
    elapsed, remaining = max(at - began, DAY_S), max(ends - at, 0.0)
    shares = []
    for budget in budgets:
        spent = sums.get(budget.key, MonthSum())
        used = spent.settled + spent.held
        share = used / budget.amount if budget.amount else float(used > 0)
        forecast = used + int(spent.settled * remaining // elapsed)
        per_day = int(spent.settled * DAY_S // elapsed)
        shares.append(
            BudgetShare(budget, month_name(at, zone), spent.settled, spent.held, share, per_day, forecast, ends)
        )
    return sorted(shares, key=lambda entry: (-entry.share, entry.budget.key))
