"""Runs with several jobs on paper: the agent's own tick buys them, within budget, at_once and deadline."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.core.indices import is_open, tries_max
from gpuagent.core.model import Authorized, RunStatus
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import JobStatus
from gpuagent.errors import VendorError
from gpuagent.planbench.answers import PlannerClient
from gpuagent.planbench.compare import compare, estimate
from gpuagent.planbench.oracle import oracle
from gpuagent.planbench.paper.market import PaperMarket
from gpuagent.planbench.paper.payments import PaperClock, PaperPayments
from gpuagent.planbench.paper.run import PaperPlanner, play_several
from gpuagent.planbench.paper.store import RUN_ID, PaperStore
from gpuagent.planbench.paper.vendors import PaperVendors
from gpuagent.planbench.play import LAMBDA, Ask
from gpuagent.planbench.scenarios import EPOCH
from gpuagent.tick import tick
from tests.support.factories import PAYER, RUN, authorization, quote
from tests.support.scenarios import PricedPlanner, StepPlanner, sweep

SURE = {"v1": ["1111"], "v2": ["1111"]}


def test_a_play_by_hand() -> None:
    """Two at once: v1 completes, v2 fails; then v2 for what is missing, and once more."""
    planner = StepPlanner("v1", "v2", "v2", "v1")
    play = play_several(sweep(2, 2, {"v1": ["10"], "v2": ["01"]}), "scripted", planner, 0)
    assert [(move.tick, move.vendor_id) for move in play.moves] == [(0, "v1"), (0, "v2"), (1, "v2")]
    assert (play.complete, play.jobs_done, play.jobs, play.paid) == (1, 2, 2, 4_000_000)
    assert play.utility == pytest.approx(1 - LAMBDA * 0.4)


def test_what_the_planner_sees() -> None:
    planner = StepPlanner("v1", "v2", "v2")
    play_several(sweep(3, 2, {"v1": ["10"], "v2": ["01"]}), "scripted", planner, 0)
    first, second, third = planner.contexts[:3]
    assert (first.now, first.deadline, first.job_s) == (EPOCH, EPOCH + 4 * 3600, 3600)
    assert (first.available, first.reserve) == (8_000_000, 2_000_000)  # two more jobs at the cheapest are kept
    assert (first.jobs_missing, first.jobs_open, first.at_once) == (3, 0, 2)
    assert (second.jobs_open, second.candidates[0].open_jobs, second.past) == (1, 1, ())
    assert (third.now, third.jobs_missing, third.jobs_open) == (EPOCH + 3600, 2, 0)
    outcomes = [(job.vendor_id, job.in_run, job.succeeded, job.paid) for job in third.past]
    assert sorted(outcomes) == [("v1", True, True, 2_000_000), ("v2", True, False, 1_000_000)]


def test_what_the_planner_sees_of_hedges() -> None:
    """v2 is late from the third tick on; while v1 has its hedge, the other job is bought in the fourth."""
    planner = StepPlanner("v2", "wait", "wait", "wait", "v1", "v2")
    jobs = {"count": 2, "atOnce": 2, "hedgeAfterTicks": 1}
    market = sweep(2, 2, SURE, run__jobs=jobs, truth__delays={"v2": ["3"], "v1": ["1"]})
    play = play_several(market, "scripted", planner, 0)
    first, *_, hedge, beside = planner.contexts[:6]
    assert (first.hedge_after_s, first.hedges_open, first.hedges_held) == (1800, 0, 0)
    assert (hedge.now, hedge.hedged_vendor, hedge.late_s) == (EPOCH + 2 * 3600, "v2", 3600)
    assert (hedge.available, hedge.reserve, hedge.hedges_open) == (8_000_000, 1_000_000, 0)
    assert (beside.hedged_vendor, beside.hedges_open, beside.hedges_held) == ("", 1, 2_000_000)
    assert (beside.available, beside.jobs_open) == (7_000_000, 2)
    assert (play.jobs_done, play.paid, play.invalid) == (2, 4_000_000, 0)
    assert play.utility <= oracle(market, 0).utility(market)


def test_a_late_job_is_waited_for_until_the_deadline() -> None:
    """Eight ticks late, it would have been given up by an agent with less patience."""
    late = {"truth__delays": {"v2": ["8"]}}
    market = sweep(2, 1, {"v2": ["1"]}, run__deadlineTicks=9, **late)
    assert play_several(market, "scripted", StepPlanner("v2"), 0).jobs_done == 1
    market = sweep(2, 1, {"v2": ["1"]}, run__deadlineTicks=8, **late)
    assert play_several(market, "scripted", StepPlanner("v2"), 0).jobs_done == 0


def test_prices_per_tick_last_until_what_is_open_has_ended() -> None:
    market = sweep(2, 1, SURE, run__deadlineTicks=1, truth__price={"v2": [1.5]})
    assert play_several(market, "scripted", StepPlanner("v2"), 0).paid == 1_500_000


def test_part_of_the_jobs_counts_as_part() -> None:
    """The last tick's job ends after the deadline's last decision, and counts."""
    planner = StepPlanner("v2")
    play = play_several(sweep(3, 1, {"v2": ["1001"]}), "scripted", planner, 0)
    assert (play.complete, play.jobs_done, play.paid) == (0, 2, 4_000_000)
    assert play.utility == pytest.approx(2 / 3 - LAMBDA * 0.4)


def test_a_wait_ends_the_tick_and_an_open_job_goes_on() -> None:
    planner = StepPlanner("v1", "wait", "v1", "v1")
    play = play_several(sweep(2, 2, SURE), "scripted", planner, 0)
    assert [(move.tick, move.action) for move in play.moves] == [(0, "start_job"), (0, "wait"), (1, "start_job")]
    assert play.complete == 1


def test_a_budget_for_less_than_all_asks_no_planner() -> None:
    """The agent's own rule: what cannot be completed is not begun."""
    planner = StepPlanner("v2")
    play = play_several(sweep(4, 2, SURE, run__budgetTotal=3.5), "scripted", planner, 0)
    assert (play.jobs_done, play.paid, play.moves, play.worst_ms) == (0, 0, (), 0)
    assert planner.contexts == []


