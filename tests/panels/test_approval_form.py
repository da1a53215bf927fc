"""The user's decisions at the console: each with a name, a reason where one is needed, and the error beside it."""

import asyncio
from collections.abc import Callable

from gpuagent.core.model import RunStatus
from gpuagent.core.policy import Halt
from gpuagent.panels.kill_switch import KILLED
from tests.panels.conftest import Seat
from tests.support.world import World

Play = Callable[..., None]


def test_a_dear_purchase_is_approved_at_the_price_that_is_shown(world: World, at_console: Play) -> None:
    world.allow(approval_above=1_000_000)
    run = world.start()

    async def scene(seat: Seat) -> None:
        approval = seat.console.approval
        assert approval.request.layout.display == "none"
        await seat.click(seat.console.controls.tick)
        await seat.sees(lambda: "Phase APPROVAL" in seat.screen())
        assert approval.request.layout.display == ""
        assert "reserved, waits for your approval until" in seat.console.view.jobs.value
        assert approval.approve.description == "Approve 1.40 USD"
        approval.who.widget.value = "Grace"
        await seat.click(approval.approve)
        assert "Approved 1.40 USD" in approval.message.text
        await seat.click(seat.console.controls.tick)
        await seat.sees(lambda: "Phase WAITING" in seat.screen())
        assert approval.request.layout.display == "none"

    at_console(scene, run.run_id)
    assert any("Grace approved 1.40 USD" in event["content"] for event in world.observations(run, "payment_event"))


def test_an_approval_of_what_is_not_asked_any_more_is_refused(world: World, at_console: Play) -> None:
    world.allow(approval_above=1_000_000)
    run = world.start()
    world.tick(run)
    world.market.pass_time(3600)

    async def scene(seat: Seat) -> None:
        await seat.click(seat.console.approval.approve)
        assert "has expired" in seat.console.approval.message.text

    at_console(scene, run.run_id)
    assert world.payments(run) == []


def test_a_rejection_needs_a_reason_and_the_run_looks_elsewhere(world: World, at_console: Play) -> None:
    world.allow(approval_above=1_000_000)
    run = world.start()
    world.tick(run)

    async def scene(seat: Seat) -> None:
        approval = seat.console.approval
        approval.reject.click()
        await seat.console.settled()
        assert "say why" in approval.why.note
        approval.why.widget.value = "they were late last time"
        assert approval.why.note == ""
        await seat.click(approval.reject)
        await seat.click(seat.console.controls.tick)
        await seat.sees(lambda: approval.approve.description == "Approve 1.75 USD")

    at_console(scene, run.run_id)
    assert world.payments(run) == []


def test_a_cancelled_run_has_failed(world: World, at_console: Play) -> None:
    run = world.start()

    async def scene(seat: Seat) -> None:
        approval = seat.console.approval
        approval.who.widget.value = " "
        approval.cancel.click()
        await seat.console.settled()
        assert "say who you are" in approval.who.note
        assert world.store.load(run.run_id).status is RunStatus.RUNNING
        approval.who.widget.value, approval.why.widget.value = "Ada", "wrong goal"
        await seat.click(approval.cancel)
        await seat.sees(lambda: "Phase FAILED" in seat.screen())
        assert "cancelled by Ada: wrong goal" in seat.screen()
        assert approval.cancel.disabled

    at_console(scene, run.run_id)


def test_the_kill_switch_asks_first_stops_all_and_resuming_needs_a_reason(world: World, at_console: Play) -> None:
    run = world.start()

    async def scene(seat: Seat) -> None:
        switch, why = seat.console.kill_switch, seat.console.approval.why
        await seat.click(switch.kill)
        assert f"1 running runs, of {run.user_id}, stand still" in switch.request.children[0].value
        assert world.store.policy().halts == ()
        await seat.click(switch.back)
        assert switch.request.layout.display == "none"
        await seat.click(switch.kill)
        await seat.click(switch.confirm)
        assert [(halt.kind, halt.name) for halt in world.store.policy().halts] == [KILLED]
        assert "All payments are halted" in switch.halts.value
        await seat.click(seat.console.controls.tick)
        assert "halted all wallets" in seat.console.controls.message.text
        switch.kill.click()
        await seat.console.settled()
        assert "say why" in why.note
        why.widget.value = "the fire is out"
        await seat.click(switch.kill)
        await seat.sees(lambda: switch.kill.description == "Kill switch")
        await seat.click(seat.console.controls.tick)
        await seat.sees(lambda: "Phase WAITING" in seat.screen())

    at_console(scene, run.run_id)


def test_no_message_outlives_what_it_is_about(world: World, at_console: Play) -> None:
    """An error under a run goes with the run's next step, made anywhere, and with the run itself."""
    run, other = world.start(), world.start()
    world.allow(halts=(Halt(*KILLED, "Ada", "fire"),))

    async def scene(seat: Seat) -> None:
        controls = seat.console.controls
        await seat.click(controls.tick)
        assert "halted all wallets" in controls.message.text
        await seat.sees(lambda: "Phase" in seat.screen())
        seat.console.open(other.run_id)
        await seat.sees(lambda: controls.message.text == "")
        await seat.click(controls.tick)
        assert "halted all wallets" in controls.message.text
        world.allow(halts=())
        await asyncio.to_thread(world.tick, other)
        await seat.sees(lambda: "Phase WAITING" in seat.screen() and controls.message.text == "")
        seat.console.approval.why.widget.value = "enough"
        await seat.click(seat.console.approval.cancel)
        assert "Cancelled" in seat.console.approval.message.text
        seat.console.open(run.run_id)
        await seat.sees(lambda: seat.console.approval.message.text == "")

    at_console(scene, run.run_id)


def test_a_kill_switch_that_is_thrown_elsewhere_shows_here(world: World, at_console: Play, gpuagent: Play) -> None:
    world.start()

    async def scene(seat: Seat) -> None:
        gpuagent("policy", "halt", "wallet", "all", "--why", "fire", "--by", "Grace")
        await seat.sees(lambda: "by Grace: fire" in seat.console.kill_switch.halts.value)

    at_console(scene)
