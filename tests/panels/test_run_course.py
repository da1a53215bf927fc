"""What is drawn of a run's course: jobs on a time axis, the budget as it burns, and what is expected of both."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from bson import Decimal128, ObjectId

from gpuagent.panels.metric_axes import LEFT, RIGHT
from gpuagent.panels.run_course import ROWS_MAX, course, course_chart, forecast
from gpuagent.render.palette import vendor_colours

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
COLOURS = vendor_colours(["acme", "beta"])


def minute(number: float) -> datetime:
    return START + timedelta(minutes=number)


def run(status: str = "running", ended: float = 0, planner: str = "0") -> dict[str, Any]:
    return {
        "status": status,
        "createdAt": START,
        "updatedAt": minute(ended),
        "budgetTotal": Decimal128("5"),
        "plannerCost": Decimal128(planner),
    }


def job(ordinal: int, vendor: str, begun: float, **fields: Any) -> dict[str, Any]:
    return {
        "_id": ObjectId(),
        "ordinal": ordinal,
        "vendorId": vendor,
        "state": "settled",
        "status": "running",
        "expectedCost": Decimal128("1.40"),
        "createdAt": minute(begun),
        "startedAt": minute(begun),
        "quote": {"etaSeconds": 3600.0},
        **fields,
    }


def payment(job: Mapping[str, Any], settled: float) -> dict[str, Any]:
    return {"jobId": job["_id"], "status": "completed", "settledAt": minute(settled), "amount": Decimal128("1.40")}


def failed_then_working() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    first = job(0, "acme", 1, status="failed", completedAt=minute(10))
    second = job(1, "beta", 12, progress=0.5, expectedCost=Decimal128("1.50"))
    return [first, second], [payment(first, 2)]


def test_what_was_and_what_is_expected_are_on_one_axis() -> None:
    jobs, payments = failed_then_working()
    drawn = course(run(planner="0.10"), jobs, payments, COLOURS, minute(20))
    assert [(span.begins, span.ends, span.expected) for span in drawn.spans] == [(60, 600, None), (720, 1200, 1680)]
    assert drawn.settled == [(0, 100_000), (120, 1_500_000)]
    assert drawn.committed == [(0, 100_000), (60, 1_500_000), (720, 3_000_000)]
    assert (drawn.now, drawn.expected_end) == (1200, 1680)
    assert forecast(drawn) == "2.00 USD will be left then, enough for 1 more at 1.50 USD."
    picture = Xml.fromstring(course_chart(drawn))
    assert picture.get("aria-label") == (
        "try 1, acme: failed after 9 min; try 2, beta: 8 min so far, about 8 min to go. "
        "1.50 USD spent, 3.00 USD with what is held, of 5.00 USD; "
        "3.00 USD will be spent when the last job ends, expected in 8 min"
    )
    texts = [element.text for element in picture.iter("text")]
    assert {"now", "budget 5.00 USD", "10 min", "USD"} <= set(texts)
    places = [float(x) for path in picture.iter("path") for x in re.findall(r"[MH] ?([\d.]+)", path.get("d", ""))]
    assert all(LEFT - 0.1 <= x <= RIGHT + 0.1 for x in places)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"progress": 0.5}, 20.0),
        ({"progress": 0.0}, 60.0),  # by the quote
        ({"progress": 0.01}, 60.0),
        ({"progress": 0.0, "quote": {"etaSeconds": 300.0}}, None),  # which has passed
        ({"progress": 0.0, "quote": {"etaSeconds": None}}, None),
        ({"status": "submitted"}, None),
        ({"status": "completed", "completedAt": minute(9)}, None),
    ],
)
def test_the_end_is_expected_by_progress_or_else_by_the_quote(fields: dict[str, Any], expected: float | None) -> None:
    drawn = course(run(), [job(0, "acme", 0, **fields)], [], COLOURS, minute(10))
    assert drawn.expected_end == (None if expected is None else expected * 60)
    assert bool(forecast(drawn)) == (expected is not None)
    assert ("now" in course_chart(drawn)) == (expected is not None)


def test_a_run_that_has_ended_stands_still() -> None:
    over = job(0, "acme", 1, status="completed", completedAt=minute(8))
    drawn = course(run("completed", ended=9), [over], [payment(over, 2)], COLOURS, minute(500))
    assert (drawn.now, drawn.expected_end, drawn.spans[0].ends) == (540, None, 480)
    assert "try 1, acme: completed after 7 min" in course_chart(drawn)


def test_what_was_released_was_never_spent() -> None:
    released = job(0, "acme", 1, state="voided", status="failed", startedAt=None)
    drawn = course(run(), [released], [], COLOURS, minute(3))
    assert (drawn.committed, drawn.spans) == ([], [])
    assert "Nothing has been bought yet" in course_chart(drawn)


@pytest.mark.parametrize("settled", [-0.5, 0.99])
def test_a_block_before_the_signature_settles_no_earlier(settled: float) -> None:
    """Blocks have whole seconds, and a chain's clock may be behind."""
    early = job(0, "acme", 1)
    assert course(run(), [early], [payment(early, settled)], COLOURS, minute(5)).settled == [(60, 1_400_000)]


@pytest.mark.parametrize("minutes", [0, 0.02, 3, 90, 3000, 100_000])
def test_any_length_has_an_axis_of_few_round_times(minutes: float) -> None:
    drawn = course(run(), [job(0, "acme", 0, quote={"etaSeconds": 1.0})], [], COLOURS, minute(minutes))
    picture = Xml.fromstring(course_chart(drawn))
    below = max(float(element.get("y", 0)) for element in picture.iter("text"))
    assert 2 <= sum(float(element.get("y", 0)) == below for element in picture.iter("text")) <= 8


def test_of_many_jobs_the_newest_are_drawn_and_no_text_becomes_markup() -> None:
    jobs = [job(number, "<script>", number, status="failed", completedAt=minute(number + 1)) for number in range(40)]
    drawn = course(run(), jobs, [], COLOURS, minute(50))
    assert len(drawn.spans) == ROWS_MAX
    assert "try 40" in course_chart(drawn)
    assert "<script>" not in course_chart(drawn)
