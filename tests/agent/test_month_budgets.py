"""Budgets of tags and users over calendar months, on the real database: no two agents pass one, at no edge."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest

from gpuagent.adapters.mongo import sums
from gpuagent.adapters.mongo.server import clock
from gpuagent.agent.pay import authorize
from gpuagent.agent.plan import plan
from gpuagent.core.months import MonthBudget, month_end, month_start
from gpuagent.core.transitions import apply
from gpuagent.errors import BadInput, PolicyRefused
from gpuagent.tick import step
from tests.conftest import DATABASE, SafetyNote
from tests.support.world import World

PRICE = 1_400_000
"""What gpu_vendor_1, the cheapest, asks for an hour."""
ONLY = {"vendor_ids": ("gpu_vendor_1",)}
BERLIN = "Europe/Berlin"


def jobs_of(world: World) -> Any:
    """The collection, for what no agent does: moving a settlement to another time."""
    return world.store.connection.client[DATABASE].jobs


def settled_at(world: World, at: float) -> None:
    jobs_of(world).update_many({"state": "settled"}, {"$set": {"settledAt": datetime.fromtimestamp(at, UTC)}})


@pytest.mark.safety("agents race for what is left of a month's budget")
@pytest.mark.parametrize("kind", ["tag", "user"])
def test_race_past_a_months_budget(world: World, kind: str, safety_note: SafetyNote) -> None:
    """Six runs, room for two, two tickers a run: two buy, and at no moment is more held and settled."""
    cap = 2 * PRICE + PRICE // 2
    world.allow(month_budgets=(MonthBudget(kind, "alpha", cap),))
    order = {"tags": ("beta", "alpha")} if kind == "tag" else {"user_id": "alpha"}
    runs = [world.start(**ONLY, **order) for _ in range(6)]
    together = Barrier(2 * len(runs))

    def tick(number: int) -> int:
        together.wait()
        run = world.tick(runs[number % len(runs)])
        return world.usage(run).months[kind, "alpha"]

    with ThreadPoolExecutor(2 * len(runs)) as pool:
        results = list(pool.map(tick, range(2 * len(runs))))
    assert max(results) <= cap
    assert world.usage(runs[0]).months == {(kind, "alpha"): 2 * PRICE}
    assert sum(bool(world.store.load(run.run_id).jobs) for run in runs) == 2
    refused = next(run for run in runs if not world.store.load(run.run_id).jobs)
    (reasoning, *_) = world.observations(refused, "agent_reasoning")
    assert f"cap of 3.50 USD ({kind} alpha per month), of which 2.80 USD are used" in reasoning["content"]
    other = world.tick(world.start(**ONLY, user_id="ben", tags=("beta",)))
    assert other.jobs
    safety_note("6 runs, 12 tickers at once, a budget for 2: 2 reserved; a run of another tag and user is not held up")


@pytest.mark.safety("a month's budget that fell, or was used up, between plan, reservation and signature")
def test_a_budget_holds_in_the_transaction(world: World) -> None:
    """Planned apart and saved together; and reserved, then lowered before the signature."""
    world.allow(month_budgets=(MonthBudget("user", "local", PRICE),))
    runs = [world.start(**ONLY) for _ in range(2)]
    planned = [apply(run, plan(run, world.ports)) for run in runs]
    world.store.save(runs[0], planned[0], (), world.market.clock.now())
    with pytest.raises(PolicyRefused, match=r"user local per month\), of which 1.40 USD are used"):
        world.store.save(runs[1], planned[1], (), world.market.clock.now())
    run = world.store.load(runs[0].run_id)
    signed = apply(run, authorize(run, run.jobs[0].job_id, world.ports))
    world.allow(month_budgets=(MonthBudget("user", "local", PRICE - 1),))
    with pytest.raises(PolicyRefused, match="user local per month"):
        world.store.save(run, signed, (), world.market.clock.now())


@pytest.mark.safety("a month's budget at the month's edge, by either clock")
def test_only_this_month_counts_in_its_zone(world: World, safety_note: SafetyNote) -> None:
    """A settlement in the month's first second counts, one a second earlier does not; what is held always does."""
    world.allow(month_budgets=(MonthBudget("tag", "alpha", PRICE),), month_zone=BERLIN)
    first = world.finish(world.start(**ONLY, tags=("alpha",)))
    run, key = world.start(**ONLY, tags=("alpha",)), ("tag", "alpha")
    now = world.store.now()
    start = month_start(now, BERLIN)
    for moment, used in ((start, PRICE), (start - 1, 0)):
        settled_at(world, moment)
        assert world.usage(run).months.get(key, 0) == used
    # The agent's clock runs ahead into the next month: the database's, which is earlier, decides.
    settled_at(world, start)
    ahead = month_end(now, BERLIN) + 1
    assert world.store.usage(run, first.network, (), ahead).months == {key: PRICE}
    # It lags behind the edge: more counts, not less.
    settled_at(world, start - 1)
    assert world.store.usage(run, first.network, (), start - 10).months == {key: PRICE}
    assert world.store.usage(run, "eip155:8453", (), now).months == {}
    held = step(run.run_id, world.ports)
    assert world.usage(held).months == {key: PRICE}
    safety_note("one second before the month's first moment does not count, the moment does; the earlier clock decides")


