"""A report's figures against a history of eight runs (seeded.py), worked out by hand in the tables below."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from gpuagent.core.belief import believe
from gpuagent.core.money import parse_usd
from gpuagent.errors import BadInput
from gpuagent.reports.display import Display, display
from gpuagent.reports.figures import reliability, runs, spend
from gpuagent.reports.period import parse
from gpuagent.reports.report import Report
from tests.support import report_history as seeded
from tests.support.report_history import ALPHA, BETA, GAMMA


@pytest.fixture
def november(book: seeded.Book) -> Report:
    return seeded.report(book.db)


# November 2026, and October before it. USD as text is an amount, else it is what it is.
#   spent       A 1.40 + 1.80, B 2.60, C 3.00 - 1.00, E 1.80, G 1.80, planner 0.03        F 1.40
#   wasted      A 1.40, C 2.00                                                            -
#   hours       A 1, B 2, G 1 for 1.40 + 1.80 + 2.60 + 2.00 + 1.80 = 9.60 of ended jobs   F 1 for 1.40
#   runs        A, B, C, D, E, H; A, B of A, B, C                                         F, G; both
#   to success  A 7320 s, B 7200 s                                                        F 3600 s, G 4200 s
HEADLINES: list[tuple[str, Any, Any]] = [
    ("Spent", "11.43", "1.40"),
    ("Paid to vendors", "12.40", "1.40"),
    ("Refunded", "1", "0"),
    ("Planner cost", "0.03", "0"),
    ("Planner share of spend", 0.03 / 11.43, 0.0),
    ("Wasted on failed jobs", "3.40", "0"),
    ("Waste share of vendor cost", 3.40 / 11.40, 0.0),
    ("Successful GPU hours", 4.0, 1.0),
    ("Cost of a successful GPU hour", Decimal("2.4"), Decimal("1.4")),
    ("Runs started", 6, 2),
    ("Runs completed, of those that ended", 2 / 3, 1.0),
    ("Median time to success", 7260.0, 3900.0),
]


def test_headlines_beside_the_month_before(november: Report) -> None:
    expected = [(name, *(parse_usd(one) if isinstance(one, str) else one for one in both)) for name, *both in HEADLINES]
    found = [(one.name, one.now, one.before) for one in november.headlines]
    for (name, now, before), (found_name, found_now, found_before) in zip(expected, found, strict=True):
        assert found_name == name
        assert (found_now, found_before) == (pytest.approx(now), pytest.approx(before)), name
        if not isinstance(now, float):
            assert (found_now, found_before) == (now, before), name  # money to the unit


SPENT = {  # run A alone has a planner that costs; user, tag or vendor: what was spent in November
    ("user", "ada"): "8.83",  # A 3.20 + 0.03, C 2.00, E 1.80, G 1.80
    ("user", "bob"): "2.60",
    ("tag", "x"): "5.23",
    ("tag", "y"): "2.00",
    ("vendor", ALPHA): "4.00",
    ("vendor", BETA): "5.40",
    ("vendor", GAMMA): "2.00",
    ("vendor", "nobody"): "0",
}


@pytest.mark.parametrize(("by", "value"), list(SPENT))
def test_of_one_user_tag_or_vendor(book: seeded.Book, by: str, value: str) -> None:
    report = seeded.report(book.db, **{by: value})
    assert report.headlines[0].now == parse_usd(SPENT[by, value])
    assert sum(spend.composition(report.paid, report.decisions).values()) == report.headlines[0].now


def test_another_network_is_another_currency(book: seeded.Book) -> None:
    from gpuagent.reports.report import Asked, make

    report = make(Asked("2026-11"), book.db, "eip155:8453", seeded.seconds(seeded.NOW))
    assert (report.headlines[0].now, len(report.frames.runs)) == (0, 0)


def test_what_the_money_bought(november: Report) -> None:
    parts = {"success": "6.20", "failed": "3.40", "under way": "1.80", spend.PLANNER: "0.03"}
    assert spend.composition(november.paid, november.decisions) == {name: parse_usd(one) for name, one in parts.items()}


def test_spend_over_time_adds_up(november: Report) -> None:
    table, word = spend.over_time(november.paid, november.decisions, november.period)
    assert (word, list(table.columns)) == ("day", [ALPHA, BETA, GAMMA, spend.PLANNER])
    assert [f"{day:%d}" for day in table.index] == [f"{day:02}" for day in range(1, 23)]
    assert table.sum().to_dict() == {ALPHA: 4_000_000, BETA: 5_400_000, GAMMA: 2_000_000, spend.PLANNER: 30_000}
    assert table.loc["2026-11-02"].tolist() == [1_400_000, 1_800_000, 0, 30_000]


def test_cost_of_a_successful_hour(november: Report) -> None:
    found = spend.per_hour(november.paid)[["vendorId", "gpuType", "hours", "cost", "wasted", "perHour", "perHourAlone"]]
    assert [tuple(row) for row in found.itertuples(index=False)] == [
        (BETA, "A100", 2.0, 3_600_000, 0, Decimal("1.8"), Decimal("1.8")),
        (ALPHA, "A100", 2.0, 4_000_000, 1_400_000, Decimal("2"), Decimal("1.3")),
        (GAMMA, "H100", 0.0, 2_000_000, 2_000_000, None, None),
    ]


def test_waste_and_its_causes(november: Report) -> None:
    assert [tuple(row) for row in spend.waste(november.paid).itertuples(index=False)] == [
        (GAMMA, "Simulated GPU failure at # %", 1, 2_000_000, 1_000_000),
        (ALPHA, "Simulated GPU failure at # %", 1, 1_400_000, 0),
    ]
    assert [tuple(row) for row in november.unpaid.itertuples(index=False)] == [
        (BETA, "the price was raised", 1, 1_800_000)
    ]


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("Simulated  GPU failure\nat 37.5 %", "Simulated GPU failure at # %"),
        ("node 10.0.0.1 lost job 6b03740767675316e98db982", "node # lost job #"),
        ("", "no reason given"),
        ("x" * 200, "x" * 79 + "…"),
    ],
)
def test_a_cause_is_what_failures_share(message: str, cause: str) -> None:
    assert spend.cause(message) == cause


def test_reliability_is_what_planners_believe(november: Report) -> None:
    found = reliability.reliability(november.frames.vendors, november.frames.outcomes)
    outcomes = {ALPHA: [True, False, True], BETA: [True, True, False], GAMMA: [False]}  # beta's last fell through
    for row in found.itertuples():
        belief = believe(seeded.ADVERTISED[row.vendorId], outcomes[row.vendorId])
        assert row.advertised == seeded.ADVERTISED[row.vendorId]
        assert (row.succeeded, row.failed) == (outcomes[row.vendorId].count(True), outcomes[row.vendorId].count(False))
        assert (row.learned, (row.low, row.high)) == (pytest.approx(belief.chance()), belief.interval())
    assert dict(zip(found.vendorId, found.verdict, strict=True))[GAMMA] == "worse than advertised"


def test_reliability_of_a_month_knows_nothing_of_later_ones(book: seeded.Book) -> None:
    october = seeded.report(book.db, "2026-10")
    found = reliability.reliability(october.frames.vendors, october.frames.outcomes)
    assert found.succeeded.tolist() == [1, 0, 0]  # G's job was reserved in November
    assert found.verdict.tolist()[1:] == ["no job yet", "no job yet"]


def test_budgets_burn_down_to_what_is_left(book: seeded.Book, november: Report) -> None:
    frames, until = november.frames, pd.Timestamp(november.made_at)
    for run in november.started.itertuples():
        line = runs.burn_down(run, frames.whole_purchases, frames.whole_decisions, until)
        assert line.remaining.iloc[0] == run.budgetTotal
        assert line.remaining.iloc[-1] == run.budgetRemaining + run.held
        assert line["at"].is_monotonic_increasing
    found = runs.budgets(november.started)
    assert found.runId.tolist()[:3] == [book.runs[name].run_id for name in ("A", "C", "B")]
    parts = found.settled + found.held + found.plannerCost + found.budgetRemaining
    assert (parts == found.budgetTotal).all()


def test_what_needs_attention(book: seeded.Book, november: Report) -> None:
    found = november.attention[["kind", "vendorId", "amount", "runId"]]
    late, held = (book.runs[name].run_id for name in ("H", "D"))
    expected = [("late", ALPHA, 1_400_000, late), ("held", ALPHA, 1_400_000, held)]
    assert [tuple(row) for row in found.itertuples(index=False)] == expected
    later = seeded.report(book.db, now="2026-12-24T12:00").attention
    assert later[["kind", "what"]].to_numpy().tolist() == [
        ["late", "paid, and not done in twice the paid hours"],
        ["late", "signed, and past its time: the next tick asks the chain"],
        ["late", "reserved, and the quote has expired: the next tick releases it"],
    ]


def test_two_records_that_contradict_each_other(own_book: tuple[seeded.Book, Any]) -> None:
    book, database = own_book
    stray = database.payments.find_one({"vendorId": GAMMA})
    database.jobs.delete_one({"_id": stray["jobId"]})
    database.jobs.update_one({"vendorJobId": "b1"}, {"$set": {"state": "voided", "cause": "vendor"}})
    found = seeded.report(book.db).attention
    told = found[found.kind == "unmatched"].what.tolist()
    assert told == [
        "a payment is recorded as completed, and no job goes with it",
        "the job is voided, its payment completed",
    ]


def test_planners_that_were_compared(own_book: tuple[seeded.Book, Any]) -> None:
    book, _ = own_book
    arms = (("stub", 1), ("llm", 1))
    for place, planner in enumerate(("stub", "stub", "llm")):
        job = book.bought(ALPHA, "2", "2026-11-05T10:00", seeded.completed("2026-11-05T11:00", f"ab{place}"))
        over = seeded.OVER if place else seeded.LOST
        book.run(f"AB{place}", "eve", "2026-11-05T10:00", "5", job, planner=planner, planner_arms=arms, **over)
    found = runs.compared(seeded.report(book.db).started)
    assert [(arm.planner, arm.runs, arm.complete and arm.complete.mean) for arm in found] == [
        ("llm", 1, 1.0),
        ("stub", 2, 0.5),
    ]
    assert runs.arm_rows(found).spend.tolist() == [2_000_000, 2_000_000]


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
def test_periods(text: str, days: str) -> None:
    found = parse(text, NOW)
    assert found.before
    assert " ".join(f"{day:%Y-%m-%d}" for day in (found.since, found.until, found.before)) == days


def test_periods_that_end_now() -> None:
    found = parse("2d", NOW)
    assert (found.until, (found.until - found.since).days, (found.since - (found.before or NOW)).days) == (NOW, 2, 2)
    assert parse("all", NOW).before is None


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13", "2026-02-30", "2026-11-10..2026-11-01", "0d", "1e9d"])
def test_a_period_that_is_none(text: str) -> None:
    with pytest.raises(BadInput, match=r"period"):
        parse(text, NOW)


def test_two_currencies_of_display(book: seeded.Book) -> None:
    euro = seeded.report(book.db, currency="eur", rate="0.92")
    yen = seeded.report(book.db, currency="JPY", rate="155.5")
    assert euro.headlines[0].words(euro.shown) == "11.43 USD (10.52 EUR)"
    assert yen.headlines[0].words(yen.shown) == "11.43 USD (1,777.36 JPY)"  # 1777.365, half to even
    assert Display().amount(5) == "<0.01 USD"


@pytest.mark.parametrize(("currency", "rate"), [("EUR", ""), ("", "1"), ("EURO", "1"), ("EUR", "0"), ("EUR", "-1")])
def test_a_currency_needs_a_rate(currency: str, rate: str) -> None:
    with pytest.raises(BadInput, match=r"rate|ISO"):
        display(currency, rate)
