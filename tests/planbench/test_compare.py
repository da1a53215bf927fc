"""Comparisons: the gate that the stub must pass, and tables whose figures are computed by hand."""

import csv
import io
from collections.abc import Callable, Sequence

import pytest
from rich.console import Console

from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.core.ports import Planner
from gpuagent.planbench import report
from gpuagent.planbench.answers import PlannerClient
from gpuagent.planbench.baselines import BASELINES
from gpuagent.planbench.compare import Comparison, compare
from gpuagent.planbench.files import parse
from gpuagent.planbench.generator.generate import generate
from gpuagent.planbench.play import LAMBDA
from gpuagent.planbench.scenarios import Market, load, markets
from gpuagent.planbench.scores import ALL, Row, pairs, rows
from tests.support.scenarios import PUBLIC, StepPlanner, document, market, similar_scenarios

GATE = 0.015
"""The share by which the stub's U may be below that of Bayes, in the ALL row."""


def comparison_of(scenarios: Sequence[Sequence[Market]], mode: str, *planners: Planner) -> Comparison:
    return compare(scenarios, [PlannerClient(planner) for planner in planners], mode)


def row(comparison: Comparison, planner: str, group: str = ALL, by: str = "") -> Row:
    (match,) = [score for score in rows(comparison, by) if (score.planner, score.group) == (planner, group)]
    return match


def generated() -> list[tuple[Market, ...]]:
    """Ten markets of each synthetic family."""
    return [markets(parse(scenario["id"], scenario)) for scenario in generate(7, 90)]


# The public files are played too where they are at hand; the id of the test says which.
SOURCES = [pytest.param(generated, "posterior", 90, id="generated")]
if PUBLIC.is_dir():
    SOURCES.append(pytest.param(lambda: load(PUBLIC), "exact", 60, id="public"))


@pytest.mark.parametrize(("scenarios", "mode", "files"), SOURCES)
def test_gate(scenarios: Callable[[], Sequence[Sequence[Market]]], mode: str, files: int) -> None:
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


def test_every_baseline_plays_validly_and_by_its_description() -> None:
    comparison = comparison_of(similar_scenarios(), "exact", *BASELINES.values())
    assert all(row(comparison, name).invalid == 0 for name in BASELINES)
    first = {play.planner: play.moves[0].vendor_id for play in comparison.plays if play.moves}
    assert (first["cheapest"], first["reliable"]) == ("v2", "v1")


def test_reports_agree() -> None:
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