def test_five_minutes_around_an_edge_the_earlier_clock_decides(world: World) -> None:
    """The agent is in the new month, the database in the old one, by less than the slack of one read."""
    world.allow(month_budgets=(MonthBudget("tag", "alpha", PRICE),))
    run = world.finish(world.start(**ONLY, tags=("alpha",)))
    database, rules = world.store.connection.database, world.store.policy()
    now = clock(database.client)  # its own: a test may turn the store's
    edge = month_end(now)
    settled_at(world, edge - 3600)
    for ahead, used in ((edge - now - 60, PRICE), (edge - now + 60, 0)):
        counted = sums.read(database, sums.SumsQuery(rules, run, run.network, (), edge + 90, ahead))
        assert counted.usage.months.get(("tag", "alpha"), 0) == used


def test_a_record_that_does_not_say_whose_run_it_is_counts(world: World) -> None:
    world.allow(month_budgets=(MonthBudget("user", "ada", 2 * PRICE), MonthBudget("user", "ben", PRICE)))
    run = world.finish(world.start(**ONLY, user_id="ada"))
    world.finish(world.start(**ONLY, user_id="cy"))
    jobs_of(world).update_many({}, {"$unset": {"userId": ""}})
    other = world.start(**ONLY, user_id="ada")
    assert world.usage(other).months == {("user", "ada"): PRICE}
    ada, ben = world.reads.budget_shares(run.network, world.store.now())
    assert (ada.budget.name, ada.settled, ada.share, ben.used) == ("ada", PRICE, 0.5, 0)


def test_more_for_a_month_needs_a_reason(world: World) -> None:
    budget = MonthBudget("tag", "alpha", PRICE)
    world.allow(month_budgets=(budget,))
    now = world.market.clock.now()
    for more in (
        {"month_budgets": ()},
        {"month_budgets": (replace(budget, amount=PRICE + 1),)},
        {"month_zone": "Pacific/Kiritimati"},
    ):
        with pytest.raises(BadInput, match="say why the policy is to allow more"):
            world.store.change_policy(lambda rules, more=more: replace(rules, **more), "Ada", "", now)
    for less in ({"month_budgets": (replace(budget, amount=1), MonthBudget("user", "ada", 5))}, {}):
        world.store.change_policy(lambda rules, less=less: replace(rules, **less), "Ada", "", now)
    assert world.store.policy().month_budgets == (replace(budget, amount=1), MonthBudget("user", "ada", 5))


def test_a_policy_of_before_there_were_budgets_is_read(world: World) -> None:
    policies = world.store.connection.client[DATABASE].policies
    world.allow(month_budgets=(MonthBudget("tag", "alpha", PRICE),))
    policies.update_many({}, {"$unset": {"monthBudgets": "", "monthZone": ""}})
    assert world.store.policy().month_budgets == ()
    policies.update_many({}, {"$set": {"monthZone": "Middle/Earth"}})
    with pytest.raises(PolicyRefused, match="cannot be read"):
        world.store.policy()
