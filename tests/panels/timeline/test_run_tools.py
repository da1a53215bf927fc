"""A run's timeline, another run beside it, and its copy in the launch form: clicked through on real servers."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Decimal128, ObjectId

from gpuagent.agent.order_like import order_like
from gpuagent.agent.start import Order, start
from gpuagent.core.timeline import EntryKind, TimelineEntry, TimelineRecord
from gpuagent.panels.launch_fill import fill
from gpuagent.panels.timeline.compare import ENTRIES_MAX, ComparedRun, comparison
from gpuagent.panels.timeline.record import record_view
from gpuagent.wire.job_file import read_job_file
from tests.panels.conftest import Seat
from tests.support.world import World

EVIL = '<script>alert("x")</script>'
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JOB = b"""
name: tiny
command: python train.py
env: {EPOCHS: "3", RATE: "1e-3"}
resources: {gpu: A100}
max_duration: 90m
outputs: [{path: model.npz, max_bytes: 5MB}]
success: {metric: {name: loss, at_most: 1.5}}
"""
Play = Callable[..., None]


def test_every_entry_opens_its_record_and_two_runs_stand_beside_each_other(world: World, at_console: Play) -> None:
    world.market.outcomes("gpu_vendor_1", "0")
    run = world.finish(world.start())
    other = world.start(budget=3, tags=["x"])

    async def scene(seat: Seat) -> None:
        tools = seat.console.tools
        grid = tools.timeline.grid
        assert grid.rows == [], "nothing is read while it is not in sight"
        tools.tabs.buttons["Timeline"].value = True
        await seat.sees(lambda: len(grid.rows) > 5)
        assert [row["kind"] for row in grid.rows[:2]] == ["decision 1", "payment"]
        grid.widget.query = {**grid.widget.query, "kind": "decision"}
        await seat.sees(lambda: [row["kind"] for row in grid.rows] == ["decision 1", "decision 2"])
        grid.widget.chosen = grid.rows[0]["id"]
        await seat.sees(lambda: "Chose gpu_vendor_1." in tools.timeline.record.value)
        for part in ("Guard on rules: accepted", "What the planner was told", "candidates"):
            assert part in tools.timeline.record.value
        grid.widget.query = {**grid.widget.query, "kind": "payment"}
        await seat.sees(lambda: grid.rows[0]["kind"] == "payment")
        grid.widget.chosen = grid.rows[-1]["id"]
        await seat.sees(lambda: "The payment" in tools.timeline.record.value)
        assert world.payments(run)[1]["x402TxId"] in tools.timeline.record.value
        assert "PAYMENT-SIGNATURE" not in tools.timeline.record.value

        tools.tabs.buttons["Compare"].value = True
        assert list(tools.second.options) == [other.run_id]
        await seat.click(tools.compare)
        assert "say which other run" in tools.message.text
        tools.second.value = other.run_id
        await seat.click(tools.compare)
        for part in (run.run_id, other.run_id, "SUCCESS", "PLANNING", "5.00 USD", "3.00 USD", "differs", "+0:00:0"):
            assert part in tools.compared.value
        seat.console.open(other.run_id)
        await seat.sees(lambda: tools.compared.value == "")
        tools.tabs.buttons["Timeline"].value = True
        await seat.sees(lambda: grid.rows == [])
        assert tools.timeline.record.value == ""

    at_console(scene, run.run_id)


def test_a_copy_is_the_same_order_and_starts_nothing(world: World, at_console: Play) -> None:
    workload = read_job_file(JOB, "job")
    orders = [
        Order("Old goal", 7_250_000, "H100", user_id="ada", vendor_ids=("gpu_vendor_2", "gone"), tags=("x", "y")),
        Order("", 4_000_000, workload=workload, planner="stub", jobs_open_max=2),
    ]
    runs = [start(replace(order, vendor_ids=order.vendor_ids[:1]), world.ports) for order in orders]
    copies: list[Order] = []

    async def scene(seat: Seat) -> None:
        console = seat.console
        form = console.launch_form
        for run in runs:
            console.open(run.run_id)
            await seat.sees(lambda run=run: f"run {run.run_id}" in console.view.head.value)
            await seat.click(console.tools.copy)
            assert "is copied into New run" in console.tools.message.text
            assert console.tabs.buttons["New run"].value
            copies.append(form.sealed(form.order()))
        assert (form.fields["count"].widget.value, form.fields["at_once"].widget.value) == ("1", "2")
        notes = fill(form, replace(orders[0], planner="llm2", gpu_type="B200", planners=(("stub", 1), ("llm", 1))))
        assert [note.split(":")[0] for note in notes] == [
            "there is no planner llm2 here",
            "its planner was drawn from several, and this form orders the one that it got",
            "gone",
            "no enabled vendor offers B200",
        ]

    at_console(scene, runs[0].run_id)
    assert len(world.reads.runs()) == 2, "a copy starts nothing"
    for run, copy in zip(runs, copies, strict=True):
        expected = order_like(run)
        assert replace(copy, user_id="local") == expected


def decision_record(**data: Any) -> TimelineRecord:
    record = {"candidates": [], "decision": None, "attempts": [{"planner": "llm"}], "verdicts": [f"refused: {EVIL}"]}
    more = {"decidedBy": "llm", "latencyMs": 1, "cost": 0, "prompt": EVIL * 2_000, "rawReply": {"text": EVIL}}
    row = {"_id": ObjectId(), "type": "agent_reasoning", "content": EVIL, "timestamp": AT}
    return TimelineRecord({**row, "data": {**record, **more, **data}})


def test_texts_of_strangers_are_text_and_long_ones_are_cut() -> None:
    drawn = record_view(decision_record(), {})
    assert "<script" not in drawn
    assert "The prompt" in drawn
    assert "more characters" in drawn
    assert "What the planner was told" not in drawn
    row = {"type": "payment_event", "content": EVIL, "timestamp": AT, "data": {"kind": "settled", "why": EVIL}}
    job = {"_id": ObjectId(), "vendorId": EVIL, "header": "secret", "quote": {"envelope": "secret", "x": EVIL}}
    drawn = record_view(TimelineRecord(row, job, None), {})
    assert "<script" not in drawn
    assert "secret" not in drawn
    assert "The job" in drawn
    assert "The payment" not in drawn


def test_a_comparison_marks_what_differs_and_counts_from_each_start() -> None:
    entry = TimelineEntry("e", EntryKind.PROBLEM, AT + timedelta(hours=1, seconds=5), EVIL)
    run = {
        **{"_id": "a" * 24, "phase": "SUCCESS", "status": "completed", "goal": EVIL, "createdAt": AT, "userId": "ada"},
        **dict.fromkeys(("budgetTotal", "settled", "held", "plannerCost"), Decimal128("5")),
        **{"planner": "stub", "gpuType": "A100", "maxHours": 1.0, "tags": []},
    }
    job = {"vendorId": "acme", "status": "completed", "completedAt": AT + timedelta(minutes=61)}
    side = ComparedRun(run, [job], [entry], is_cut=True)
    drawn = comparison(side, replace(side, run={**run, "_id": "b" * 24, "gpuType": "H100"}, jobs=[]))
    assert "<script" not in drawn
    assert drawn.count("differs") == 3, "GPU, jobs and how long they took"
    assert "+1:00:05" in drawn
    assert "1:01:00" in drawn
    assert f"{ENTRIES_MAX} entries are shown" in drawn
