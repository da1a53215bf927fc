"""Periods and currencies of a report, as users write them."""

from datetime import UTC, datetime, timedelta

import pytest

from gpuagent.errors import BadInput
from gpuagent.reports.display import Display, parse_display
from gpuagent.reports.period import parse_period
from tests.support import report_history

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PERIODS = [
    ("2026-11", "2026-11-01 2026-12-01 2026-10-01"),
    ("2026-01", "2026-01-01 2026-02-01 2025-12-01"),
    ("2026-Q1", "2026-01-01 2026-04-01 2025-10-01"),
    ("2026", "2026-01-01 2027-01-01 2025-01-01"),
    ("2026-11-22", "2026-11-22 2026-11-23 2026-11-21"),
    ("2026-11-01..2026-11-10", "2026-11-01 2026-11-11 2026-10-22"),
]


@pytest.mark.parametrize(("text", "days"), PERIODS)
def test_a_period_is_read_as_its_days(text: str, days: str) -> None:
    period = parse_period(text, NOW)
    assert period.before
    assert " ".join(f"{day:%Y-%m-%d}" for day in (period.since, period.until, period.before)) == days


def test_periods_that_end_now() -> None:
    period = parse_period("2d", NOW)
    assert period.before
    assert (period.until, period.until - period.since) == (NOW, timedelta(days=2))
    assert period.since - period.before == timedelta(days=2)
    assert parse_period("all", NOW).before is None


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13", "2026-02-30", "2026-11-10..2026-11-01", "0d", "1e9d"])
def test_a_period_that_is_none(text: str) -> None:
    with pytest.raises(BadInput, match=r"period"):
        parse_period(text, NOW)


def test_two_currencies_of_display(book: report_history.Book) -> None:
    euro = report_history.report(book.db, currency="eur", rate="0.92")
    yen = report_history.report(book.db, currency="JPY", rate="155.5")
    assert euro.headlines[0].text(euro.display) == "11.43 USD (10.52 EUR)"
    assert yen.headlines[0].text(yen.display) == "11.43 USD (1,777.36 JPY)"  # 1777.365, half to even
    assert Display().amount(5) == "<0.01 USD"


@pytest.mark.parametrize(("currency", "rate"), [("EUR", ""), ("", "1"), ("EURO", "1"), ("EUR", "0"), ("EUR", "-1")])
def test_a_currency_needs_a_rate(currency: str, rate: str) -> None:
    with pytest.raises(BadInput, match=r"rate|ISO"):
        parse_display(currency, rate)
