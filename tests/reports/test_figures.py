"""A report's figures against a history of eight runs (report_history.py), worked out by hand in the tables below."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from gpuagent.core.belief import believe
from gpuagent.core.money import parse_usd
from gpuagent.core.records import ReportScope
from gpuagent.reports.charts import work
from gpuagent.reports.figures import reliability, runs, spend
from gpuagent.reports.frames import read_frames
from gpuagent.reports.report import Report, make_report
from gpuagent.reports.request import ReportRequest
from tests.support import report_history
from tests.support.report_history import ALPHA, BETA, GAMMA


@pytest.fixture
def november(book: report_history.Book) -> Report:
    return report_history.report(book.db)


# November 2026, and October before it. USD as text is an amount, else it is what it is.
#   spent       A 1.40 + 1.80, B 2.60, C 3.00 - 1.00, E 1.80, G 1.80, planner 0.03        F 1.40
#   wasted      A 1.40, C 2.00                                                            -
#   hours       A 1, B 2, G 1 for 1.40 + 1.80 + 2.60 + 2.00 + 1.80 = 9.60 of ended jobs   F 1 for 1.40
#   runs        A, B, C, D, E, H; A, B of A, B, C                                         F, G; both
#   to success  A 7320 s, B 7200 s                                                        F 3600 s, G 4200 s
#   delivered   none has a job file                                                       -
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
    ("Cost of a delivered result", None, None),
    ("Hours bought twice", 0.0, 0.0),
    ("Saved by resuming", "0", "0"),
    ("Late jobs hedged", 0, 0),
    ("Cost of hedges", "0", "0"),
    ("Hedges that won", 0, 0),
]


def test_headlines_beside_the_month_before(november: Report) -> None:
    for (name, *values), headline in zip(HEADLINES, november.headlines, strict=True):
        now, before = (parse_usd(value) if isinstance(value, str) else value for value in values)
        assert headline.name == name
        assert (headline.now, headline.before) == (pytest.approx(now), pytest.approx(before)), name
        if not isinstance(now, float):
            assert (headline.now, headline.before) == (now, before), name  # money to the unit


SPENT = {  # run A alone has a planner that costs; user, tag or vendor: what was spent in November
    ("user", "ada"): "8.83",  # A 3.20 + 0.03, C 2.00, E 1.80, G 1.80
    ("user", "bob"): "2.60",
    ("tag", "x"): "5.23",
    ("tag", "y"): "2.00",
    ("vendor", ALPHA): "4.00",
    ("vendor", BETA): "5.40",
    ("vendor", GAMMA): "2.00",
}


@pytest.mark.parametrize(("by", "value"), list(SPENT))
def test_of_one_user_tag_or_vendor(book: report_history.Book, by: str, value: str) -> None:
    report = report_history.report(book.db, **{by: value})
    assert report.headlines[0].now == parse_usd(SPENT[by, value])
    assert report.spent == report.headlines[0]
    assert sum(spend.composition(report.paid, report.decisions).values()) == report.headlines[0].now


def test_another_network_is_another_currency(book: report_history.Book) -> None:
    report = make_report(ReportRequest("2026-11"), book.db, "eip155:8453", report_history.seconds(report_history.NOW))
    assert (report.headlines[0].now, len(report.frames.runs)) == (0, 0)


def test_what_the_money_bought(november: Report) -> None:
    parts = {"success": "6.20", "failed": "3.40", "under way": "1.80", spend.PLANNER: "0.03"}
    assert spend.composition(november.paid, november.decisions) == {
        name: parse_usd(amount) for name, amount in parts.items()
    }


def test_spend_over_time_adds_up(november: Report) -> None:
    table, bucket = spend.over_time(november.paid, november.decisions, november.period)
    assert (bucket, list(table.columns)) == ("day", [ALPHA, BETA, GAMMA, spend.PLANNER])
    assert [f"{day:%d}" for day in table.index] == [f"{day:02}" for day in range(1, 23)]
    assert table.sum().to_dict() == {ALPHA: 4_000_000, BETA: 5_400_000, GAMMA: 2_000_000, spend.PLANNER: 30_000}
    assert table.loc["2026-11-02"].tolist() == [1_400_000, 1_800_000, 0, 30_000]


def test_cost_of_a_successful_hour(november: Report) -> None:
    columns = ["vendorId", "gpuType", "hours", "cost", "wasted", "perHour", "perHourAlone"]
    hourly = spend.per_hour(november.paid)[columns]
    assert [tuple(row) for row in hourly.itertuples(index=False)] == [
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


@pytest.mark.parametrize(
    ("advertised", "low", "high", "jobs", "text"),
    [
        (0.9, 0.5, 0.99, 0, "no job yet"),
        (0.9, 0.5, 0.99, 2, "not refuted yet, 2 jobs"),
        (0.9, 0.78, 0.98, 30, "as advertised, 30 jobs"),
        (0.9, 0.1, 0.8, 3, "worse than advertised, 3 jobs"),
        (0.5, 0.6, 0.99, 1, "better than advertised, 1 job"),
    ],
)
def test_a_verdict_says_of_how_many_jobs(advertised: float, low: float, high: float, jobs: int, text: str) -> None:
    assert reliability.verdict(advertised, low, high, jobs) == text


def test_reliability_is_what_planners_believe(november: Report) -> None:
    vendors = reliability.reliability(november.frames.vendors, november.frames.past_jobs)
    outcomes = {ALPHA: [True, False, True], BETA: [True, True, False], GAMMA: [False]}  # beta's last fell through
    for row in vendors.itertuples():
        belief = believe(report_history.ADVERTISED[row.vendorId], outcomes[row.vendorId])
        assert row.advertised == report_history.ADVERTISED[row.vendorId]
        assert (row.succeeded, row.failed) == (outcomes[row.vendorId].count(True), outcomes[row.vendorId].count(False))
        assert (row.learned, (row.low, row.high)) == (pytest.approx(belief.chance()), belief.interval())
    assert dict(zip(vendors.vendorId, vendors.verdict, strict=True))[GAMMA] == "worse than advertised, 1 job"


def test_reliability_of_a_month_knows_nothing_of_later_ones(book: report_history.Book) -> None:
    october = report_history.report(book.db, "2026-10")
    vendors = reliability.reliability(october.frames.vendors, october.frames.past_jobs)
    assert vendors.succeeded.tolist() == [1, 0, 0]  # G's job was reserved in November
    assert vendors.verdict.tolist()[1:] == ["no job yet", "no job yet"]


def test_budgets_burn_down_to_what_is_left(book: report_history.Book, november: Report) -> None:
    frames, until = november.frames, pd.Timestamp(november.made_at)
    for run in november.started.itertuples():
        line = runs.burn_down(run, frames.whole_purchases, frames.whole_decisions, until)
        assert line.remaining.iloc[0] == run.budgetTotal
        assert line.remaining.iloc[-1] == run.budgetRemaining + run.held
        assert line["at"].is_monotonic_increasing
    budgets = runs.budgets(november.started)
    assert budgets.runId.tolist()[:3] == [book.runs[name].run_id for name in ("A", "C", "B")]
    parts = budgets.settled + budgets.held + budgets.plannerCost + budgets.budgetRemaining
    assert (parts == budgets.budgetTotal).all()


def test_a_block_of_whole_seconds_settles_nothing_before_it_was_signed() -> None:
    """A run of ten seconds: no latency is negative, and its budget burns down from its start, in seconds."""
    moments = [pd.Timestamp(f"2026-11-05T10:00:0{second}Z") for second in ("0.7", "0.9", "0", "8.2")]
    created_at, signed_at, block_at, ended_at = moments
    rows: Any = SimpleNamespace(
        vendors=list,
        runs=lambda _: [{"runId": "r", "createdAt": created_at, "updatedAt": ended_at, "budgetTotal": 5}],
        payments=lambda _: [{"runId": "r", "jobId": "j", "signedAt": signed_at}],
        decisions=lambda _: [],
        jobs=lambda _: [
            {
                **{"runId": "r", "jobId": "j", "state": "settled", "expectedCost": 2},
                **{"createdAt": created_at, "settledAt": block_at},
            }
        ],
        jobs_named=lambda _: [],
        outcomes=lambda *_: [],
    )
    frames = read_frames(rows, ReportScope("n", created_at, ended_at), "", 1)
    assert frames.purchases.settledAt.tolist() == [signed_at]
    (run,) = frames.runs.itertuples()
    line = runs.burn_down(run, frames.purchases, frames.decisions, ended_at)
    assert line["at"].min() == created_at
    units = [work.time_unit(seconds)[1] for seconds in (7.5, 600, 9000, 400_000)]
    assert units == ["seconds", "minutes", "hours", "days"]


def test_planners_that_were_compared(own_book: tuple[report_history.Book, Any]) -> None:
    book, _ = own_book
    planners = (("stub", 1), ("llm", 1))
    for place, planner in enumerate(("stub", "stub", "llm")):
        job = book.settled(ALPHA, "2", "2026-11-05T10:00", report_history.completed("2026-11-05T11:00", f"ab{place}"))
        ending = report_history.OVER if place else report_history.LOST
        book.run(f"AB{place}", "eve", "2026-11-05T10:00", "5", job, planner=planner, planner_arms=planners, **ending)
    arms = runs.compare_planners(report_history.report(book.db).started)
    assert [(arm.planner, arm.runs, arm.complete and arm.complete.mean) for arm in arms] == [
        ("llm", 1, 1.0),
        ("stub", 2, 0.5),
    ]
    assert runs.arm_rows(arms).spend.tolist() == [2_000_000, 2_000_000]


def test_rest_and_reports_agree_on_the_spend_of_vendors(book: report_history.Book, november: Report) -> None:
    since, until = (day.timestamp() for day in (november.period.since, november.period.until))
    groups = {group["key"]: group for group in book.db.queries.spend("vendor", since, until)}
    vendors = spend.by_vendor(november.paid)
    assert vendors.set_index("vendorId").cost.to_dict() == {key: group["settled"] for key, group in groups.items()}
    wasted = spend.waste(november.paid).groupby("vendorId").cost.sum().to_dict()
    assert wasted == {key: group["wasted"] for key, group in groups.items() if group["wasted"]}
    counts = {row.vendorId: (row.jobs, row.succeeded) for row in vendors.itertuples()}
    assert counts == {key: (group["payments"], group["jobsCompleted"]) for key, group in groups.items()}
