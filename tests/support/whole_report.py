"""A report's figures from every row of its frames, as a small history can be counted: what summaries must equal."""

from decimal import Decimal
from typing import Any

import pandas as pd

from gpuagent.reports.figures import delivery, groups, runs, spend
from gpuagent.reports.figures.headlines import Value
from gpuagent.reports.figures.spend import JobResult
from gpuagent.reports.report import Report

TOP = 250


def headline_values(report: Report, since: pd.Timestamp, until: pd.Timestamp) -> dict[str, Value]:
    frames = report.frames
    paid = spend.paid_in(frames.purchases, since, until)
    cost, failed = int(paid.cost.sum()), int(paid[paid.outcome == JobResult.FAILED].cost.sum())
    ended_cost = int(paid[paid.outcome != JobResult.UNDER_WAY].cost.sum())
    hours = sum(map(Decimal, map(str, paid[paid.outcome == JobResult.SUCCESS].hours)), Decimal(0))
    planner_cost = int(spend.decisions_in(frames.decisions, since, until).cost.sum())
    started = runs.started_in(frames.runs, since, until)
    ended = started[started.status != "running"]
    times = runs.times_to_success(started, frames.purchases)
    results = delivery.delivered(started, frames.whole_purchases)
    hedges = paid[paid.hedges.map(len) > 0]
    return {
        "Spent": cost + planner_cost,
        "Paid to vendors": int(paid.paid.sum()),
        "Refunded": int(paid.refunded.sum()),
        "Planner cost": planner_cost,
        "Planner share of spend": planner_cost / (cost + planner_cost) if cost + planner_cost else None,
        "Wasted on failed jobs": failed,
        "Waste share of vendor cost": failed / cost if cost else None,
        "Successful GPU hours": float(hours),
        "Cost of a successful GPU hour": spend.ratio(ended_cost, hours),
        "Runs started": len(started),
        "Runs completed, of those that ended": (ended.status == "completed").mean() if len(ended) else None,
        "Median time to success": float(times.seconds.median()) if len(times) else None,
        "Cost of a delivered result": round(Decimal(int(results.cost.sum())) / len(results)) if len(results) else None,
        "Hours bought twice": float(sum(map(Decimal, map(str, results.twiceHours)), Decimal(0))),
        "Saved by resuming": int(results.saved.sum()),
        "Late jobs hedged": len(hedges),
        "Cost of hedges": int(hedges.cost.sum()),
        "Hedges that won": len(hedges[hedges.status == "completed"]),
    }


def figures(report: Report) -> dict[str, Any]:
    """Everything that the page shows, by its name."""
    window = pd.Timestamp(report.period.since), pd.Timestamp(report.period.until)
    before = (pd.Timestamp(report.period.before), window[0]) if report.period.before else None
    frames = report.frames
    times = runs.times_to_success(report.started, frames.purchases)
    slowest = times.sort_values(["seconds", "createdAt", "runId"], ascending=[False, True, True], ignore_index=True)
    newest = report.paid.sort_values(
        ["settledAt", "createdAt", "jobId"], ascending=[False, True, True], ignore_index=True
    )
    return {
        "now": headline_values(report, *window),
        "before": headline_values(report, *before) if before else None,
        "composition": spend.composition(report.paid, report.decisions),
        "over time": spend.over_time(report.paid, report.decisions, report.period),
        "by vendor": spend.by_vendor(report.paid),
        "per hour": spend.per_hour(report.paid),
        "waste": spend.waste(report.paid),
        "unpaid": report.unpaid,
        "models": spend.by_model(report.decisions, int(report.paid.cost.sum())),
        "arms": runs.compare_planners(report.started, report.request.tag),
        "times": sorted(times.seconds),
        "slowest": slowest.head(TOP).drop(columns="doneAt"),
        "budgets": runs.budgets(report.started).head(TOP),
        "delivered": report.delivered.head(TOP),
        "payments": newest.head(TOP),
        "attention": report.attention,
    }


