"""Comparisons: the gate that the stub must pass, and tables whose figures are computed by hand."""

import csv
import io
from collections.abc import Callable, Sequence

import pytest
from rich.console import Console
from rich.table import Table

from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.core.ports.planner import Planner
from gpuagent.planbench import report
from gpuagent.planbench.answers import PlannerClient
from gpuagent.planbench.baselines import BASELINES
from gpuagent.planbench.compare import Comparison, compare
from gpuagent.planbench.files import parse
from gpuagent.planbench.generator.families import FAMILIES
from gpuagent.planbench.generator.generate import generate
from gpuagent.planbench.play import LAMBDA
from gpuagent.planbench.scenarios import Market, load, markets
from gpuagent.planbench.scores import ALL, Row, pairs, rows, several
from tests.support.scenarios import PUBLIC, StepPlanner, document, market, similar_scenarios, sweep

GATE = 0.015
"""The share by which the stub's U may be below that of Bayes, in the ALL row."""


def comparison_of(scenarios: Sequence[Sequence[Market]], mode: str, *planners: Planner) -> Comparison:
    return compare(scenarios, [PlannerClient(planner) for planner in planners], mode)


def row(comparison: Comparison, planner: str, group: str = ALL, by: str = "") -> Row:
    (match,) = [score for score in rows(comparison, by) if (score.planner, score.group) == (planner, group)]
    return match


def generated() -> list[tuple[Market, ...]]:
    """Ten markets of each synthetic family whose runs have one job: those with several are played with luck."""
    single = [family.name for family in FAMILIES if not family.has_several]
    return [markets(parse(scenario["id"], scenario)) for name in single for scenario in generate(7, 10, name)]


# The public files are played too where they are at hand; the id of the test says which.
SOURCES = [pytest.param(generated, "posterior", 90, id="generated")]
if PUBLIC.is_dir():
    SOURCES.append(pytest.param(lambda: load(PUBLIC), "exact", 60, id="public"))


@pytest.mark.parametrize(("scenarios", "mode", "files"), SOURCES)
def test_the_rules_stay_close_to_bayes(
    scenarios: Callable[[], Sequence[Sequence[Market]]], mode: str, files: int
) -> None:
    """ALL row: stub within 1.5 % of U of Bayes, no invalid decision. Generated files: posterior, for less noise."""
    comparison = comparison_of(scenarios(), mode, StubPlanner(), BASELINES["mean"])
    stub, mean = row(comparison, "stub"), row(comparison, "mean")
    assert stub.files == files
    assert stub.invalid == 0
    assert stub.lost_share is not None
    assert stub.lost_share < GATE
    assert mean.lost_share is not None
    assert mean.lost_share > GATE, "a gate that posterior mean per price passes is no gate"


def test_rows_by_hand() -> None:
    """One file with variants of p=0 and p=1, another of p=0.5: variants are averaged first, then files."""
    sure = {"v1": 1, "v2": 1, "v3": 1}
    variants = [{"truth": {"pSuccess": dict.fromkeys(sure, 0)}}, {"truth": {"pSuccess": sure}}]
    first = markets(parse("a", document(id="a", run__deadlineTicks=1, variants=variants)))
    second = (market(id="b", family="liars", run__deadlineTicks=1, truth__pSuccess=dict.fromkeys(sure, 0.5)),)
    comparison = comparison_of([first, second], "exact", StepPlanner("v1"))
    score = row(comparison, "scripted")
    assert (score.files, score.complete, score.spend) == (2, 0.5, pytest.approx(0.4))
    assert score.lost is not None
    assert score.lost.mean == pytest.approx((0.9 - LAMBDA * 0.5) - (0.5 - LAMBDA * 0.4))
    assert row(comparison, "scripted", "liars", "family").files == 1
    assert row(comparison, "scripted", "a", "scenario").complete == 0.5


def test_pairs_by_hand() -> None:
    """A always completes with p=0.6 at 4 USD, B with 0.5 at 2 USD and half of it back: the same in every file."""
    scenarios = [(market(id=name, run__deadlineTicks=1),) for name in ("a", "b", "c")]
    comparison = comparison_of(scenarios, "exact", StepPlanner("v1", name="A"), StepPlanner("v2", name="B"))
    (pair,) = pairs(comparison)
    expected = (0.5 - LAMBDA * 0.15) - (0.6 - LAMBDA * 0.4)
    assert (pair.first, pair.second, pair.needed) == ("B", "A", 0)
    assert (pair.difference.mean, pair.difference.low) == (pytest.approx(expected), pytest.approx(expected))
    assert pair.mcnemar is None
    assert pairs(comparison, "B")[0].difference.mean == pytest.approx(-expected)


