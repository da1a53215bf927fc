"""Forms say beside the field what is wrong, write nothing until nothing is, and show what others have changed."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from click.testing import Result

from gpuagent.agent.start import Order
from gpuagent.errors import BadInput
from gpuagent.panels.vendor_choice import VendorChoice
from gpuagent.practice.faults import JOBS_FAIL
from gpuagent.session import Session
from gpuagent.wiring.vendors import record_vendors
from tests.panels.conftest import Seat, play_scene
from tests.support.world import World

Play = Callable[..., None]


@pytest.mark.parametrize(
    ("name", "bad", "says"),
    [
        ("goal", "  ", "say what the run is for"),
        ("goal", "x" * 2001, "1 to 2000 characters"),
        ("hours", "many", "a number of GPU hours"),
        ("hours", "0", "at least 0.01"),
        ("hours", "NaN", "at least 0.01"),
        ("budget", "five", "not an amount in USD"),
        ("budget", "0", "more than 0 USD"),
        ("budget", "-1", "not an amount in USD"),
        ("tags", "x" * 101, "1 to 100 characters"),
        ("count", "201", "a whole number of 1 to 200"),
        ("at_once", "0", "a whole number of 1 to 32"),
    ],
)
def test_a_bad_value_is_explained_beside_its_field(
    world: World, at_console: Play, name: str, bad: str, says: str
) -> None:
    async def scene(seat: Seat) -> None:
        form, field = seat.console.launch_form, seat.console.launch_form.fields[name]
        good = field.widget.value
        assert not form.launch.disabled
        field.widget.value = bad
        assert says in field.note
        assert form.launch.disabled
        with pytest.raises(BadInput, match=f"{name} need attention"):
            form.order()
        field.widget.value = good
        assert field.note == ""
        assert not form.launch.disabled

    at_console(scene)
    assert world.reads.runs() == []


def test_each_gpu_is_offered_once(world: World, at_console: Play) -> None:
    first, *_ = world.market.vendors
    record_vendors(world.database, [replace(first, gpu_types=("a100", "T4 "))])

    async def scene(seat: Seat) -> None:
        assert list(seat.console.launch_form.fields["gpu"].widget.options) == ["a100", "H100", "L40S", "T4 "]

    at_console(scene)


def test_the_order_is_what_stands_in_the_form(world: World, at_console: Play) -> None:
    async def scene(seat: Seat) -> None:
        form = seat.console.launch_form
        values = {"goal": " Tune ", "gpu": "T4", "hours": "0.5", "budget": "2.50", "tags": "a, b,,a"}
        values |= {"count": " 20", "at_once": "4"}
        for name, value in values.items():
            form.fields[name].widget.value = value
        seat.console.approval.who.widget.value = "Grace"
        form.fields["hedge_after"].widget.value = "15m"
        form.vendors["gpu_vendor_1"].value = False
        assert form.order() == Order(
            goal="Tune",
            budget=2_500_000,
            gpu_type="T4",
            max_hours=Decimal("0.5"),
            user_id="Grace",
            planner="stub",
            count=20,
            jobs_open_max=4,
            hedge_after=900,
            vendor_ids=("gpu_vendor_2", "gpu_vendor_3"),
            tags=("a", "b"),
        )
        assert form.fields["model"].widget.disabled
        form.fields["planner"].widget.value = "llm"
        form.fields["model"].widget.value = "openai/gpt-4o-mini"
        assert form.order().planner == "llm:openai/gpt-4o-mini"
        for box in form.vendors.values():
            box.value = False
        assert form.launch.disabled
        with pytest.raises(BadInput, match="vendors need attention"):
            form.order()

    at_console(scene)


def test_the_form_shows_prices_of_the_chosen_gpu_and_starts_nothing_that_cannot_be_paid(
    world: World, at_console: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VendorChoice, "SETTLE_S", 0.01)
    first, *_ = world.market.vendors
    record_vendors(world.database, [replace(first, gpu_types=("A100",))])

    async def scene(seat: Seat) -> None:
        form = seat.console.launch_form
        box, cost = form.vendors["gpu_vendor_2"], form.choice.cost
        await seat.sees(lambda: "gpu_vendor_2, 1.75 USD/h, advertises" in box.description)
        assert "A try of 1 h of A100 costs 1.40 USD to 2.52 USD; the budget pays for 3 of the cheapest" in cost.value
        form.fields["gpu"].widget.value = "H100"
        form.fields["hours"].widget.value = "2"
        assert "price not asked yet" in box.description
        assert "gpu_vendor_1, no H100, advertises" in form.vendors["gpu_vendor_1"].description
        await seat.sees(lambda: "2 h of H100" in cost.value)
        assert "1.75 USD/h" not in box.description
        form.fields["budget"].widget.value = "0.50"
        assert "0.50 USD pays for no try: 2 h of H100 costs at least" in cost.value
        await seat.click(form.launch)
        assert "not started: 0.50 USD pays for no try" in form.message.text
        assert world.reads.runs() == []

    at_console(scene)


def test_what_only_the_agent_knows_is_said_in_the_form(world: World, at_console: Play) -> None:
    async def scene(seat: Seat) -> None:
        form = seat.console.launch_form
        form.fields["planner"].widget.value = "llm"
        form.fields["model"].widget.value = "nobody/nothing"
        await seat.click(form.launch)
        assert "nobody/nothing" in form.message.text

    at_console(scene)
    assert world.reads.runs() == []


def test_limits_are_changed_with_a_reason_where_they_allow_more(world: World, at_console: Play) -> None:
    async def scene(seat: Seat) -> None:
        limits = seat.console.limits
        assert limits.save.disabled
        assert limits.fields["per_payment"].widget.value == "25.00"
        assert [limits.fields[name].widget.value for name in ("inputs_to", "file_max", "keep_files_s")] == [
            "any",
            "64MB",
            "",
        ]
        limits.fields["file_max"].widget.value = "none"
        assert "no size" in limits.fields["file_max"].note
        limits.fields["file_max"].widget.value = "1GB"
        limits.fields["per_payment"].widget.value = "1,5"
        assert "not an amount" in limits.fields["per_payment"].note
        assert limits.save.disabled
        limits.fields["per_payment"].widget.value = ""
        await seat.click(limits.save)
        assert "say why the policy is to allow more" in limits.message.text
        limits.why.value = "a big job"
        await seat.click(limits.save)
        assert "is in force" in limits.message.text
        await seat.sees(lambda: "each payment" not in seat.console.launch_form.caps.value)

    world.allow(per_payment=25_000_000)
    at_console(scene)
    assert world.store.policy().per_payment is None
    assert world.reads.policies()[0]["why"] == "a big job"


def test_budgets_over_months_are_set_and_what_is_used_of_them_is_shown(world: World, at_console: Play) -> None:
    async def scene(seat: Seat) -> None:
        form = seat.console.limits.budgets
        assert form.save.disabled
        form.budgets.widget.value = "tag alpha=2.80\nteam x=5"
        assert "no budget a month" in form.budgets.note
        assert form.save.disabled
        form.budgets.widget.value = "tag alpha=2.80\n\nuser local=50"
        form.zone.widget.value = "Europe/Berlyn"
        assert "no time zone" in form.zone.note
        form.zone.widget.value = "Europe/Berlin"
        await seat.click(form.save)
        assert "is in force" in form.message.text
        await seat.click(form.look)
        assert ">tag alpha</td>" in form.used.value
        assert ">50%</td>" in form.used.value
        form.budgets.widget.value = "tag alpha=9"
        await seat.click(form.save)
        assert "say why the policy is to allow more" in form.message.text

    world.finish(world.start(vendor_ids=("gpu_vendor_1",), tags=("alpha",)))
    at_console(scene)
    rules = world.store.policy()
    assert [budget.text for budget in rules.month_budgets] == ["tag alpha=2.80", "user local=50.00"]
    assert rules.month_zone == "Europe/Berlin"


def test_limits_that_others_changed_are_shown_but_not_over_what_is_being_written(
    world: World, at_console: Play
) -> None:
    async def scene(seat: Seat) -> None:
        limits = seat.console.limits
        world.allow(per_payment=7_000_000)
        await seat.sees(lambda: limits.fields["per_payment"].widget.value == "7.00")
        limits.fields["wallet_per_day"].widget.value = "50"
        world.allow(per_payment=8_000_000)
        await seat.sees(lambda: "8.00" in seat.console.launch_form.caps.value)
        assert limits.fields["wallet_per_day"].widget.value == "50"
        await seat.click(limits.save)
        assert "another user has changed the limits" in limits.message.text

    at_console(scene)
    assert world.store.policy().per_payment == 8_000_000


def test_faults_are_switched_and_shown_as_the_market_has_them(world: World, at_console: Play) -> None:
    async def scene(seat: Seat) -> None:
        faults = seat.console.faults
        await seat.console.settled()
        switch = faults.switches["gpu_vendor_2", "raise_price"]
        assert switch.value
        switch.value = False
        await seat.console.settled()
        faults.switches["gpu_vendor_1", JOBS_FAIL].value = True
        await seat.console.settled()
        assert "On: gpu_vendor_1: jobs fail." in faults.message.text
        assert seat.session.faults
        assert seat.session.faults.on() == {("gpu_vendor_1", JOBS_FAIL)}
        await seat.click(faults.heal)
        assert "No fault is on." in faults.message.text
        assert not faults.switches["gpu_vendor_1", JOBS_FAIL].value

    world.market.fault("gpu_vendor_2", "raise_price")
    at_console(scene)


def test_a_fault_that_was_left_on_is_announced_to_the_next_run(
    world: World, at_console: Play, gpuagent: Callable[..., Result]
) -> None:
    async def scene(seat: Seat) -> None:
        await seat.click(seat.console.launch_form.launch)
        assert "Practice faults are on: gpu_vendor_2: raises the price at 402." in seat.console.controls.message.text

    world.market.fault("gpu_vendor_2", "raise_price")
    at_console(scene)
    started = gpuagent("run", "start", "--goal", "x", "--budget", "5")
    assert "Practice faults are on: gpu_vendor_2: raises the price at 402." in started.stderr


def test_a_switch_that_could_not_be_turned_stays_where_the_market_has_it(world: World, at_console: Play) -> None:
    async def scene(seat: Seat) -> None:
        faults = seat.console.faults
        await seat.console.settled()
        assert seat.session.faults
        seat.session.faults.client.headers["Authorization"] = "Bearer of nothing"
        faults.switches["gpu_vendor_1", "raise_price"].value = True
        await seat.console.settled()
        assert "401" in faults.message.text
        assert not faults.switches["gpu_vendor_1", "raise_price"].value

    at_console(scene)


def test_without_practice_vendors_there_are_no_switches(session: Session) -> None:
    async def scene(seat: Seat) -> None:
        assert not seat.console.faults.switches

    play_scene(scene, replace(session, faults=None))
