"""What is drawn of a job's metrics: every try, where it went on, what it ended with; and the notes beside a job."""

import math
import re
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from bson import Decimal128, ObjectId

from gpuagent.panels.job_notes import job_notes, run_time
from gpuagent.panels.metric_axes import BOTTOM, LEFT, RIGHT, TOP, Scale, number
from gpuagent.panels.metric_chart import BUCKETS, NO_METRICS, metric_chart, metric_names
from gpuagent.render.palette import vendor_colours
from tests.conftest import SafetyNote
from tests.support import delivered_run
from tests.support.delivered_run import STARTED_AT, metric_rows, metrics

LOST, RESUMED = ObjectId(), ObjectId()
COLOURS = vendor_colours(["acme", "beta"])
EVIL = '"><script>alert(1)</script>'
PAID = {"jobParams": {"gpuType": "A100", "maxHours": 1.0}, "expectedCost": Decimal128("1.40"), "state": "settled"}


def jobs() -> list[dict[str, Any]]:
    first = {**PAID, "vendorId": "acme", **delivered_run.lost_job(LOST)}
    return [first, {**PAID, "vendorId": "beta", **delivered_run.resumed_job(RESUMED, LOST)}]


def rows() -> list[dict[str, Any]]:
    return [*metric_rows(LOST, metrics(0, 100)), *metric_rows(RESUMED, metrics(94, 200))]


def svg(drawn: str) -> Xml.Element:
    return Xml.fromstring(drawn[: drawn.index("</svg>") + 6])


def places(drawn: str) -> list[list[tuple[float, float]]]:
    """The corners of each line of the chart."""
    paths = [path.get("d", "") for path in svg(drawn).iter("path")]
    return [
        [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]
        for path in paths
        if path.count("L") > 1
    ]


def test_all_tries_are_in_one_picture_and_the_resume_is_marked() -> None:
    drawn = metric_chart("loss", rows(), jobs(), COLOURS)
    first, second = places(drawn)
    assert (len(first), len(second)) == (51, 54)
    assert (first[0][0], second[-1][0]) == (LEFT, RIGHT)
    assert all(TOP <= y <= BOTTOM for _, y in first + second)
    assert f"M{second[0][0]:.1f} {TOP} V{BOTTOM}" in drawn, "the place where the second try went on"
    assert "try 2 resumed at 47%" in drawn
    label = svg(drawn).get("aria-label", "")
    assert label == (
        "loss against the step: try 1, acme: loss 2.006 at step 100, failed; "
        "try 2, beta: resumed at 47%, loss 1.776 at step 200, completed"
    )


def test_a_falling_loss_falls_on_the_screen() -> None:
    (line,) = places(metric_chart("loss", metric_rows(LOST, metrics(0, 8)), jobs(), COLOURS))
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    assert line[0][1] == TOP
    assert line[-1][1] > line[0][1], "SVG counts downwards"


def test_a_spike_is_drawn_however_many_metrics_there_are() -> None:
    values = [{"step": step, "loss": 900.0 if step == 4_001 else 1.0 + step % 2 / 10} for step in range(10_000)]
    (line,) = places(metric_chart("loss", metric_rows(LOST, values), jobs(), COLOURS))
    assert len(line) <= 2 * BUCKETS + 2
    assert min(y for _, y in line) == TOP
    assert (line[0][0], line[-1][0]) == (LEFT, RIGHT)


@pytest.mark.safety(
    "metrics that are NaN, infinite, huge or no numbers, with markup for a name, in the console's chart"
)
def test_values_that_cannot_be_drawn_are_counted_and_names_are_escaped(safety_note: SafetyNote) -> None:
    values: list[dict[str, Any]] = [{"step": step, EVIL: 1.0 / (step + 1)} for step in range(5)]
    odd = (math.nan, math.inf, -math.inf, 1e300, "2", True, None, [1], {"a": 1})
    values += [{"step": 9, EVIL: value} for value in odd]
    values.append({"step": math.nan, EVIL: 1.0})
    (name,) = metric_names(metric_rows(LOST, values))
    assert name == EVIL
    drawn = metric_chart(name, metric_rows(LOST, values), jobs(), COLOURS)
    assert "<script" not in drawn
    assert "10 values are no numbers" in drawn
    assert len(places(drawn)[0]) == 5
    nothing = metric_chart(EVIL, metric_rows(LOST, values[5:]), jobs(), COLOURS)
    assert "No value is a number that can be drawn" in nothing
    assert "<svg viewBox" not in nothing.partition("tries")[0]
    safety_note("10 values counted and left out, the others drawn, the name shown as text")


