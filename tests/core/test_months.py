"""Budgets over calendar months, pure: edges of months in time zones, shares, and what is forecast."""

from datetime import UTC, datetime

import pytest

from gpuagent.core.months import (
    MonthBudget,
    MonthSum,
    budget_share,
    month_end,
    month_name,
    month_start,
    of_run,
    parse_budget,
    problem,
)
from gpuagent.errors import BadInput

ALPHA, ADA = MonthBudget("tag", "alpha", 100_000_000), MonthBudget("user", "ada", 50_000_000)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("zone", "moment", "start", "end"),
    [
        ("UTC", "2026-11-15T12:00:00", "2026-11-01T00:00:00", "2026-12-01T00:00:00"),
        ("UTC", "2026-11-01T00:00:00", "2026-11-01T00:00:00", "2026-12-01T00:00:00"),
        ("UTC", "2026-10-31T23:59:59", "2026-10-01T00:00:00", "2026-11-01T00:00:00"),
        ("UTC", "2026-12-31T23:59:59", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("UTC", "2028-02-29T23:59:59", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
        # Berlin is an hour ahead in winter and two in summer: October has an hour more, March one less.
        ("Europe/Berlin", "2026-10-15T00:00:00", "2026-09-30T22:00:00", "2026-10-31T23:00:00"),
        ("Europe/Berlin", "2026-10-31T22:59:59", "2026-09-30T22:00:00", "2026-10-31T23:00:00"),
        ("Europe/Berlin", "2026-10-31T23:00:00", "2026-10-31T23:00:00", "2026-11-30T23:00:00"),
        ("Europe/Berlin", "2026-03-31T21:59:59", "2026-02-28T23:00:00", "2026-03-31T22:00:00"),
        ("America/New_York", "2026-11-01T03:59:59", "2026-10-01T04:00:00", "2026-11-01T04:00:00"),
        ("Pacific/Kiritimati", "2026-11-30T10:00:00", "2026-11-30T10:00:00", "2026-12-31T10:00:00"),
        ("Asia/Kolkata", "2026-11-30T18:29:59", "2026-10-31T18:30:00", "2026-11-30T18:30:00"),
        # Clocks there went from 00:00 to 01:00 on the first of April: that month had no midnight.
        ("Asia/Amman", "2016-04-15T00:00:00", "2016-03-31T22:00:00", "2016-04-30T21:00:00"),
        ("America/Asuncion", "2017-10-15T00:00:00", "2017-10-01T04:00:00", "2017-11-01T03:00:00"),
        # The clock there shows the first hour of November twice: it begins with the first of them.
        ("America/Havana", "2026-11-01T04:30:00", "2026-11-01T04:00:00", "2026-12-01T05:00:00"),
    ],
)
def test_a_month_begins_and_ends_in_its_zone(zone: str, moment: str, start: str, end: str) -> None:
    assert (month_start(at(moment), zone), month_end(at(moment), zone)) == (at(start), at(end))
    assert month_start(month_end(at(moment), zone), zone) == at(end)
    assert month_start(at(end) - 0.001, zone) == at(start)


def test_a_budget_is_written_as_it_is_read() -> None:
    assert parse_budget(" tag alpha=100 ") == ALPHA
    assert parse_budget("user ada=50.00") == ADA
    assert parse_budget("tag a=b=1.5").name == "a=b"
    assert parse_budget(ALPHA.text) == ALPHA
    for text in ("alpha=5", "tag alpha", "tag =5", "team alpha=5", "tag alpha=-5", "tag alpha=5,00", ""):
        with pytest.raises(BadInput):
            parse_budget(text)


def test_budgets_that_cannot_be_meant() -> None:
    assert problem([ALPHA, ADA], "UTC") == ""
    assert "two budgets" in problem([ALPHA, MonthBudget("tag", "alpha", 1)], "UTC")
    for budget in (MonthBudget("team", "a", 1), MonthBudget("tag", "", 1), MonthBudget("tag", "a\nb", 1)):
        assert "of a tag or a user" in problem([budget], "UTC")
    assert "0 USD or more" in problem([MonthBudget("tag", "a", -1)], "UTC")


def test_a_run_counts_against_its_user_and_its_tags() -> None:
    namesake = MonthBudget("user", "alpha", 1)
    assert of_run([ALPHA, ADA, namesake], "ada", ("beta", "alpha")) == [ALPHA, ADA]
    assert of_run([ALPHA, ADA, namesake], "alpha", ()) == [namesake]


def test_what_is_used_and_forecast() -> None:
    """Ten days into a month of thirty: 30 USD settled in ten days go on as 60 more."""
    now = at("2026-11-11T00:00:00")
    sums = {ALPHA.key: MonthSum(30_000_000, 5_000_000), ADA.key: MonthSum(held=50_000_000)}
    ada, alpha = budget_share([ALPHA, ADA], sums, now)
    assert (alpha.month, alpha.used, alpha.share) == ("2026-11", 35_000_000, 0.35)
    assert (alpha.per_day, alpha.forecast, alpha.ends_at) == (3_000_000, 95_000_000, at("2026-12-01T00:00:00"))
    assert (ada.share, ada.per_day, ada.forecast) == (1.0, 0, 50_000_000)


def test_the_first_hours_of_a_month_are_a_day() -> None:
    """Else one purchase in the first minute would be forecast as thousands of them."""
    (alpha,) = budget_share([ALPHA], {ALPHA.key: MonthSum(1_000_000)}, at("2026-11-01T00:01:00"))
    assert alpha.per_day == 1_000_000
    assert 30_000_000 <= alpha.forecast <= 31_000_000
    (last,) = budget_share([ALPHA], {ALPHA.key: MonthSum(31_000_000)}, month_end(at("2026-10-05T00:00:00")) - 1)
    assert last.forecast == 31_000_011
    (none,) = budget_share([MonthBudget("tag", "x", 0)], {}, 0)
    assert (none.share, none.forecast, month_name(0)) == (0.0, 0, "1970-01")
