"""Planning on the real market: what is learned outlives runs, what planners cost is in the books, arms are recorded."""

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from click.testing import Result
from rich.console import Console

from gpuagent.agent.dry_run import simulate
from gpuagent.agent.market import Survey, payable
from gpuagent.agent.plan import WAITS_MAX, postponed
from gpuagent.agent.start import Order, start
from gpuagent.core.events import VendorChosen
from gpuagent.core.model import Run, RunStatus, Settled
from gpuagent.core.steps import is_over
from gpuagent.errors import BadInput, ConfigError, PlannerError
from gpuagent.render.run import run_view
from gpuagent.tick import tick
from tests.support import scripted_planner as scripted
from tests.support.factories import NOW, candidate, context, decision, quote
from tests.support.scripted_planner import ScriptedPlanner
from tests.support.world import World

NETWORK = "eip155:31337"


def with_planner(world: World, *answers: Any) -> tuple[World, ScriptedPlanner]:
    planner = ScriptedPlanner(answers)
    ports = replace(world.ports, planners={"stub": world.ports.planners["stub"], planner.name: planner})
    return replace(world, agent=replace(world.agent, ports=ports)), planner


def outcomes(world: World, run: Run, *vendor_ids: str, limit: int = 50) -> list[Any]:
    return world.store.past_jobs(run, NETWORK, vendor_ids, limit)


def bought_from(world: World, script: str) -> str:
    """One run of its own, in which the first vendor's job ends as the script says; whom it bought from first."""
    world.market.outcomes("gpu_vendor_1", script)
    return world.finish(world.start()).jobs[0].quote.vendor_id


def test_a_vendor_that_begins_to_fail_is_left_across_runs_and_tried_again_once_it_recovers(world: World) -> None:
    first = [bought_from(world, "0") for _ in range(4)]
    assert first[0] == "gpu_vendor_1"
    assert first[-1] == "gpu_vendor_2"
    for _ in range(6):  # an owner who buys there all the same sees it recover
        assert bought_only_there(world).status is RunStatus.COMPLETED
    assert bought_from(world, "1") == "gpu_vendor_1"


def bought_only_there(world: World) -> Run:
    world.market.outcomes("gpu_vendor_1", "1")
    return world.finish(world.start(vendor_ids=("gpu_vendor_1",)))


def test_outcomes_are_those_of_other_runs_newest_and_oldest_first(world: World) -> None:
    world.market.outcomes("gpu_vendor_1", "0")
    first = world.finish(world.start())
    second = world.finish(world.start(vendor_ids=("gpu_vendor_1",)))
    fresh = world.start()
    jobs = outcomes(world, fresh, "gpu_vendor_1", "gpu_vendor_2")
    assert [(job.vendor_id, job.succeeded) for job in jobs] == [
        ("gpu_vendor_1", False),
        ("gpu_vendor_2", True),
        ("gpu_vendor_1", True),
    ]
    assert [job.started_at for job in jobs] == sorted(job.started_at for job in jobs)
    assert all(job.started_at <= job.ended_at for job in jobs)
    assert {(job.amount, job.paid, job.hours, job.in_run) for job in jobs if job.vendor_id == "gpu_vendor_1"} == {
        (1_400_000, 1_400_000, 1, False)
    }
    assert outcomes(world, fresh, "gpu_vendor_1", limit=1) == [jobs[-1]]
    assert outcomes(world, second, "gpu_vendor_1") == [jobs[0]]
    assert outcomes(world, first, "gpu_vendor_2") == []
    assert world.store.past_jobs(fresh, "eip155:8453", ["gpu_vendor_1"], 50) == []


@pytest.mark.parametrize("hours", [0, -1.0, 1e-300, float("nan"), float("inf"), "an hour", None])
def test_jobs_of_no_time_are_not_learned_from(world: World, hours: Any) -> None:
    """Nobody can buy one, but whoever may write to the database can write one."""
    world.finish(world.start())
    (job,) = world.jobs()
    world.market.change(world.environment["MONGODB_DB_NAME"], "jobs", job["_id"], {"jobParams.maxHours": hours})
    run = world.start()
    assert outcomes(world, run, "gpu_vendor_1") == []
    assert world.finish(run).status is RunStatus.COMPLETED


def test_an_order_of_no_time_is_refused(world: World) -> None:
    with pytest.raises(BadInput, match=r"hours are at least 0\.01"):
        world.start(max_hours=Decimal("0.009"))


