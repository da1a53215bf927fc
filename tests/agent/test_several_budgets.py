"""Several jobs under one budget and the caps: none is bought of a run that can never complete."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.agent import market
from gpuagent.agent.dry_run import simulate
from gpuagent.core import budget
from gpuagent.core.context import Context, Thought
from gpuagent.core.indices import completed
from gpuagent.core.model import Quote, Run, RunStatus, Vendor
from gpuagent.core.policy import Usage
from gpuagent.core.ports.store import TrackRecord
from gpuagent.core.work import JobReport, JobStatus
from gpuagent.errors import PlannerError, VendorError
from tests.support.numbered_jobs import OtherPrices, index_of, numbered, only, sweep
from tests.support.workshop import HOUR_PRICE, Seller, SoldJob, lost_after, report


def test_a_budget_that_cannot_complete_all_buys_nothing() -> None:
    run = sweep(count=5, jobs=4, a=Seller(numbered), b=Seller(numbered)).ticks()
    assert (run.status, run.jobs) == (RunStatus.FAILED, ())
    rest = "the 5 that are still to be bought cost at least 5.00 USD, at a, and 4.00 USD are left"
    assert run.reason == f"0 of 5 jobs are completed; {rest}"


def test_a_run_that_cannot_complete_the_rest_begins_no_more_and_lets_what_is_open_end() -> None:
    """Two fail at once, so the money for the rest is gone: the third, which is at work, is still followed."""
    fails = only(1, lambda _: report(JobStatus.FAILED, error_message="node lost"))
    world = sweep(count=4, at_once=3, jobs=4, a=Seller(fails), b=Seller(fails))
    run = world.ticks(400)
    assert run.status is RunStatus.FAILED
    rest = "the 2 that are still to be bought cost at least 2.00 USD, at a, and 1.00 USD are left"
    assert run.reason == f"2 of 4 jobs are completed; {rest}"
    assert completed(run) == {0, 2}
    assert budget.available(run) == HOUR_PRICE, "what is left is not spent on a part of what is missing"


def test_what_the_others_cost_is_not_spent_on_a_dear_try() -> None:
    """A planner that would take the dear vendor leaves too little for the others, and is refused."""
    world = sweep(count=3, at_once=1, jobs=4, a=Seller(numbered), b=Seller(numbered))
    context = market.survey(world.run, world.rules, world.ports).context
    assert (context.reserve, context.available) == (2 * HOUR_PRICE, 2 * HOUR_PRICE)
    assert (context.jobs_missing, context.jobs_open, context.at_once) == (3, 0, 1)


def test_a_price_that_does_not_follow_the_hours_ends_no_run_that_can_be_completed() -> None:
    """Sellers have fixed prices, or a least one: the rest of a job that goes on costs as much as a whole one."""

    def fails(job: SoldJob) -> JobReport:
        if index_of(job) == 0:
            return lost_after(0.9)(job)
        return report(JobStatus.FAILED if job.asked >= 3 else JobStatus.RUNNING, error_message="node lost")

    world = sweep(count=2, at_once=2, jobs=4, a=Seller(fails), b=Seller(numbered))

    def price(vendor: Vendor, _: Quote) -> int:
        if vendor.vendor_id == "b" and len(world.run.jobs) < 2:
            raise VendorError("no GPU is free")
        return HOUR_PRICE

    world.ports = replace(world.ports, vendor_api=OtherPrices(world.ports.vendor_api, price))
    assert world.ticks(400).status is RunStatus.COMPLETED


def test_a_vendor_that_one_index_alone_is_kept_from_is_still_the_cheapest_for_the_others() -> None:
    """Index 0 is to be confirmed at b, for 5.00; index 1, which was lost at b, may be bought at a, for 1.00."""

    def ends(index: int, **news: Any) -> Callable[[SoldJob], JobReport]:
        def tell(job: SoldJob) -> JobReport:
            if index_of(job) != index:
                return numbered(job)
            return report(JobStatus.FAILED if job.asked >= 15 else JobStatus.RUNNING, **news)

        return tell

    at_b = Seller(ends(1, error_message="node lost"))
    world = sweep(count=2, at_once=2, jobs=12, a=Seller(ends(0, exit_code=1)), b=at_b)

    def price(vendor: Vendor, _: Quote) -> int:
        if vendor.vendor_id == "a" and len(world.run.jobs) == 1:
            raise VendorError("a is down")
        return (1 if vendor.vendor_id == "a" else 5) * HOUR_PRICE

    world.ports = replace(world.ports, vendor_api=OtherPrices(world.ports.vendor_api, price))
    assert world.ticks(400).status is RunStatus.COMPLETED


def test_a_run_that_the_caps_can_never_let_complete_pays_for_no_part_of_it() -> None:
    """Six jobs at the one vendor cost 6.00, and the policy lets it have 3.00 in a run."""
    world = sweep(count=6, at_once=1, jobs=10, a=Seller(numbered))
    world.rules = replace(world.rules, vendor_per_run=3 * HOUR_PRICE)
    assert simulate(world.run, world.ports).why_not.startswith("6 jobs are still to be bought, and the caps")
    run = world.ticks(400)
    assert (run.status, run.jobs, world.spent) == (RunStatus.FAILED, (), 0)
    assert run.reason.endswith(
        "6 jobs are still to be bought, and the caps (vendor_per_run) let the vendors have 3 more"
    )


def test_the_caps_of_all_vendors_together_count() -> None:
    """Two of them may have three jobs each: that is all six, and one that is lost is one too many."""
    fails = only(1, lambda job: report(JobStatus.FAILED, error_message="node lost") if job.asked > 12 else report())
    for script, spent in ((numbered, 6), (fails, 6)):
        world = sweep(count=6, at_once=2, jobs=20, a=Seller(script), b=Seller(script))
        world.rules = replace(world.rules, vendor_per_run=3 * HOUR_PRICE)
        run = world.ticks(400)
        assert world.spent == spent * HOUR_PRICE
        assert run.status is (RunStatus.COMPLETED if script is numbered else RunStatus.FAILED)


def test_what_completes_the_jobs_is_not_spent_on_asking() -> None:
    """A budget of just the prices: the planner that costs is not asked, the stub decides, and all is bought."""
    world = sweep(count=3, at_once=1, jobs=3, a=Seller(numbered), b=Seller(numbered))

    class Dear(StubPlanner):
        def decide(self, context: Context, objection: str = "") -> Thought:
            if context.asking_max < 1_000:
                raise PlannerError("too dear to ask")
            return replace(super().decide(context, objection), cost=1_000)

    world.ports = replace(world.ports, planners={"stub": StubPlanner(), "llm": Dear()})
    world.run = replace(world.run, planner="llm", budget=3 * HOUR_PRICE + 2_500)
    run = world.ticks(300)
    assert (run.status, world.spent, run.planner_cost) == (RunStatus.COMPLETED, 3 * HOUR_PRICE, 2_000)


@pytest.mark.parametrize(("budgeted", "completes"), [(12, True), (11, False)])
def test_dear_vendors_that_caps_make_needed_count_at_their_price(budgeted: int, completes: bool) -> None:
    """Two at 1.00 are all that the cap lets the cheap one have, and the other asks 5.00: four cost 12.00."""
    world = sweep(count=4, at_once=1, jobs=budgeted, a=Seller(numbered), b=Seller(numbered))
    inner = world.ports.vendor_api

    class Dearer:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def quote(self, vendor: Vendor, *details: Any) -> Quote:
            quote = inner.quote(vendor, *details)
            return replace(quote, amount=quote.amount * (5 if vendor.vendor_id == "b" else 1))

    world.ports = replace(world.ports, vendor_api=cast("Any", Dearer()))
    usage = Usage(new_vendors={"a": 0})
    world.rules = replace(world.rules, new_vendor=2 * HOUR_PRICE)
    world.track_record = lambda run, *_: TrackRecord(_used(run, usage), ())  # type: ignore[method-assign]
    run = world.ticks(100)
    assert (run.status is RunStatus.COMPLETED, world.spent > 0) == (completes, completes)
    assert completes or "cost at least 12.00 USD within the caps (new_vendor), and 11.00 USD are left" in run.reason


def _used(run: Run, usage: Usage) -> Usage:
    """With what the run has at vendor a."""
    used = sum(job.quote.amount for job in run.jobs if job.quote.vendor_id == "a")
    return replace(usage, new_vendors={"a": used})


def test_a_tags_total_that_cannot_pay_for_all_pays_for_none() -> None:
    world = sweep(count=4, jobs=9, a=Seller(numbered))
    world.run, world.rules = replace(world.run, tags=("x",)), replace(world.rules, tag_totals={"x": 3 * HOUR_PRICE})
    run = world.ticks(300)
    assert (run.status, run.jobs) == (RunStatus.FAILED, ())
    assert run.reason.endswith("cost at least 4.00 USD, and the totals of the run's tags leave 3.00 USD")


def test_what_another_run_only_holds_of_a_tags_total_is_waited_for() -> None:
    """3.00 of 6.00 are another run's, whose authorization dies unused after two minutes: four jobs fit then."""
    world = sweep(count=4, jobs=9, a=Seller(numbered))
    world.run, world.rules = replace(world.run, tags=("x",)), replace(world.rules, tag_totals={"x": 6 * HOUR_PRICE})

    def usage(run: Run) -> Usage:
        own = sum(job.quote.amount for job in run.jobs)
        return Usage(tags={"x": own + (3 * HOUR_PRICE if world.at < 1_120 else 0)})

    world.track_record = lambda run, *_: TrackRecord(usage(run), ())  # type: ignore[method-assign]
    run = world.ticks(100)
    assert (run.status, run.jobs) == (RunStatus.RUNNING, ())
    assert world.ticks(400).status is RunStatus.COMPLETED
