"""Scenario files: strict reading, merging of variants; a planner's context holds nothing hidden."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gpuagent.core.context import Context
from gpuagent.errors import BadInput
from gpuagent.planbench.files import parse
from gpuagent.planbench.scenarios import EPOCH, bundled_folder, load, markets
from tests.support.scenarios import document, market

NO_REFUNDS = [{**vendor, "refundOnFail": 0} for vendor in document()["vendors"]]


def test_several_jobs_are_read_and_one_is_the_default() -> None:
    bounds = {"oracle": {"complete": 0.5, "spend": 5, "jobs": 2.5}}
    run = {"run__jobs": {"count": 3, "atOnce": 2}, "vendors": NO_REFUNDS, "bounds": bounds}
    (several,) = markets(parse("several.json", document(**run)))
    assert (several.count, several.at_once, several.bounds["oracle"].jobs) == (3, 2, 2.5)
    assert (market().count, market().at_once) == (1, 1)
    (single,) = markets(parse("single.json", document(run__jobs={"count": 1})))
    assert single == market()


def test_what_a_planner_sees() -> None:
    context = market().context(1, 7_000_000, 1, ())
    assert (context.budget, context.available, context.hours, context.job_s) == (
        10_000_000,
        7_000_000,
        Decimal(2),
        7200,
    )
    assert (context.now, context.deadline, context.decisions_left) == (EPOCH + 7200, EPOCH + 4 * 7200, 3)
    assert [candidate.vendor_id for candidate in context.candidates] == ["v1", "v2"]  # v3 has no such GPU
    first, second = context.candidates
    assert (first.amount, first.reliability, first.refund) == (4_000_000, 0.5, 0)
    assert (second.amount, second.reliability, second.refund) == (2_000_000, None, 0.5)
    assert (second.learned.successes, second.learned.failures) == (1, 0)
    job = context.past[0]
    assert (job.started_at, job.ended_at, job.succeeded, job.in_run) == (EPOCH - 72_000, EPOCH - 64_800, False, False)


def test_nothing_hidden_is_seen() -> None:
    """Two files that differ only in hidden fields give the same context."""
    hidden = document(
        id="other",
        family="liars",
        bounds={},
        seed=99,
        truth={
            "index": "tick",
            "pSuccess": {"v1": 0, "v2": 1, "v3": 0},
            "outcomes": {name: ["0000"] for name in ("v1", "v2", "v3")},
        },
    )
    (lookalike,) = markets(parse("other.json", hidden))
    assert lookalike.context(0, 1, 0, ()) == market().context(0, 1, 0, ())


def test_prices_per_tick_are_quoted() -> None:
    spiking = document()
    spiking["truth"]["price"] = {"v1": [6, 2, 2, 2.5]}
    (spiking_market,) = markets(parse("spiking.json", spiking))
    assert [spiking_market.context(tick, 1, 0, ()).candidates[0].amount for tick in (0, 1, 3)] == [
        12_000_000,
        4_000_000,
        5_000_000,
    ]


def test_variants_replace_what_they_hold_and_truth_is_merged_key_by_key() -> None:
    variants = [{"truth": {"pSuccess": {"v1": 0, "v2": 0, "v3": 0}}}, {"history": [], "bounds": {}}]
    first, second = markets(parse("two.json", document(variants=variants)))
    assert (first.chance("v1", 0), second.chance("v1", 0)) == (0, 0.6)
    assert first.truth.outcomes == second.truth.outcomes
    assert (len(first.past), len(second.past)) == (2, 0)
    assert (list(first.bounds), list(second.bounds)) == (["bayes"], [])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"schema": "planbench/2"}, "schema: Input should be 'planbench/1'"),
        ({"run__budgetTotal": 0}, "run.budgetTotal"),
        ({"run__budgetTotal": "10"}, "run.budgetTotal"),
        ({"run__deadlineTicks": 1.5}, "run.deadlineTicks"),
        ({"family": "lucky"}, "family"),
        ({"vendors": []}, "vendors"),
        ({"truth__index": "job"}, "truth.index"),
        ({"truth__pSuccess": {"v1": 0.6, "v3": 1, "v2": 1.2}}, "truth.pSuccess.v2"),
        ({"truth__pSuccess": {"v1": 0.6, "v3": 1}}, "truth.pSuccess: v2 is missing"),
        ({"truth__price": {"v1": [1, 2]}}, "truth.price.v1: 2 ticks of 4"),
        ({"truth__index": "tick"}, "truth.outcomes.v1.0: 3 ticks of 4"),
        ({"truth__outcomes": {"v1": ["0"], "v2": ["2"], "v3": ["0"]}}, "truth.outcomes.v2.0"),
        ({"truth__outcomes": {"v1": ["0"], "v2": ["1", "0"], "v3": ["0"]}}, "as many replicates"),
        ({"truth": []}, "truth is to be an object"),
        ({"variants": {}}, "variants is to be a list"),
        ({"run__jobs": {"count": 0}}, "run.jobs.count"),
        ({"run__jobs": {"count": 201}}, "run.jobs.count"),
        ({"run__jobs": {"count": 2, "atOnce": 33}}, "run.jobs.atOnce"),
        ({"run__jobs": {"count": 2, "at_once": 2}}, "run.jobs.at_once: Extra inputs"),
        ({"run__jobs": {"count": 1, "atOnce": 2}}, "run.jobs.atOnce: a scenario with one job"),
        ({"run__jobs": {"count": 2}}, "without refunds"),
        ({"run__jobs": {"count": 2, "hedgeAfterTicks": 0}}, "run.jobs.hedgeAfterTicks"),
        ({"run__jobs": {"count": 1, "hedgeAfterTicks": 1}}, "run.jobs: late jobs and their hedges"),
        ({"truth__delays": {"v1": ["0", "1"]}}, "run.jobs: late jobs and their hedges"),
        ({"truth__delays": {"v1": ["0"]}}, "truth.delays.v1: write as many replicates as truth.outcomes.v1"),
        ({"truth__delays": {"v9": ["0", "0"]}}, "truth.delays.v9: write as many"),
        ({"truth__delays": {"v1": ["x", "1"]}}, "truth.delays.v1.0"),
        (
            {
                "truth__index": "tick",
                "truth__outcomes": {name: ["0000", "1111"] for name in ("v1", "v2", "v3")},
                "truth__delays": {"v1": ["000", "0000"]},
            },
            "truth.delays.v1.0: 3 ticks of 4",
        ),
        ({"run__jobs": {"count": 2}, "vendors": NO_REFUNDS}, "bounds.bayes.jobs: write how many of the 2"),
        ({"history": [{"vendorId": "v9", "status": "failed", "expectedCost": 1, "actualCost": 1, "hours": 1}]}, "v9"),
    ],
)
def test_a_fault_of_a_file_is_named(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadInput, match=r"bad.json") as caught:
        parse("bad.json", document(**changes))
    assert problem in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="generate"):
        load(tmp_path)
    with pytest.raises(BadInput, match=r"absent.json cannot be read"):
        load(tmp_path / "absent.json")
    broken = tmp_path / "broken.json"
    for text in ("{", '{"budget": NaN}', "[]"):
        broken.write_text(text)
        with pytest.raises(BadInput, match=r"broken.json"):
            load(tmp_path)
    broken.unlink()
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(document()))
    with pytest.raises(BadInput, match="two files have the id two"):
        load(tmp_path)


def test_a_context_is_read_back_from_its_json() -> None:
    for scenario in load(bundled_folder()):
        context = scenario[0].context(0, scenario[0].budget, 0, ())
        stored = json.loads(json.dumps(context.as_json()))
        assert Context.from_json(stored) == context
        assert Context.from_json(stored).digest() == context.digest()


@pytest.mark.parametrize("damage", ["hours", "candidates", "past", "unknown"])
def test_what_is_no_context_is_refused(damage: str) -> None:
    stored = market().context(0, 1, 0, ()).as_json()
    stored[damage] = "x"
    with pytest.raises(BadInput, match="not a recorded context"):
        Context.from_json(stored)