def test_an_invalid_decision_loses_the_rest_of_its_tick_and_five_end_the_run() -> None:
    planner = StepPlanner("v1", "nobody", "nobody", "v1")
    play = play_several(sweep(3, 2, SURE), "scripted", planner, 0)
    assert [move.tick for move in play.moves if move.fault] == [0, 1]
    assert "'nobody' is not among" in play.moves[1].fault
    assert (play.invalid, play.jobs_done) == (2, 3)
    stubborn = play_several(sweep(3, 2, SURE, run__deadlineTicks=9), "scripted", StepPlanner("nobody"), 0)
    assert (stubborn.invalid, stubborn.jobs_done, stubborn.paid) == (5, 0, 0)


def test_a_crash_is_a_lost_tick() -> None:
    client = PlannerClient(StepPlanner(ZeroDivisionError("oops"), "v1"))
    play = play_several(sweep(2, 1, SURE), "scripted", client, 0)
    assert (play.moves[0].fault, play.invalid, play.complete) == ("crashed: ZeroDivisionError: oops", 1, 1)


STEPS = st.lists(st.sampled_from(["v1", "v2", "wait"]), min_size=1, max_size=20)
TAPES = st.lists(st.text("01", min_size=1, max_size=6), min_size=2, max_size=2)


@settings(max_examples=60, deadline=None)
@given(
    steps=STEPS, tapes=TAPES, count=st.integers(2, 4), at_once=st.integers(1, 3), budget=st.integers(2, 14),
    ticks=st.integers(1, 5),
)  # fmt: skip
def test_no_play_breaks_a_bound_or_beats_the_oracle(
    steps: list[str], tapes: list[str], count: int, at_once: int, budget: int, ticks: int
) -> None:
    outcomes = {"v1": tapes[:1], "v2": tapes[1:]}
    market = sweep(count, at_once, outcomes, run__budgetTotal=budget, run__deadlineTicks=ticks)
    play = play_several(market, "scripted", StepPlanner(*steps), 0)
    assert 0 <= play.spend <= 1
    assert play.jobs_done <= count
    begun = Counter(move.tick for move in play.moves if move.action == "start_job" and not move.fault)
    assert max(begun.values(), default=0) <= at_once
    assert begun.total() <= tries_max(count)
    assert play.utility <= oracle(market, 0).utility(market) + 1e-9