def test_without_metrics_a_sentence_says_so() -> None:
    assert NO_METRICS in metric_chart("", [], jobs(), COLOURS)
    assert metric_names([]) == []


def test_the_metric_of_the_success_test_comes_first_then_the_loss() -> None:
    values = metric_rows(LOST, [{"step": 1, "accuracy": 0.5, "loss": 2, "note": "text", "done": True}])
    assert metric_names(values) == ["loss", "accuracy"]
    assert metric_names(values, "accuracy") == ["accuracy", "loss"]
    assert metric_names(values, "not reported") == ["loss", "accuracy"]


def test_two_tries_at_one_vendor_differ_and_steps_may_be_missing() -> None:
    same = [{**job, "vendorId": "acme"} for job in jobs()]
    values = [{"loss": 3.0}, {"loss": 2.0}, {"loss": 1.0}]
    drawn = metric_chart("loss", metric_rows(LOST, values) + metric_rows(RESUMED, values), same, COLOURS)
    assert [path.get("stroke-dasharray") for path in svg(drawn).iter("path") if "L" in path.get("d", "")] == [
        None,
        "7 3",
    ]
    assert "loss 1 at step 2" in drawn, "the position counts where there is no step"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 200, [0, 50, 100, 150, 200]),
        (1.7, 4.3, [2, 3, 4]),
        (0.0012, 0.0031, [0.0015, 0.002, 0.0025, 0.003]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (7, 7, [4, 6, 8, 10]),
        (0, 0, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_axes_have_round_numbers(low: float, high: float, ticks: list[float]) -> None:
    assert list(Scale.over([low, high], 0, 100).ticks()) == pytest.approx(ticks)


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0, 1_000, 2.00609, 1e-7, 1e12)] == ["0", "1,000", "2.006", "1e-07", "1e+12"]


def test_a_job_says_its_time_its_checkpoint_and_where_it_went_on() -> None:
    first, second = jobs()
    now = STARTED_AT + timedelta(minutes=40)
    assert job_notes(first, [first, second], now) == [
        "took 31 min of 1 h 00 min paid",
        "checkpoint at 47% is kept: 2 files, 63.0 kB",
    ]
    second |= {"status": "running", "progress": 0.25, "completedAt": None}
    assert job_notes(second, [first, second], now) == [
        "6 min so far of 1 h 00 min paid, about 18 min to go",
        "resumed at 47%, from try 1 at acme",
    ]
    run = {"status": "running", "createdAt": STARTED_AT, "updatedAt": STARTED_AT}
    assert run_time(run, [first, second], now) == "40 min so far, about 18 min to go."
    assert run_time({**run, "status": "completed", "updatedAt": now}, [first, second], now) == "It took 40 min."


def test_a_job_that_is_over_says_how_many_of_its_files_are_here() -> None:
    first, second = jobs()
    listed = [{name: file[name] for name in ("path", "bytes", "sha256")} for file in second["files"]]
    second |= {"status": "running", "completedAt": None, "collecting": {"files": listed, "offer": None}}
    now = STARTED_AT + timedelta(minutes=66)
    assert "3 of 3 files fetched and proven" in job_notes(second, [first, second], now)
    assert "32 min so far of 1 h 00 min paid" in job_notes(second, [first, second], now), "nothing is to go"
    second |= {"files": [], "collecting": {"files": [], "offer": {"files": listed[:2]}}}
    assert "0 of 2 files fetched and proven" in job_notes(second, [first, second], now)
    assert "fetched" not in str(job_notes({**second, "status": "failed"}, [first, second], now))


def test_a_program_that_failed_is_named_and_an_older_job_has_no_notes() -> None:
    first, _ = jobs()
    now = STARTED_AT + timedelta(minutes=40)
    programs = {**first, "exitCode": 1, "fault": "program", "checkpoint": None}
    assert job_notes(programs, [programs], now)[-1] == "exit code 1, the program's own doing"
    unknown = {**first, "checkpoint": delivered_run.checkpoint(first["files"][:1], fraction=None)}
    assert job_notes(unknown, [unknown], now)[-1] == "checkpoint of unknown progress is kept: 1 file, 63.0 kB"
    older = {**PAID, "vendorId": "acme", "_id": LOST, "ordinal": 0, "status": "failed"}
    assert job_notes(older, [older], now) == []
