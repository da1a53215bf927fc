"""What a visitor's rights leave of the console: the callbacks refuse, whatever is hidden or disabled."""

from dataclasses import replace
from typing import Any

import ipywidgets as w
import pytest

from gpuagent.core.rights import Rights
from gpuagent.panels.permitted import TABS
from gpuagent.session import Session
from tests.conftest import SafetyNote
from tests.panels.conftest import Seat, play_scene
from tests.support.world import World


def buttons_of(widget: Any) -> list[Any]:
    own = [widget] if isinstance(widget, w.Button) else []
    return [*own, *(button for child in getattr(widget, "children", ()) for button in buttons_of(child))]


def all_buttons(seat: Seat) -> list[Any]:
    console = seat.console
    forms = (console.controls, console.approval, console.kill_switch, console.limits, console.launch_form)
    hidden = [console.inbox.approve, console.inbox.seen, console.tools.copy]
    shown = [*forms, console.vendors, console.files, console.inbox, console.tools]
    return [*hidden, *(button for form in shown for button in buttons_of(form.widget))]


def everything(world: World) -> dict[str, list[Any]]:
    database = world.store.connection.database
    return {name: list(database[name].find().sort("_id")) for name in sorted(database.list_collection_names())}


def visitor(session: Session, name: str, *permissions: str) -> Session:
    return replace(session, rights=Rights(name, frozenset({"read", *permissions})))


@pytest.mark.safety("every button of the console, pressed by who may not")
def test_a_reader_who_presses_every_button_changes_nothing(
    world: World, session: Session, safety_note: SafetyNote
) -> None:
    world.allow(approval_above=1_000_000)
    run = world.tick(world.start())
    before = everything(world)
    pressed = 0

    async def scene(seat: Seat) -> None:
        nonlocal pressed
        console = seat.console
        assert set(buttons_of(console.widget)) <= {console.files.link, console.files.save, console.tools.compare}
        await seat.sees(lambda: bool(console.inbox.choices.children))
        console.inbox.choices.children[0].value = True
        console.approval.why.widget.value = console.limits.why.value = "because"
        console.limits.fields["approval_above"].widget.value = ""
        for button in all_buttons(seat):
            for _ in range(2):
                button.disabled = False
                button.click()
                await console.settled()
                pressed += 1
        console.tabs.buttons["New run"].value = True
        await console.settled()
        assert "rita may not do this: it takes the role operate or approve" in console.approval.message.text
        assert "rita may not do this: it takes the role" in console.inbox.message.text
        assert "rita may not do this: it takes the role operate" in console.controls.message.text
        assert "rita may not do this: it takes the role approve and operate" in console.limits.message.text

    play_scene(scene, visitor(session, "rita"), run.run_id)
    assert everything(world) == before
    safety_note(f"{pressed} presses, nothing changed")


def test_an_approver_decides_under_the_name_of_their_login_and_does_nothing_else(
    world: World, session: Session
) -> None:
    world.allow(approval_above=1_000_000)
    run = world.tick(world.start())

    async def scene(seat: Seat) -> None:
        console = seat.console
        own = set(buttons_of(console.widget))
        assert {console.approval.approve, console.approval.reject, console.approval.cancel} <= own
        assert console.controls.tick not in own
        console.approval.who.widget.value = "mallory"
        for button in (console.controls.tick, console.controls.step, console.controls.auto, console.launch_form.launch):
            button.click()
            await console.settled()
        await seat.click(console.approval.approve)
        assert "Approved 1.40 USD" in console.approval.message.text

    play_scene(scene, visitor(session, "ada", "approve"), run.run_id)
    (job,) = world.jobs()
    assert job["approval"]["by"] == "ada"
    assert len(world.reads.runs()) == 1
    assert world.payments(run) == []


def test_an_operator_ticks_and_cancels_but_neither_approves_nor_changes_limits(world: World, session: Session) -> None:
    world.allow(approval_above=1_000_000)
    run = world.start()
    policy = world.store.policy()

    async def scene(seat: Seat) -> None:
        console = seat.console
        await seat.click(console.controls.tick)
        await seat.sees(lambda: "Phase APPROVAL" in seat.screen())
        assert console.approval.approve not in buttons_of(console.widget)
        console.approval.approve.click()
        await seat.sees(lambda: bool(console.inbox.choices.children))
        console.inbox.choices.children[0].value = True
        console.inbox.approve.click()
        await console.settled()
        assert "otto may not do this: it takes the role approve" in console.inbox.message.text
        console.limits.fields["approval_above"].widget.value, console.limits.why.value = "", "because"
        console.limits.save.click()
        await console.settled()
        assert not world.jobs()[0]["approval"]["by"]
        console.approval.why.widget.value = "enough"
        await seat.click(console.approval.cancel)
        assert "Cancelled" in console.approval.message.text

    play_scene(scene, visitor(session, "otto", "operate"), run.run_id)
    assert world.store.policy() == policy


def test_every_tab_has_its_right(world: World, session: Session) -> None:
    """A tab that is new must say who may see it."""

    async def scene(seat: Seat) -> None:
        assert set(seat.console.tabs.buttons) == set(TABS)

    play_scene(scene, session)
