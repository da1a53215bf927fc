"""Hedges of late jobs, in memory: bought elsewhere, within budget and rules; the first verified result wins."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuagent.agent.hedge import WAITS_MAX
from gpuagent.agent.past_jobs import own_past_jobs
from gpuagent.agent.pay import pay
from gpuagent.core import budget
from gpuagent.core.events import PaymentUnwanted
from gpuagent.core.indices import completed, has_completed, is_open, is_pair
from gpuagent.core.model import Authorized, Reserved, Run, RunStatus, Settled, Settles, Voided
from gpuagent.core.policy import Halt
from gpuagent.core.ports.chain import Void
from gpuagent.core.resume import resumed_from
from gpuagent.core.steps import is_over
from gpuagent.core.work import Completed, Failed, Fault, FileKind, JobEnding, JobReport, JobStatus, Underway
from gpuagent.errors import GpuAgentError, PolicyRefused, VendorError, VendorTokenMissing
from gpuagent.tick import step, tick
from tests.support.late_jobs import AFTER, ETA, hangs, hedges, reasons, until_late, world_of
from tests.support.numbered_jobs import index_of, numbered, only
from tests.support.workshop import ALL, HOUR_PRICE, Script, Seller, SoldJob, Workshop, exits, lost_after, report, works


def test_a_late_job_is_bought_elsewhere_and_the_first_result_wins() -> None:
    world = world_of(a=Seller(hangs), b=Seller(works))
    until_late(world)
    run = world.ticks()
    first, hedge = run.jobs
    assert (run.status, run.reason) == (RunStatus.COMPLETED, "b completed the job")
    assert (first.quote.vendor_id, hedge.quote.vendor_id, hedge.quote.hedges) == ("a", "b", first.job_id)
    assert world.spent == budget.settled(run) == 2 * HOUR_PRICE, "both are paid, and no more"
    assert is_over(run)
    assert isinstance(first, Settled)
    assert isinstance(first.work, Failed)
    assert (first.work.ending, first.work.fault) == (JobEnding.SUPERSEDED, Fault.NONE)
    assert [job.stopped for job in world.sellers["a"].jobs.values()] == [True]
    assert own_past_jobs(run)[0].vendor_id == "b", "of the late vendor it says nothing"
    assert len(own_past_jobs(run)) == 1
    (why,) = [text for text in reasons(world) if text.startswith("hedge:")]
    assert why.startswith("hedge: a is late by 302 s; b: ")


def test_without_a_rule_there_is_no_hedge() -> None:
    world = world_of(after=0, a=Seller(hangs), b=Seller(works))
    until_late(world)
    assert len(world.ticks(30).jobs) == 1


def test_the_late_job_may_win_and_its_hedge_is_stopped() -> None:
    slow = {"since": 1_000.0 + ETA + AFTER + 10}

    def late(job: SoldJob) -> JobReport:
        return works(job) if world.at > slow["since"] else report()

    world = world_of(a=Seller(late), b=Seller(hangs))
    until_late(world)
    run = world.ticks()
    assert run.reason == "a completed the job"
    (hedge,) = hedges(run)
    assert (hedge.work.ending, world.spent) == (JobEnding.SUPERSEDED, 2 * HOUR_PRICE)
    assert all(job.stopped for job in world.sellers["b"].jobs.values())


def test_of_several_jobs_each_index_is_completed_once_and_the_rest_goes_on() -> None:
    world = world_of(count=3, at_once=2, jobs=9, a=Seller(only(0, hangs)), b=Seller(numbered), c=Seller(numbered))
    run = world.ticks(500)
    assert (run.status, run.reason) == (RunStatus.COMPLETED, "all 3 jobs are completed")
    done = Counter(job.quote.index for job in run.jobs if has_completed(job))
    assert done == {0: 1, 1: 1, 2: 1}
    (hedge,) = hedges(run)
    assert (hedge.quote.index, world.spent) == (0, budget.settled(run))
    assert is_over(run)


def test_a_run_that_goes_on_stops_the_job_that_was_beaten() -> None:
    world = world_of(count=2, jobs=9, a=Seller(hangs), b=Seller(only(0, works, hangs)))
    until_late(world)
    run = world.ticks(3)
    assert (run.status, completed(run)) == (RunStatus.RUNNING, {0})
    (first,) = [job for job in run.jobs if job.job_id in {hedge.quote.hedges for hedge in hedges(run)}]
    assert isinstance(first, Settled)
    assert isinstance(first.work, Failed)
    assert first.work.ending is JobEnding.SUPERSEDED
    assert [job.stopped for job in world.sellers["a"].jobs.values() if index_of(job) == 0] == [True]


def test_the_hedge_begins_from_the_checkpoint_of_the_late_job_or_from_none() -> None:
    """What the late job leaves is its own; what an earlier one left both go on from."""
    world = world_of(a=Seller(lost_after(0.5)), b=Seller(checkpointing), c=Seller(works))
    world.ticks(8)
    (_, late) = world.run.jobs
    assert isinstance(late, Settled)
    assert late.checkpoint
    world.at += ETA + AFTER
    run = world.ticks(30)
    (hedge,) = hedges(run)
    assert resumed_from(hedge.quote) == resumed_from(late.quote) != ""
    assert hedge.quote.max_hours == late.quote.max_hours
    world = world_of(a=Seller(checkpointing), b=Seller(works))
    until_late(world)
    (hedge,) = hedges(world.ticks(3))
    assert resumed_from(hedge.quote) == ""


def checkpointing(job: SoldJob) -> JobReport:
    job.checkpoint = {"progress.json": b'{"fraction": 0.9}', "state": b"t" * 1000}
    return report(checkpoint=job.offer, progress=0.9)


def test_no_hedge_that_the_rest_needs_the_money_of_and_that_is_said_once() -> None:
    world = world_of(count=3, jobs=3, a=Seller(only(0, hangs)), b=Seller(numbered))
    until_late(world)
    run = world.ticks(60)
    assert not hedges(run)
    told = [text for text in reasons(world) if text.startswith("hedge:")]
    assert len(told) == 1
    assert "no hedge is bought: b: " in told[0]
    assert "leaves too little for the 2 jobs that are still to be bought" in told[0]
    assert budget.available(run) == 2 * HOUR_PRICE


def test_a_cap_that_the_rest_needs_forbids_the_hedge() -> None:
    world = world_of(count=3, jobs=9, a=Seller(only(0, hangs)), b=Seller(numbered))
    world.rules = replace(world.rules, vendor_per_run=2 * HOUR_PRICE)
    until_late(world)
    run = world.ticks(30)
    assert len(hedges(run)) == 1, "each may have two: the hedge at b, one more at b, one at a"
    world = world_of(count=4, jobs=9, a=Seller(only(0, hangs)), b=Seller(numbered))
    world.rules = replace(world.rules, vendor_per_run=2 * HOUR_PRICE)
    until_late(world)
    assert not hedges(world.ticks(30))


def test_a_budget_without_room_for_it_buys_no_hedge_of_a_single_job() -> None:
    world = world_of(jobs=1, a=Seller(hangs), b=Seller(works))
    until_late(world)
    run = world.ticks(30)
    assert len(run.jobs) == 1
    told = [text for text in reasons(world) if text.startswith("hedge:")]
    assert len(told) == 1
    assert told[0].endswith("no hedge is bought: b: asks 1.00 USD, and 0.00 USD are available")


def test_no_other_vendor_no_hedge() -> None:
    world = world_of(a=Seller(hangs))
    until_late(world)
    run = world.ticks(30)
    assert len(run.jobs) == 1
    assert run.hedging.declined == (run.jobs[0].job_id,)


def test_a_cap_is_of_hedges_too() -> None:
    world = world_of(a=Seller(hangs), b=Seller(works))
    world.run = replace(world.run, vendor_ids=("a", "b"))
    until_late(world)
    world.rules = replace(world.rules, per_payment=HOUR_PRICE - 1)
    run = world.ticks(30)
    assert not hedges(run)
    assert "would exceed the cap" in reasons(world)[-1]


def test_a_hedge_waits_for_approval_like_any_purchase() -> None:
    world = world_of(a=Seller(hangs), b=Seller(works))
    until_late(world)
    world.rules = replace(world.rules, approval_above=0)
    run = world.ticks(5)
    (hedge,) = hedges(run)
    assert isinstance(hedge, Reserved)
    assert hedge.unapproved
    assert (world.spent, len(world.sellers["b"].jobs)) == (HOUR_PRICE, 0)
    world.at = hedge.quote.expires_at + 1
    run = world.ticks(20)
    assert [type(job) for job in hedges(run)] == [Voided], "asked for once: it is not asked for again"


def test_what_keeps_a_hedge_from_being_bought_holds_up_nothing_and_is_given_up() -> None:
    """Silent vendors, a halt, an empty wallet: the late job is still followed, and no tick fails by the hedge."""
    world = world_of(a=Seller(hangs), b=Seller(works))
    inner = world.ports.vendor_api

    class Market:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def quote(self, vendor: Any, *details: Any) -> Any:
            if vendor.vendor_id == "b":
                raise VendorError("b is down")
            return inner.quote(vendor, *details)

    until_late(world)
    world.ports = replace(world.ports, vendor_api=Market())  # type: ignore[arg-type]
    run = world.ticks(130)
    assert (run.hedging.waits, run.hedging.declined) == (WAITS_MAX, ())
    run = world.ticks(130)
    assert run.hedging.declined == (run.jobs[0].job_id,)
    assert sum(text.startswith("hedge:") for text in reasons(world)) == WAITS_MAX + 1
    asked = next(iter(world.sellers["a"].jobs.values())).asked
    world.ticks(5)
    assert next(iter(world.sellers["a"].jobs.values())).asked == asked + 5


def test_a_halted_wallet_hedges_nothing_and_its_job_is_followed() -> None:
    world = world_of(a=Seller(hangs), b=Seller(works))
    until_late(world)
    world.rules = replace(world.rules, halts=(Halt("wallet", "*", "ada", "a look"),))
    run = world.ticks(3)
    assert (len(run.jobs), run.hedging.waits) == (1, 1)
    assert "ada halted all wallets" in reasons(world)[-1]


def test_a_run_whose_planner_is_not_there_is_followed_without_a_hedge() -> None:
    world = world_of(a=Seller(hangs), b=Seller(works))
    until_late(world)
    world.run = replace(world.run, planner="gone")
    run = world.ticks(3)
    assert (len(run.jobs), run.hedging.waits) == (1, 1)
    assert "planner is 'gone'" in reasons(world)[-1]


def test_a_job_that_ended_while_no_tick_asked_is_not_hedged() -> None:
    """The agent was down: by the clock the job is late, and its vendor has been done for hours."""
    world = world_of(a=Seller(lambda job: works(job) if world.at > 5_000 else report()), b=Seller(works))
    world.ticks(2)
    world.at = 9_000.0
    run = world.ticks(5)
    assert (run.status, len(run.jobs)) == (RunStatus.COMPLETED, 1)


def test_a_job_that_cannot_be_asked_for_is_not_hedged() -> None:
    """Our own token is missing: the vendor may be done."""
    world = world_of(a=Seller(hangs), b=Seller(works))
    inner = world.ports.vendor_api

    class Untold:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def status(self, *_: Any) -> Any:
            raise VendorTokenMissing("no token")

    until_late(world)
    world.ports = replace(world.ports, vendor_api=Untold())  # type: ignore[arg-type]
    with pytest.raises(VendorTokenMissing):
        tick(world.run.run_id, world.ports)
    assert not hedges(world.run)


def test_another_vendor_confirms_a_failing_program_instead_of_a_hedge() -> None:
    world = world_of(a=Seller(exits(1)), b=Seller(hangs), c=Seller(works))
    world.ticks(4)
    world.at += ETA + 2 * AFTER
    run = world.ticks(5)
    assert not hedges(run)
    assert len(run.jobs) == 2


def test_a_hedge_that_fails_leaves_the_late_job_and_is_not_bought_again() -> None:
    lost: Script = lambda _: report(JobStatus.FAILED, error_message="node lost")  # noqa: E731
    world = world_of(a=Seller(hangs), b=Seller(lost), c=Seller(works))
    until_late(world)
    run = world.ticks(30)
    assert [is_open(job) for job in run.jobs] == [True, False]
    assert len(run.jobs) == 2


def test_fail_over_buys_no_third_while_the_hedge_is_open() -> None:
    """The late one fails: its hedge is what a replacement would be."""
    end = 1_000.0 + ETA + AFTER + 10
    fails: Script = lambda _: report(JobStatus.FAILED if world.at > end else JobStatus.RUNNING)  # noqa: E731
    world = world_of(count=2, jobs=9, a=Seller(fails), b=Seller(hangs), c=Seller(hangs))
    until_late(world)
    assert len(hedges(world.ticks(3))) == 1
    world.at = end + 1
    run = world.ticks(4)
    of_first = [job for job in run.jobs if job.quote.index == 0]
    assert [is_open(job) for job in of_first] == [False, True]


def test_a_payment_for_a_hedge_is_cancelled_once_the_late_job_is_done() -> None:
    """Signed and not sent when the first result comes: it is not sent any more."""
    world = world_of(count=2, jobs=9, a=Seller(hangs), b=Seller(hangs))
    until_late(world)
    while not (hedges(world.run) and isinstance(hedges(world.run)[-1], Authorized)):
        step(world.run.run_id, world.ports)
    spent = world.spent
    (hedge,) = hedges(world.run)
    world.sellers["a"].script = works
    world.sellers["b"].script = works
    late = next(job for job in world.run.jobs if job.job_id == hedge.quote.hedges)
    assert isinstance(late, Settled)
    assert isinstance(late.work, Underway)
    done = replace(late, work=Completed(late.work.vendor_job_id, world.at))
    world.run = replace(world.run, jobs=tuple(done if job is late else job for job in world.run.jobs))
    assert pay(world.run, hedge.job_id, world.ports) == PaymentUnwanted(hedge.job_id, "0x" + "c" * 64)
    assert world.spent == spent


def test_a_vendor_that_is_paid_after_its_work_is_not_paid_for_what_was_superseded() -> None:
    """Its amount stays held until the chain says that it can never be taken."""
    world = world_of(a=Seller(hangs), b=Seller(works))
    vendors = world.vendors
    world.vendors = lambda: tuple(  # type: ignore[method-assign]
        replace(vendor, settles=Settles.AFTER) if vendor.vendor_id == "a" else vendor for vendor in vendors()
    )
    taken = world.settled
    world.settled = _Untaken(world, taken)
    until_late(world)
    run = world.ticks(5)
    first, hedge = run.jobs
    assert isinstance(first, Authorized)
    assert isinstance(first.work, Failed)
    assert first.work.ending is JobEnding.SUPERSEDED
    assert first.cancellation, "the token is asked to cancel it"
    assert (run.status, budget.held(run)) == (RunStatus.COMPLETED, HOUR_PRICE)
    assert isinstance(hedge, Settled)
    unsent = replace(run, jobs=(replace(first, cancellation=""), hedge))
    assert pay(unsent, first.job_id, world.ports) == PaymentUnwanted(first.job_id, "0x" + "c" * 64), "as after a kill"
    world.ports = replace(world.ports, chain=_Dead(world.ports.chain, first.authorization.nonce))  # type: ignore[arg-type]
    run = world.ticks(3)
    assert is_over(run)
    assert (budget.held(run), budget.settled(run)) == (0, HOUR_PRICE)


class _Untaken(dict[str, Any]):
    """What was settled, but for the payments of the vendor that is paid after its work: the first that is sent."""

    def __init__(self, world: Workshop, taken: dict[str, Any]) -> None:
        super().__init__(taken)
        self._first = ""

    def __setitem__(self, nonce: str, authorization: Any) -> None:
        self._first = self._first or nonce
        if nonce != self._first:
            super().__setitem__(nonce, authorization)


class _Dead:
    def __init__(self, chain: Any, nonce: str) -> None:
        self._chain, self._nonce = chain, nonce

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    def outcome(self, authorization: Any, transaction: str = "") -> Any:
        if authorization.nonce == self._nonce:
            return Void("cancelled")
        return self._chain.outcome(authorization, transaction)


def test_a_reservation_that_the_database_refuses_is_put_off() -> None:
    """Another run took what the policy allowed, between the decision and the save."""
    world = world_of(a=Seller(hangs), b=Seller(hangs))
    until_late(world)
    save = world.save

    def refusing(before: Run, after: Run, *rest: Any) -> Run:
        if len(after.jobs) > len(before.jobs):
            raise PolicyRefused("the wallet's day is spent")
        return save(before, after, *rest)

    world.save = refusing  # type: ignore[method-assign]
    run = world.ticks(2)
    assert (len(run.jobs), run.hedging.waits) == (1, 1)
    assert reasons(world)[-1].endswith("waits: not reserved: the wallet's day is spent")


KILL = ("before", "after")


class Killed(GpuAgentError):
    """The process dies here."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from(KILL)), max_size=12),
    st.sampled_from([hangs, works, numbered]),
    st.sampled_from([works, hangs, lost_after(0.5)]),
    st.booleans(),
)
def test_killed_anywhere_each_index_is_completed_once_and_paid_as_booked(
    kills: list[tuple[int, str]], first: Script, second: Script, stops: bool
) -> None:
    """Each save of several dies before or after it is stored; another tick takes over."""
    accepts = ALL if stops else tuple(name for name in ALL if name != "cancel")
    world = world_of(
        count=2, at_once=2, jobs=9, a=Seller(only(0, first, works), accepts), b=Seller(second, accepts), c=Seller(works)
    )
    left, save = list(kills), world.save

    def dying(before: Run, after: Run, *rest: Any) -> Run:
        if left:
            count, where = left[0]
            left[0] = (count - 1, where)
            if count <= 1:
                left.pop(0)
                if where == "after":
                    save(before, after, *rest)
                raise Killed
        return save(before, after, *rest)

    world.save = dying  # type: ignore[method-assign]
    for turn in range(1_500):
        try:
            tick(world.run.run_id, world.ports)
        except Killed:
            continue
        world.at += 1 if turn < 20 else 7
        run = world.run
        assert budget.available(run) >= 0
        for index in range(2):
            open_jobs = [job for job in run.jobs if job.quote.index == index and is_open(job)]
            assert len(open_jobs) <= 2
            assert len(open_jobs) < 2 or is_pair(*open_jobs)
        if is_over(run):
            break
    run = world.run
    assert (run.status, is_over(run)) == (RunStatus.COMPLETED, True)
    assert Counter(job.quote.index for job in run.jobs if has_completed(job)) == {0: 1, 1: 1}
    assert world.spent == budget.settled(run), "the books equal the chain"
    assert len(world.settled) == sum(isinstance(job, Settled) for job in run.jobs)
    assert all(job.quote.vendor_id != _of(run, job.quote.hedges).quote.vendor_id for job in hedges(run))
    for job in run.jobs:
        assert has_completed(job) <= any(
            file.kind is FileKind.OUTPUT for file in (job.files if isinstance(job, Settled) else ())
        )


def _of(run: Run, job_id: str) -> Any:
    return next(job for job in run.jobs if job.job_id == job_id)


def test_two_tickers_buy_one_hedge() -> None:
    """The second's decision comes to nothing, and what it cost is charged."""
    world = world_of(a=Seller(hangs), b=Seller(hangs))
    until_late(world)
    stale, save, raced = world.run, world.save, []

    def overtaken(before: Run, after: Run, *rest: Any) -> Run:
        if len(after.jobs) > len(before.jobs) and not raced:
            raced.append(True)
            tick(stale.run_id, world.ports)  # the other ticker is faster
        return save(before, after, *rest)

    world.save = overtaken  # type: ignore[method-assign]
    run = world.ticks(3)
    assert raced
    assert len(hedges(run)) == 1
    assert len(run.jobs) == 2
