"""Spend by vendor, user, tag, GPU type or planner: worked out by hand, and what the page says of it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gpuagent.core.money import parse_usd
from gpuagent.errors import BadInput
from gpuagent.render.palette import GREY
from gpuagent.reports import sections
from gpuagent.reports.charts.style import SPECIAL, Picture, marks
from gpuagent.reports.columns import Texts, Values, edge_ms, objects
from gpuagent.reports.figures import groups, sums
from gpuagent.reports.figures.groups import REMAINDER, SUMS, label
from gpuagent.reports.figures.spend import PLANNER
from gpuagent.reports.frames import frame
from gpuagent.reports.period import parse_period
from gpuagent.reports.request import ReportRequest
from gpuagent.reports.tables import Table
from tests.support import report_history
from tests.support.report_history import ALPHA, BETA, GAMMA

# November 2026, of 11.43 USD: group, jobs, cost, refunded, planner cost. Run A alone has a planner that costs.
COST_PLANNER = (PLANNER, 0, "0", "0", "0.03")
GROUPS: dict[str, list[tuple[str, int, str, str, str]]] = {
    "vendor": [(BETA, 3, "5.40", "0", "0"), (ALPHA, 2, "4.00", "0", "0"), (GAMMA, 1, "2.00", "1", "0"), COST_PLANNER],
    "user": [("ada", 5, "8.80", "1", "0.03"), ("bob", 1, "2.60", "0", "0")],
    "tag": [("x", 3, "5.20", "1", "0.03"), ("y", 1, "2.00", "1", "0"), ("no tag", 3, "6.20", "0", "0")],
    "gpu": [("A100", 5, "9.40", "0", "0"), ("H100", 1, "2.00", "1", "0"), COST_PLANNER],
    "planner": [("rules", 4, "8.20", "1", "0"), ("llm", 2, "3.20", "0", "0.03")],
}


def test_what_each_group_spent(book: report_history.Book) -> None:
    """The shares are of the whole, whatever the rows add up to: run C has two tags."""
    for by, rows in GROUPS.items():
        report = report_history.report(book.db, by=by)
        shown = groups.by_group(groups.spent_by(by, report.overview.now.tables), report.whole)
        amounts = [(name, jobs, *map(parse_usd, texts)) for name, jobs, *texts in rows]
        columns = ["group", "jobs", "cost", "refunded", "plannerCost"]
        assert [tuple(row) for row in shown[columns].itertuples(index=False)] == amounts, by
        whole = parse_usd("11.43")
        assert list(shown.share) == [(cost + planner) / whole for _, _, cost, _, planner in amounts], by


@pytest.mark.parametrize(("by", "of_vendor"), [("tag", ""), ("gpu", ""), ("vendor", ""), ("tag", GAMMA)])
def test_the_page_has_one_table_and_one_chart_of_it(book: report_history.Book, by: str, of_vendor: str) -> None:
    section = sections.spending(report_history.report(book.db, by=by, vendor=of_vendor))
    tables = [part for part in section.parts if isinstance(part, Table)]
    assert [table.title for table in tables] == [*{f"By {groups.NOUNS[by]}": 0, "By vendor": 0}]
    chart = section.parts[1]
    assert isinstance(chart, Picture)
    names = [name for name, *_ in GROUPS[by]] if not of_vendor else ["x", "y"]
    assert all(f" {name} " in chart.alt for name in names), chart.alt
    assert chart.title == f"Spend by {groups.NOUNS[by]} per day"
    assert ("may add up to more" in section.note) == (by == "tag")
    assert ("under several tags" in chart.alt) == (by == "tag")
    assert chart.alt.startswith("2.00 USD in " if of_vendor else "11.43 USD in ")


def spent(amounts: dict[str, int]) -> Any:
    at = pd.Timestamp("2026-11-03", tz="UTC")
    rows = [{"at": at, "group": name, "cost": amount} for name, amount in amounts.items()]
    return frame(rows, {"at": "datetime64[us, UTC]", "group": "str", **dict.fromkeys(SUMS, "int64")})


def test_the_chart_stacks_the_dearest_and_the_table_never_cuts_off_what_has_no_name() -> None:
    table = spent({**{f"tag{place:02}": place for place in range(1, 16)}, "no tag": 2, PLANNER: 1})
    period = parse_period("2026-11", pd.Timestamp("2026-11-22", tz="UTC").to_pydatetime())
    stack = groups.over_time(table, period, None)
    named = [f"tag{place:02}" for place in range(15, 3, -1)]
    assert list(stack.columns) == [*named, REMAINDER, "no tag", PLANNER]
    assert stack.sum()[[REMAINDER, "no tag", PLANNER]].tolist() == [1 + 2 + 3, 2, 1]
    rows = groups.by_group(table, 0)
    assert rows.share.isna().all()
    assert list(groups.top_rows(rows, 4).group) == ["tag15", "tag14", "no tag", PLANNER]
    assert list(groups.top_rows(rows, 99).group) == list(rows.group)
    looks = marks(list(stack.columns))
    assert len({(looks[name].colour, looks[name].hatch) for name in stack.columns}) == len(stack.columns)
    assert [SPECIAL[name].colour for name in (REMAINDER, "no tag")] == [GREY, GREY]


def test_no_name_looks_like_what_the_report_calls_something_itself() -> None:
    names = ["", *sorted(groups.RESERVED), *(f'"{name}"' for name in groups.RESERVED), '""others""', "nightly", "stub"]
    for by in groups.NOUNS:
        labels = [label(by, name) for name in names]
        assert len(set(labels)) == len(names)
        assert [text for text in labels if text in groups.RESERVED] == [f"no {groups.NOUNS[by]}"]
    assert label("planner", "stub") == "rules"
    assert label("tag", "stub") == "stub"


def test_an_unknown_dimension_is_refused_with_those_there_are() -> None:
    for name in ("colour", "", "Tag"):
        with pytest.raises(BadInput, match="vendor, user, tag, gpu, planner"):
            ReportRequest(by=name)
    assert ReportRequest(by=" gpu ").by == "gpu"


def test_runs_of_an_earlier_version_have_neither_tags_nor_a_planner() -> None:
    at = np.array([edge_ms(pd.Timestamp("2026-11-03T10:20", tz="UTC"))])
    amounts = dict.fromkeys(("jobs", "cost", "refunded", "credit"), np.full(3, 5))
    paid = {"runId": np.array([0, 1, 1]), "settledAt": at.repeat(3), **amounts}
    decisions = {"runId": np.array([0]), "at": at, "cost": np.array([7])}
    nothing = {name: Texts.of(np.array([-1, -1]), []) for name in ("userId", "planner")}
    runs = {"runId": np.arange(2), **nothing, "tags": Values(np.array([-1, 0]), objects([["a", "a"], []]))}
    table = sums.of_runs(paid, decisions, runs, "h")
    assert set(table["at"]) == {edge_ms(pd.Timestamp("2026-11-03T10:00", tz="UTC"))}
    columns = (table[name].tolist() for name in ("dimension", "name", "cost", "plannerCost"))
    rows = {(dimension, name): amounts for dimension, name, *amounts in zip(*columns, strict=True)}
    assert rows == {("user", ""): [15, 7], ("planner", ""): [15, 7], ("tag", ""): [5, 7], ("tag", "a"): [10, 0]}
