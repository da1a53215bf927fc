"""The period of a report, in UTC, and the previous period that it is compared with."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from gpuagent.errors import BadInput

FORMS = "30d, 24h, 2026, 2026-Q4, 2026-11, 2026-11-22, 2026-11-01..2026-11-22 or all"
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""Before every run."""
_LAST = re.compile(r"([1-9][0-9]{0,4})([hd])", re.ASCII)
_LENGTHS = {"h": timedelta(hours=1), "d": timedelta(days=1)}
_YEAR = re.compile(r"(20[0-9]{2})(?:-Q([1-4])|-(0[1-9]|1[0-2]))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """A period: since <= t < until. before: the start of the previous period, None without one."""

    label: str
    since: datetime
    until: datetime
    before: datetime | None

    @property
    def days(self) -> float:
        return (self.until - self.since) / timedelta(days=1)

    @property
    def description(self) -> str:
        """The period in full, such as 2026-11-01 to 2026-11-22 UTC; both days are in it."""
        if self.before is None:
            return f"everything until {self.until:%Y-%m-%d %H:%M} UTC"
        if self.since.hour or self.since.minute or self.until.hour or self.until.minute:
            return f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"
        last = self.until - timedelta(days=1)
        return f"{self.since:%Y-%m-%d} to {last:%Y-%m-%d} UTC" if last > self.since else f"{self.since:%Y-%m-%d} UTC"


def parse_period(text: str, now: datetime) -> Period:
    """The period of a text in one of FORMS. now: the end of "30d", "24h" and "all". Raises BadInput.

    The previous period is the calendar month, quarter or year before, or else as long as this one.
    """
    label = text.strip()
    if label == "all":
        return Period(label, BEGINNING, now, None)
    if match := _LAST.fullmatch(label):
        length = int(match[1]) * _LENGTHS[match[2]]
        return Period(label, now - length, now, now - 2 * length)
    if match := _YEAR.fullmatch(label):
        return _calendar(label, int(match[1]), match[2], match[3])
    first, dots, last = label.partition("..")
    since, until = _day(first, text), _day(last if dots else first, text) + timedelta(days=1)
    if until <= since:
        raise BadInput(f"period {text!r} ends before it begins")
    return Period(label, since, until, since - (until - since))


def _calendar(label: str, year: int, quarter: str | None, month: str | None) -> Period:
    """The period of a whole year, quarter or month."""
    if quarter:
        first, months = 3 * int(quarter) - 2, 3
    elif month:
        first, months = int(month), 1
    else:
        first, months = 1, 12
    return Period(label, _month(year, first), _month(year, first + months), _month(year, first - months))


def _month(year: int, month: int) -> datetime:
    """The first instant of a month; 13 is January of the next year, 0 December of the year before."""
    years, index = divmod(month - 1, 12)
    return datetime(year + years, index + 1, 1, tzinfo=UTC)


def _day(text: str, whole: str) -> datetime:
    """The first instant of a day. whole: the text that it is part of."""
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(f"period {whole[:40]!r} is not known: write {FORMS}") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def buckets(period: Period, first: datetime | None) -> tuple[str, str]:
    """The width of a bar over time: pandas' frequency and its name. first: the earliest time to show, if any."""
    days = (period.until - max(period.since, first or period.since)) / timedelta(days=1)
    if days <= 2:
        return "h", "hour"
    if days <= 45:
        return "D", "day"
    return ("W-MON", "week") if days <= 300 else ("MS", "month")


def month_of(moment: datetime) -> tuple[datetime, datetime]:
    """The calendar month of a moment: its first instant and that of the next month."""
    return _month(moment.year, moment.month), _month(moment.year, moment.month + 1)