def test_a_purchase_that_fell_through_is_a_failure_only_where_the_vendor_was_the_cause(world: World) -> None:
    world.market.fault("gpu_vendor_1", "raise_price")
    run = world.finish(world.start())
    assert [type(job).__name__ for job in run.jobs] == ["Voided", "Settled"]
    (failure,) = outcomes(world, world.start(), "gpu_vendor_1")
    assert (failure.succeeded, failure.paid, failure.amount) == (False, 0, 1_400_000)
    world.market.heal()
    world.finish(world.start(vendor_ids=("gpu_vendor_3",), jobs_open_max=2))
    assert all(past_job.succeeded for past_job in outcomes(world, run, "gpu_vendor_3"))


def test_what_a_planner_costs_is_in_the_books_and_in_the_record(world: World) -> None:
    world, planner = with_planner(
        world,
        scripted.start("gpu_vendor_1", hours=3, cost=11),
        scripted.wait(0, cost=12),
        PlannerError("the model is down", cost=13),
    )
    run = world.tick(world.start(planner="scripted"))
    assert (run.planner_cost, run.waits) == (23, 1)
    world.market.clock.ahead_s += 2
    run = world.finish(run)
    assert run.status is RunStatus.COMPLETED
    assert run.planner_cost == 36
    assert [job.quote.vendor_id for job in run.jobs] == ["gpu_vendor_1"]
    assert world.books(run).ledger.planner_cost == 36
    screen = Console(file=StringIO(), width=200)
    screen.print(run_view(world.reads.documents(run.run_id)))
    assert "0.000036 USD planner" in screen.file.getvalue()
    world.assert_balanced(run, transfers=1)
    records = [observation["data"] for observation in world.observations(run, "agent_reasoning")]
    assert [record["cost"] for record in records] == [23, 13]
    assert [record["fallback"] for record in records] == ["", "the model is down"]
    assert [record["context"]["available"] for record in records] == [5_000_000, 4_999_977]
    assert [record["contextHash"] for record in records] == [planner.asked[0][0].digest(), planner.asked[2][0].digest()]


def test_what_it_cost_to_give_up_is_charged_and_books_balance(world: World) -> None:
    world, _ = with_planner(world, scripted.abort(cost=6_000_000))
    run = world.tick(world.start(planner="scripted"))
    assert (run.status, run.reason, run.planner_cost) == (RunStatus.FAILED, "no hope", 5_000_000)
    world.assert_balanced(run, transfers=0)


def test_an_answer_that_the_policy_overtook_is_charged_all_the_same() -> None:
    chosen = VendorChosen("b" * 24, quote(), decision(), NOW, {"a": 1}, cost=9)
    assert (postponed(chosen, "a cap").cost, postponed(chosen, "a cap").data) == (9, {"a": 1})


def test_a_dry_run_shows_what_asking_cost_and_charges_nobody(world: World) -> None:
    world, _ = with_planner(world, scripted.start("gpu_vendor_3", cost=11))
    run = world.start(planner="scripted")
    dry_run = simulate(run, world.ports)
    assert dry_run.would_pay is not None
    assert (dry_run.would_pay.vendor.vendor_id, dry_run.planner_cost) == ("gpu_vendor_3", 11)
    assert world.store.load(run.run_id) == run


def test_what_the_wallet_cannot_pay_is_no_choice(make_world: Callable[..., World]) -> None:
    """The cheapest is the worst by far, and the wallet can pay no other: it is bought from all the same."""
    world = make_world(funds=1_500_000)
    cheapest = world.store.vendors()[0]
    world.store.put_vendor(replace(cheapest, reliability=0.05), NOW)
    world, planner = with_planner(world, scripted.start("gpu_vendor_2"))
    dry_run = simulate(world.start(), world.ports)
    assert {line.vendor.vendor_id: line.refusals for line in dry_run.lines} == {
        "gpu_vendor_1": (),
        "gpu_vendor_2": ("the wallet cannot pay that now",),
        "gpu_vendor_3": ("the wallet cannot pay that now",),
    }
    run = world.tick(world.start(planner="scripted"))
    assert [job.quote.vendor_id for job in run.jobs] == ["gpu_vendor_1"]
    assert planner.asked[1][1] == "gpu_vendor_2: the wallet cannot pay that now"


def test_what_only_the_runs_own_holds_stand_in_the_way_of_may_pass() -> None:
    quoted = (candidate("a", 10), candidate("b", 20), candidate("c", 30), candidate("d", 20, refusals=("no",)))
    payable_context = payable(Survey(context(*quoted, candidate("e", None)), {}, {}), spendable=10, balance=20).context
    refusal = "the wallet cannot pay that now"
    assert [(offer.refusals, offer.transient) for offer in payable_context.candidates] == [
        ((), False),
        ((refusal,), True),
        ((refusal,), False),
        (("no", refusal), False),
        ((), False),
    ]


