"""The control room, clicked through on real servers."""

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gpuagent.core.context import Context, Thought
from gpuagent.core.model import Observation, RunStatus
from gpuagent.core.policy import Halt
from gpuagent.panels.console import Console
from gpuagent.panels.event_log import LINES_MAX
from tests.panels.conftest import Seat
from tests.support.scripted_planner import ScriptedPlanner, wait
from tests.support.world import World

Play = Callable[..., None]


def timeless(screen: str) -> str:
    """The screen without the durations on it, which grow."""
    return re.sub(r"\d+ s so far", "so far", screen)


class Broken:
    """A planner with a bug."""

    name = "broken"

    def decide(self, context: Context, objection: str = "") -> Thought:
        raise ZeroDivisionError("no such number")


def test_a_run_is_launched_stepped_and_ticked_to_success(world: World, at_console: Play) -> None:
    async def scene(seat: Seat) -> None:
        console = seat.console
        assert "No run is open" in seat.screen()
        await seat.click(console.launch_form.launch)
        assert not console.tabs.buttons["New run"].value
        (run,) = world.reads.runs()
        assert console.run_id == str(run["_id"])
        assert "Phase PLANNING" in console.view.phase.value
        await seat.click(console.controls.step)
        await seat.sees(lambda: "Phase EXECUTING" in console.view.phase.value)
        assert "Step took" in console.controls.message.text
        assert "1.40 USD held" in console.view.budget.value
        await seat.click(console.controls.tick)
        await seat.sees(lambda: "Phase WAITING" in console.view.phase.value)
        assert "1.40 USD settled" in console.view.budget.value
        assert "gpu_vendor_1: running, 0%" in console.view.head.value
        assert "running, 0%" in console.view.jobs.value
        assert "planner rules" in console.view.head.value
        world.market.work()
        await seat.click(console.controls.tick)
        await seat.sees(lambda: "Phase SUCCESS" in console.view.phase.value)
        assert "Chose gpu_vendor_1." in console.view.why.value
        assert "Guard on rules: accepted" in console.view.why.value
        assert world.payments(world.store.load(console.run_id))[0]["x402TxId"] in console.view.payments.value
        await seat.sees(lambda: console.controls.tick.disabled)

    at_console(scene)
    world.assert_balanced(world.store.load(str(world.reads.runs()[0]["_id"])), transfers=1)


def test_auto_ticks_through_a_failing_vendor(world: World, at_console: Play) -> None:
    world.market.outcomes("gpu_vendor_1", "0")
    run = world.start()

    async def scene(seat: Seat) -> None:
        controls = seat.console.controls
        controls.interval.value = 0.1
        controls.auto.click()
        assert controls.tick.disabled
        assert not controls.pause.disabled
        await seat.sees(lambda: "Phase WAITING" in seat.screen())
        world.market.work()
        await seat.sees(lambda: "failed" in seat.console.view.jobs.value and "gpu_vendor_2" in seat.screen())
        await seat.sees(lambda: "Phase WAITING" in seat.screen())
        world.market.work()
        await seat.sees(lambda: "Auto is done: the run is in SUCCESS" in seat.screen())
        await seat.sees(lambda: "Phase SUCCESS" in seat.screen())

    at_console(scene, run.run_id)
    world.assert_balanced(world.store.load(run.run_id), transfers=2)


def test_time_passes_on_the_screen_though_nothing_is_written(
    world: World, at_console: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Console, "TIME_S", 0.02)
    run = world.start()

    async def scene(seat: Seat) -> None:
        assert "s so far." in seat.screen()
        world.market.clock.ahead_s += 180
        await seat.sees(lambda: "3 min so far." in seat.screen())

    at_console(scene, run.run_id)


def test_pause_stops_auto(world: World, at_console: Play) -> None:
    run = world.start()

    async def scene(seat: Seat) -> None:
        controls = seat.console.controls
        controls.interval.value = 3600
        controls.auto.click()
        await seat.sees(lambda: "Phase WAITING" in seat.screen())
        await seat.click(controls.pause)
        assert "Paused." in controls.message.text
        assert controls.pause.disabled
        assert not controls.auto.disabled

    at_console(scene, run.run_id)
    assert world.store.load(run.run_id).status is RunStatus.RUNNING


def test_a_run_that_is_ticked_elsewhere_moves_here(world: World, at_console: Play) -> None:
    run = world.start()

    async def scene(seat: Seat) -> None:
        assert "Phase PLANNING" in seat.screen()
        elsewhere = threading.Thread(target=world.tick, args=(run,))
        elsewhere.start()
        await seat.sees(lambda: "Phase WAITING" in seat.screen() and "WAITING" in str(seat.console.runs.rows))
        elsewhere.join()
        newer = await asyncio.to_thread(world.start)
        await seat.sees(lambda: newer.run_id in str(seat.console.runs.rows))
        assert seat.console.run_id == run.run_id

    at_console(scene, run.run_id)


def test_a_new_console_opens_what_the_last_one_showed(world: World, at_console: Play) -> None:
    old, new = world.start(), world.start()
    world.tick(old)
    screens: list[str] = []

    async def scene(seat: Seat) -> None:
        assert seat.console.run_id == new.run_id
        seat.console.runs.widget.chosen = old.run_id
        await seat.sees(lambda: "Phase WAITING" in seat.screen())
        screens.append(timeless(seat.screen()))

    async def again(seat: Seat) -> None:
        screens.append(timeless(seat.screen()))

    at_console(scene)
    at_console(again, old.run_id)
    assert screens[0] == screens[1]