def test_no_more_jobs_are_open_than_at_once() -> None:
    market = sweep(4, 3, SURE)
    paper = PaperMarket(market, 0, "stub")
    client: Ask = PlannerClient(StubPlanner())
    planner = PaperPlanner("stub", client, market)
    tick(RUN_ID, paper.ports({"stub": planner}))
    assert sum(map(is_open, paper.run.jobs)) == 3
    paper.turn_to(1)
    tick(RUN_ID, paper.ports({"stub": planner}))
    assert sum(map(is_open, paper.run.jobs)) == 1
    paper.turn_to(2)
    tick(RUN_ID, paper.ports({"stub": planner}))
    assert (paper.run.status, len(planner.moves)) == (RunStatus.COMPLETED, 4)


def test_every_mode_plays_the_drawn_outcomes() -> None:
    market = sweep(2, 2, {"v1": ["11", "00"], "v2": ["11", "00"]})
    for mode in ("exact", "posterior", "sampled"):
        plays = compare([(market,)], [PlannerClient(StepPlanner("v1"))], mode).plays
        assert [(play.replicate, play.jobs_done) for play in plays] == [(0, 2), (1, 0)]


def test_the_estimate_bounds_the_questions_of_several_jobs() -> None:
    scenarios = [(sweep(3, 2, {"v1": ["0101", "1100"], "v2": ["1111", "1010"]}),)]
    planner = PricedPlanner()
    client = PlannerClient(planner)
    before = estimate(scenarios, client)
    assert before is not None
    assert before.calls == 2 * (8 + 4)  # two replicates; two at once in each of four ticks, and four that begin none
    compare(scenarios, [client], "exact")
    assert 3 < len(planner.digests) <= before.calls
    after = estimate(scenarios, client)
    assert after is not None
    assert after.calls == 0


def test_the_estimate_bounds_the_questions_about_hedges() -> None:
    jobs = {"count": 2, "atOnce": 1, "hedgeAfterTicks": 1}
    market = sweep(2, 1, {"v1": ["0000"], "v2": ["0011"]}, run__jobs=jobs, truth__delays={"v1": ["9"], "v2": ["9"]})
    planner = PricedPlanner()
    client = PlannerClient(planner)
    before = estimate([(market,)], client)
    assert before is not None
    compare([(market,)], [client], "exact")
    assert 1 < len(planner.digests) <= before.calls


def test_a_payment_buys_one_job_however_often_it_is_sent() -> None:
    market = sweep(2, 1, SURE)
    clock = PaperClock(market)
    payments = PaperPayments(market, clock)
    vendors = PaperVendors(market, clock, payments, 0)
    (vendor, *_) = PaperStore(market, clock, RUN).vendors()
    job = Authorized("job", quote(vendor_id=vendor.vendor_id), clock.now(), authorization(), "header")
    assert payments.spent(PAYER, [job.authorization.nonce]) == []
    assert vendors.submit(vendor, job) == vendors.submit(vendor, job)
    assert payments.spent(PAYER, [job.authorization.nonce]) == [job.authorization.nonce]
    other = replace(job, job_id="other", authorization=replace(job.authorization, nonce="0x1"))
    vendors.submit(vendor, other)
    assert vendors.status(vendor, VendorJob("other")).status is JobStatus.RUNNING
    clock.tick = 1
    assert vendors.status(vendor, VendorJob("other")).status is JobStatus.COMPLETED
    with pytest.raises(VendorError, match="has sold no job third"):
        vendors.status(vendor, VendorJob("third"))