def test_sampled_pairs_by_hand() -> None:
    """Replicates 001 and 100 of v1 against 000 and 010 of v2, one try each: v1 alone completes once."""
    first, second = StepPlanner("v1", name="A"), StepPlanner("v2", name="B")
    comparison = comparison_of([(market(run__deadlineTicks=1),)], "sampled", first, second)
    (pair,) = pairs(comparison)
    assert pair.mcnemar is not None
    assert (pair.mcnemar.only_first, pair.mcnemar.only_second, pair.mcnemar.p) == (0, 1, 1)
    assert row(comparison, "A").complete == 0.5


def several_scenarios() -> list[Sequence[Market]]:
    """Two runs of two and of four jobs; v2 fails in one of the two replicates of the second."""
    bounds = {"oracle": {"complete": 1, "spend": 2, "jobs": 2}, "bayes": {"complete": 1, "spend": 4, "jobs": 2}}
    first = sweep(2, 2, {"v1": ["1111"], "v2": ["1111"]}, id="first", bounds=bounds)
    outcomes = {"v1": ["1111", "1111"], "v2": ["1111", "0000"]}
    oracle = {"oracle": {"complete": 1, "spend": 6, "jobs": 4}}
    second = sweep(4, 2, outcomes, id="second", run__budgetTotal=20, run__deadlineTicks=2, bounds=oracle)
    return [(first,), (second,), (market(),)]


def test_several_jobs_by_hand() -> None:
    """Means over files: v2 completes 2 of 2, and 2 of 4 jobs on average; the file with one job is not among them."""
    comparison = comparison_of(several_scenarios(), "exact", StepPlanner("v2", name="A"))
    (score,) = [row for row in rows(several(comparison)) if row.planner == "A"]
    assert (score.files, score.jobs, score.jobs_done, score.complete) == (2, 3, 2, 0.75)
    assert score.paid == (2_000_000 + 4_000_000) / 2
    utilities = 1 - LAMBDA * 2 / 10, 0.5 - LAMBDA * 4 / 20
    assert score.utility == pytest.approx(sum(utilities) / 2)
    assert score.behind is not None
    oracles = 1 - LAMBDA * 2 / 10, 1 - LAMBDA * 6 / 20
    assert score.behind.mean == pytest.approx((sum(oracles) - sum(utilities)) / 2)
    assert score.lost is not None
    assert (score.lost.mean, score.lost.cases) == (pytest.approx(-LAMBDA * 2 / 10), 1)


def test_reports_show_completed_jobs_and_their_cost() -> None:
    comparison = comparison_of(several_scenarios(), "exact", StepPlanner("v2", name="A"))
    (table,) = [part for part in report.tables(comparison) if isinstance(part, Table) and "Several" in str(part.title)]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    (line,) = [line for line in console.export_text().splitlines() if line.startswith("A ")]
    assert line.split()[:10] == ["A", "2.00", "of", "3.00", "75.0%", "3.00", "USD", "1.50", "USD", "0.7480"]
    rows_json = {row["planner"]: row for row in report.as_json(comparison)["several"]}
    assert (rows_json["A"]["jobs"], rows_json["A"]["jobsDone"], rows_json["A"]["paid"]) == (3, 2, "3000000")
    assert rows_json["oracle"]["jobsDone"] == 3
    plays = list(csv.DictReader(io.StringIO(report.as_csv(comparison))))
    assert [(play["jobs"], play["jobsDone"], play["paid"]) for play in plays if play["planner"] == "A"] == [
        ("2", "2.0", "2000000"),
        ("4", "4.0", "4000000"),
        ("4", "0.0", "4000000"),
        ("1", "0.784", "2824000"),
    ]
    assert report.as_json(comparison_of([(market(),)], "exact", StepPlanner("v2")))["several"] == []


def test_every_baseline_plays_validly_and_by_its_description() -> None:
    comparison = comparison_of(similar_scenarios(), "exact", *BASELINES.values())
    assert all(row(comparison, name).invalid == 0 for name in BASELINES)
    first = {play.planner: play.moves[0].vendor_id for play in comparison.plays if play.moves}
    assert (first["cheapest"], first["reliable"]) == ("v2", "v1")


def test_table_csv_and_json_agree() -> None:
    comparison = comparison_of(similar_scenarios(3), "exact", BASELINES["cheapest"], BASELINES["density"])
    frame = report.plays_frame(comparison)
    lines = list(csv.DictReader(io.StringIO(report.as_csv(comparison))))
    assert list(frame["planner"]) == [line["planner"] for line in lines]
    assert list(frame.columns) == list(lines[0])
    table = report.rows_frame(comparison)
    comparison_document = report.as_json(comparison)
    assert list(table["utility"]) == [score["utility"] for score in comparison_document["rows"]]
    assert [pair["first"] for pair in comparison_document["pairs"]] == ["density"]
    console = Console(width=140, record=True, file=io.StringIO())
    for part in report.tables(comparison, "family"):
        console.print(part)
    text = console.export_text()
    assert "the slowest" in text
    assert f"{row(comparison, 'density').utility:.4f}" in text