def test_clicks_while_one_is_under_way_are_dropped(world: World, at_console: Play) -> None:
    run = world.start()
    planner = ScriptedPlanner([wait(until=0)])

    async def scene(seat: Seat) -> None:
        for _ in range(3):
            seat.console.controls.step.click()
        await seat.console.settled()

    at_console(scene, run.run_id, planners={"stub": planner})
    assert len(planner.asked) == 1


def test_a_dry_run_shows_what_would_be_paid_and_changes_nothing(world: World, at_console: Play) -> None:
    run = world.start()
    world.market.fault("gpu_vendor_1", "raise_price")

    async def scene(seat: Seat) -> None:
        await seat.click(seat.console.controls.dry_run)
        assert "Would pay nothing" in seat.console.controls.message.text
        assert "another amount" in seat.console.controls.message.text
        seat.console.tabs.buttons["New run"].value = True
        seat.console.launch_form.vendors["gpu_vendor_1"].value = False
        await seat.click(seat.console.launch_form.dry_run)
        assert "Would pay 1.75 USD to gpu_vendor_2" in seat.console.launch_form.message.text

    at_console(scene, run.run_id)
    assert world.store.load(run.run_id) == run
    assert len(world.reads.runs()) == 1


def test_errors_appear_beside_what_was_clicked(world: World, at_console: Play) -> None:
    run = world.start()
    world.allow(halts=(Halt("wallet", "*", "Ada", "fire"),))

    async def scene(seat: Seat) -> None:
        await seat.click(seat.console.controls.tick)
        assert 'role="alert"' in seat.console.controls.message.text
        assert "Ada halted all wallets: fire" in seat.console.controls.message.text
        seat.console.controls.auto.click()
        await seat.sees(lambda: "Auto tries again" in seat.screen())
        world.allow(halts=())
        await seat.sees(lambda: "Auto ticks run" in seat.screen())
        seat.console.controls.pause.click()
        await seat.sees(lambda: "Paused." in seat.screen())

    at_console(scene, run.run_id)


def test_a_bug_is_shown_too(world: World, at_console: Play) -> None:
    run = world.start(planner="stub")

    async def scene(seat: Seat) -> None:
        seat.console.controls.interval.value = 0.1
        await seat.click(seat.console.controls.step)
        assert "a bug: ZeroDivisionError" in seat.console.controls.message.text
        assert not seat.console.controls.step.disabled
        seat.console.controls.auto.click()
        await seat.sees(lambda: "Auto stopped by a bug: ZeroDivisionError" in seat.screen())

    at_console(scene, run.run_id, planners={"stub": Broken()})


def test_every_decision_can_be_explained(world: World, at_console: Play) -> None:
    """The first decision of a run whose first vendor failed, chosen from the list; another run shows its own last."""
    world.market.outcomes("gpu_vendor_1", "0")
    run = world.finish(world.start())
    other = world.start()

    async def scene(seat: Seat) -> None:
        view = seat.console.view
        assert "Chose gpu_vendor_2." in view.why.value
        labels, ids = zip(*view.decision.options, strict=True)
        assert [label.split(":")[0] for label in labels] == ["the last", "1", "2"]
        view.decision.value = ids[1]
        await seat.sees(lambda: "Chose gpu_vendor_1." in view.why.value)
        seat.console.open(other.run_id)
        await seat.sees(lambda: "Nothing was decided yet" in view.why.value)
        assert view.decision.value == ""
        seat.console.open(run.run_id)
        await seat.sees(lambda: "Chose gpu_vendor_2." in view.why.value)

    at_console(scene, run.run_id)


def test_the_log_is_filtered_and_capped_and_shows_markup_as_text(world: World, at_console: Play) -> None:
    world.market.fault("gpu_vendor_1", "hostile_text")
    run = world.start()
    world.tick(run)
    world.market.work()
    world.tick(run)

    async def scene(seat: Seat) -> None:
        view = seat.console.view
        assert "<script" not in seat.screen()
        assert "&lt;script" in view.log.value
        view.kinds.value = "Money"
        await seat.sees(lambda: "settled on chain" in view.log.value and "&lt;script" not in view.log.value)
        view.search.value = "RESERVED"
        await seat.sees(lambda: view.log.value.count("<time>") == 1)
        view.search.value = ".*"
        await seat.sees(lambda: "Nothing matches" in view.log.value)

    at_console(scene, run.run_id)


def test_a_long_log_is_cut(world: World, at_console: Play) -> None:
    run = world.start()
    lines = [Observation("metric", f"line {number}") for number in range(LINES_MAX + 50)]
    world.store.save(run, run, lines, world.market.clock.now())

    async def scene(seat: Seat) -> None:
        log = seat.console.view.log.value
        assert log.count("<time>") == LINES_MAX
        assert "older ones are not shown" in log
        assert "line 249" in log
        assert "line 49<" not in log

    at_console(scene, run.run_id)


def test_it_reads_without_a_kernel(world: World, at_console: Play) -> None:
    run = world.start()
    world.tick(run)
    bundles: list[dict[str, Any]] = []

    async def scene(seat: Seat) -> None:
        bundles.append(seat.console._repr_mimebundle_())

    at_console(scene, run.run_id)
    (bundle,) = bundles
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == f"gpuagent console, run {run.run_id}: WAITING"
    for text in ("Phase WAITING", "1.40 USD settled", "Chose gpu_vendor_1.", "settled on chain"):
        assert text in bundle["text/html"]
    assert world.payments(run)[0]["header"] not in str(bundle)
