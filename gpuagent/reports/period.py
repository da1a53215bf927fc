"""The time that a report is about, in UTC, and the time before it that it is compared with."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from gpuagent.errors import BadInput

FORMS = "30d, 24h, 2026, 2026-Q4, 2026-11, 2026-11-22, 2026-11-01..2026-11-22 or all"
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""Before every run."""
_LAST = re.compile(r"([1-9][0-9]{0,4})([hd])", re.ASCII)
_YEAR = re.compile(r"(20[0-9]{2})(?:-Q([1-4])|-(0[1-9]|1[0-2]))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """since <= t < until. before: where the previous period begins, None where there is nothing to compare with."""

    label: str
    since: datetime
    until: datetime
    before: datetime | None

    @property
    def days(self) -> float:
        return (self.until - self.since) / timedelta(days=1)

    @property
    def words(self) -> str:
        """In full, such as 2026-11-01 to 2026-11-22 UTC; both days are in it."""
        if self.before is None:
            return f"everything until {self.until:%Y-%m-%d %H:%M} UTC"
        if self.since.hour or self.since.minute or self.until.hour or self.until.minute:
            return f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"
        last = self.until - timedelta(days=1)
        return f"{self.since:%Y-%m-%d} to {last:%Y-%m-%d} UTC" if last > self.since else f"{self.since:%Y-%m-%d} UTC"


def parse(text: str, now: datetime) -> Period:
    """What a person wrote (FORMS). now: where "30d", "24h" and "all" end. Raises BadInput.

    The previous period is the calendar month, quarter or year before, or else as long as this one.
    """
    words = text.strip()
    if words == "all":
        return Period(words, BEGINNING, now, None)
    if found := _LAST.fullmatch(words):
        length = timedelta(**{"h": {"hours": int(found[1])}, "d": {"days": int(found[1])}}[found[2]])
        return Period(words, now - length, now, now - 2 * length)
    if found := _YEAR.fullmatch(words):
        return _calendar(words, int(found[1]), found[2], found[3])
    first, dots, last = words.partition("..")
    since, until = _day(first, text), _day(last if dots else first, text) + timedelta(days=1)
    if until <= since:
        raise BadInput(f"period {text!r} ends before it begins")
    return Period(words, since, until, since - (until - since))


def _calendar(label: str, year: int, quarter: str | None, month: str | None) -> Period:
    """A year, a quarter or a month."""
    months = 12 if not quarter and not month else 3 if quarter else 1
    begins = 3 * int(quarter) - 2 if quarter else int(month or 1)
    return Period(label, _month(year, begins), _month(year, begins + months), _month(year, begins - months))


def _month(year: int, month: int) -> datetime:
    """Months past the year's end or before its beginning count on."""
    over, index = divmod(month - 1, 12)
    return datetime(year + over, index + 1, 1, tzinfo=UTC)


def _day(text: str, whole: str) -> datetime:
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(f"period {whole[:40]!r} is not known: write {FORMS}") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def buckets(period: Period, first: datetime | None) -> tuple[str, str]:
    """How wide a bar over time is: pandas' frequency and its word. first: the earliest thing to show, if any."""
    days = (period.until - max(period.since, first or period.since)) / timedelta(days=1)
    if days <= 2:
        return "h", "hour"
    if days <= 45:
        return "D", "day"
    return ("W-MON", "week") if days <= 300 else ("MS", "month")


def month_of(moment: datetime) -> tuple[datetime, datetime]:
    """The calendar month that a moment is in: its first instant and the next one's."""
    return _month(moment.year, moment.month), _month(moment.year, moment.month + 1)