def spent_by(report: Report, dimension: str) -> dict[str, dict[pd.Timestamp, list[int]]]:
    """By group and time, the jobs, cost, refunded, credit and planner cost of single purchases and decisions."""
    unnamed = {"tag": "no tag", "user": "no user", "planner": "no planner"}
    quoted = {name: f'"{name}"' for name in ("no tag", "others")}
    columns = {"vendor": "vendorId", "gpu": "gpuType", "user": "userId", "tag": "tags", "planner": "planner"}
    runs_by_id = report.frames.runs.set_index("runId")
    sums: dict[str, dict[pd.Timestamp, list[int]]] = {}

    def count(names: Any, at: pd.Timestamp, *amounts: int) -> None:
        for name in (set(names) or {""}) if isinstance(names, list) else {names}:
            group = {"stub": "rules", **quoted}.get(name, name) or unnamed[dimension]
            before = sums.setdefault(group, {}).setdefault(at, [0] * 5)
            sums[group][at] = [total + int(amount) for total, amount in zip(before, amounts, strict=True)]

    for row in report.paid.itertuples():
        count(getattr(row, columns[dimension]), row.settledAt, 1, row.cost, row.refunded, row.credit, 0)
    for row in report.decisions.itertuples():
        of_run = dimension not in ("vendor", "gpu")
        group = runs_by_id.loc[row.runId, columns[dimension]] if of_run else spend.PLANNER
        count(group, row.at, 0, 0, 0, 0, row.cost)
    return sums


def assert_groups_equal(report: Report) -> None:
    """Hold the spend by each dimension, and over time, against what single rows say."""
    for dimension in groups.NOUNS:
        expected = spent_by(report, dimension)
        spent = groups.spent_by(dimension, report.overview.now.tables)
        rows = groups.by_group(spent, report.whole).set_index("group")
        sums = {
            group: [sum(column) for column in zip(*times.values(), strict=True)] for group, times in expected.items()
        }
        assert rows[list(groups.SUMS)].T.to_dict("list") == sums, dimension
        shares = {group: (amounts[1] + amounts[4]) / report.whole for group, amounts in sums.items()}
        assert rows.share.to_dict() == shares, dimension
        stack = groups.over_time(spent, report.period, report.overview.first_spent)
        for group, times in expected.items():
            bars = pd.Series(0, index=stack.index)
            for at, amounts in times.items():
                bars.iloc[bars.index.searchsorted(at, side="right") - 1] += amounts[1] + amounts[4]
            assert stack[group].tolist() == bars.tolist(), (dimension, group)


def summarised(report: Report) -> dict[str, Any]:
    """The same from the report's overview."""
    overview, tables = report.overview, report.overview.now.tables
    sales, answers = overview.sales, overview.answers
    values = [{line.name: line.now for line in report.headlines}, {line.name: line.before for line in report.headlines}]
    return {
        "now": values[0],
        "before": values[1] if report.period.before else None,
        "composition": spend.composition(sales, answers),
        "over time": spend.over_time(sales, answers, report.period, overview.first_spent),
        "by vendor": spend.by_vendor(sales),
        "per hour": spend.per_hour(sales),
        "waste": spend.dearest(tables["waste"]),
        "unpaid": spend.most(tables["unpaid"]),
        "models": spend.by_model(answers, int(sales.cost.sum())),
        "arms": runs.compare_planners(tables["arms"], report.request.tag),
        "times": list(overview.seconds),
        "slowest": overview.slowest.drop(columns="doneAt"),
        "budgets": runs.budgets(overview.budgets),
        "delivered": overview.delivered,
        "payments": overview.payments,
        "attention": overview.attention,
    }


def assert_equal(report: Report) -> None:
    """Hold every figure of the overview against the one counted from all rows."""
    assert_groups_equal(report)
    expected, actual = figures(report), summarised(report)
    for name, value in expected.items():
        shown = actual[name]
        if isinstance(value, tuple):
            assert value[1] == shown[1], name
            value, shown = value[0], shown[0]
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(shown, value, obj=name, check_freq=False)
        else:
            assert shown == value, f"{name}: {shown} is not {value}"
