"""What a person decides at the console: each with a name, a reason where one is needed, and the error beside it."""

from collections.abc import Callable

from gpuagent.core.model import RunStatus
from gpuagent.core.policy import EVERY_WALLET
from tests.panels.conftest import Seat
from tests.support.world import World

Play = Callable[..., None]


def test_a_dear_purchase_is_approved_at_the_price_that_is_shown(world: World, at_console: Play) -> None:
    world.allow(approval_above=1_000_000)
    run = world.start()

    async def scene(seat: Seat) -> None:
        deciding = seat.console.deciding
        assert deciding.approval.layout.display == "none"
        await seat.click(seat.console.driving.tick)
        await seat.sees(lambda: "Phase APPROVAL" in seat.screen())
        assert deciding.approval.layout.display == ""
        assert deciding.approve.description == "Approve 1.40 USD"
        deciding.who.widget.value = "Grace"
        await seat.click(deciding.approve)
        assert "Approved 1.40 USD" in deciding.message.text
        await seat.click(seat.console.driving.tick)
        await seat.sees(lambda: "Phase WAITING" in seat.screen())
        assert deciding.approval.layout.display == "none"

    at_console(scene, run.run_id)
    assert any("Grace approved 1.40 USD" in one["content"] for one in world.seen(run, "payment_event"))


def test_an_approval_of_what_is_not_asked_any_more_is_refused(world: World, at_console: Play) -> None:
    world.allow(approval_above=1_000_000)
    run = world.start()
    world.tick(run)
    world.market.clock.ahead_s += 3600

    async def scene(seat: Seat) -> None:
        await seat.click(seat.console.deciding.approve)
        assert "has expired" in seat.console.deciding.message.text

    at_console(scene, run.run_id)
    assert world.signed(run) == []


def test_a_rejection_needs_a_reason_and_the_run_looks_elsewhere(world: World, at_console: Play) -> None:
    world.allow(approval_above=1_000_000)
    run = world.start()
    world.tick(run)

    async def scene(seat: Seat) -> None:
        deciding = seat.console.deciding
        deciding.reject.click()
        await seat.console.settled()
        assert "say why" in deciding.why.note
        deciding.why.widget.value = "they were late last time"
        assert deciding.why.note == ""
        await seat.click(deciding.reject)
        await seat.click(seat.console.driving.tick)
        await seat.sees(lambda: deciding.approve.description == "Approve 1.75 USD")

    at_console(scene, run.run_id)
    assert world.signed(run) == []


def test_a_cancelled_run_has_failed(world: World, at_console: Play) -> None:
    run = world.start()

    async def scene(seat: Seat) -> None:
        deciding = seat.console.deciding
        deciding.who.widget.value = " "
        deciding.cancel.click()
        await seat.console.settled()
        assert "say who you are" in deciding.who.note
        assert world.store.load(run.run_id).status is RunStatus.RUNNING
        deciding.who.widget.value, deciding.why.widget.value = "Ada", "wrong goal"
        await seat.click(deciding.cancel)
        await seat.sees(lambda: "Phase FAILED" in seat.screen())
        assert "cancelled by Ada: wrong goal" in seat.screen()
        assert deciding.cancel.disabled

    at_console(scene, run.run_id)


def test_the_kill_switch_stops_all_and_resuming_needs_a_reason(world: World, at_console: Play) -> None:
    run = world.start()

    async def scene(seat: Seat) -> None:
        deciding = seat.console.deciding
        await seat.click(deciding.kill)
        await seat.sees(lambda: deciding.kill.description == "Resume payments")
        assert [(one.kind, one.name) for one in world.store.policy().halts] == [("wallet", EVERY_WALLET)]
        assert "All payments are halted" in deciding.halts.value
        await seat.click(seat.console.driving.tick)
        assert "halted wallet *" in seat.console.driving.message.text
        deciding.kill.click()
        await seat.console.settled()
        assert "say why" in deciding.why.note
        deciding.why.widget.value = "the fire is out"
        await seat.click(deciding.kill)
        await seat.sees(lambda: deciding.kill.description == "Kill switch")
        await seat.click(seat.console.driving.tick)
        await seat.sees(lambda: "Phase WAITING" in seat.screen())

    at_console(scene, run.run_id)


def test_a_kill_switch_that_is_thrown_elsewhere_shows_here(world: World, at_console: Play, gpuagent: Play) -> None:
    world.start()

    async def scene(seat: Seat) -> None:
        gpuagent("policy", "halt", "wallet", "all", "--why", "fire", "--by", "Grace")
        await seat.sees(lambda: "by Grace: fire" in seat.console.deciding.halts.value)

    at_console(scene)