def waited(world: World, run: Run, times: int) -> Run:
    """The run as if planners had waited so often by now."""
    return world.store.save(run, replace(run, waits=times, wait_until=0), (), world.market.clock.now())


def test_a_run_that_only_waits_is_given_up(world: World) -> None:
    world, planner = with_planner(world, scripted.wait(0))
    run = world.tick(waited(world, world.start(planner="scripted"), WAITS_MAX - 1))
    assert (run.status, run.waits, len(planner.asked)) == (RunStatus.RUNNING, WAITS_MAX, 1)
    world.market.clock.ahead_s += 2
    run = world.tick(run)
    assert (run.status, run.reason) == (RunStatus.FAILED, "waited 50 times in a row, and no job could be begun")
    assert len(planner.asked) == 1
    world.assert_balanced(run, transfers=0)


def test_not_while_a_job_is_open_and_its_end_lets_planners_wait_anew(world: World) -> None:
    world.market.outcomes("gpu_vendor_1", "0")
    world, _ = with_planner(world, scripted.start("gpu_vendor_1"), scripted.wait(0))
    run = world.tick(world.start(planner="scripted", jobs_open_max=2))
    run = world.tick(waited(world, run, WAITS_MAX))
    assert (run.status, run.waits) == (RunStatus.RUNNING, WAITS_MAX + 1)
    world.market.work()
    run = world.tick(run)
    assert (run.status, run.waits) == (RunStatus.RUNNING, 1)


def test_an_insisting_planner_buys_nothing_that_is_forbidden(world: World) -> None:
    """It wants the vendor that the owner's cap forbids, again and again: the stub buys elsewhere."""
    world.allow(per_payment=2_000_000)
    world, planner = with_planner(world, scripted.start("gpu_vendor_3"))
    run = world.finish(world.start(planner="scripted"))
    assert [job.quote.vendor_id for job in run.jobs if isinstance(job, Settled)] == ["gpu_vendor_1"]
    assert "would exceed the cap of 2.00 USD (payment)" in planner.asked[1][1]
    assert "a payment: at most 2.00 USD" in planner.asked[0][0].caps


def test_no_address_and_no_unprintable_text_is_in_a_context(world: World) -> None:
    world.market.fault("gpu_vendor_1", "hostile_text")
    world.market.fault("gpu_vendor_2", "wrong_payee_in_quote")
    world, planner = with_planner(world, scripted.abort())
    world.tick(world.start(planner="scripted"))
    asked_context = planner.asked[0][0]
    assert "wants to be paid otherwise than recorded: 0x…" in asked_context.candidates[1].problem
    text = str(asked_context.as_json())
    assert text.isprintable()
    assert not re.search("0x[0-9a-fA-F]{8}", text)


def test_arms_are_assigned_and_recorded(world: World) -> None:
    world, _ = with_planner(world, scripted.start("gpu_vendor_2"))
    arms = (("stub", 1), ("scripted", 1))
    runs = [world.start(planners=arms) for _ in range(12)]
    assert {run.planner for run in runs} == {"stub", "scripted"}
    for run in runs:
        assert world.store.load(run.run_id) == run
        (document,) = world.reads.documents(run.run_id)["runs"]
        assert document["plannerArms"] == [{"planner": name, "weight": weight} for name, weight in arms]
        assert document["planner"] == run.planner
    first = next(run for run in runs if run.planner == "scripted")
    assert world.finish(first).jobs[0].quote.vendor_id == "gpu_vendor_2"
    second = next(run for run in runs if run.planner == "scripted" and run != first)
    with pytest.raises(ConfigError, match="planner is 'scripted', and this agent has stub"):
        tick(second.run_id, replace(world.ports, planners={"stub": world.ports.planners["stub"]}))
    assert not is_over(world.store.load(second.run_id))


@pytest.mark.parametrize(
    ("arms", "problem"),
    [
        ((("stub", 1), ("oracle", 1)), "no planner 'oracle'"),
        ((("stub", 0),), "weight"),
        ((("stub", 1), ("stub", 2)), "once"),
    ],
)
def test_arms_that_cannot_be(world: World, arms: Any, problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        start(Order("goal", 5_000_000, planners=arms), world.ports)


def test_the_command_names_planners(world: World, gpuagent: Callable[..., Result]) -> None:
    result = gpuagent("run", "start", "--goal", "g", "--budget", "5", "--planner", "stub=2")
    assert result.exit_code == 0, result.output
    refused = gpuagent("run", "start", "--goal", "g", "--budget", "5", "--planner", "stub=1,oracle=1")
    assert refused.exit_code == 2
    assert "no planner 'oracle'" in refused.stderr
