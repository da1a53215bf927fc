"""The oracle of runs with late jobs and hedges, against every plan, each played job by job; and against the agent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpuagent.core.indices import tries_max
from gpuagent.planbench.oracle import Bound, oracle
from gpuagent.planbench.paper.run import play_several
from gpuagent.planbench.play import LAMBDA
from gpuagent.planbench.scenarios import Market, cost
from tests.support.scenarios import StepPlanner, sweep


@dataclass(frozen=True)
class Job:
    """A job of a plan. number: its place among the jobs; hedges: the number of the one that it hedges."""

    number: int
    index: int
    place: int
    begun: int
    ends: int
    succeeds: bool
    hedges: int | None = None


def completed(jobs: Sequence[Job], tick: int) -> set[int]:
    return {job.index for job in jobs if job.succeeds and job.ends <= tick}


def open_jobs(jobs: Sequence[Job], tick: int) -> list[Job]:
    return [job for job in jobs if job.ends > tick and job.index not in completed(jobs, tick)]


def purchases(market: Market, jobs: Sequence[Job], tick: int, funds: int) -> Iterator[tuple[Job, int]]:
    """Every job that may be begun now, with its price."""
    if len(jobs) == tries_max(market.count):
        return
    at_work = open_jobs(jobs, tick)
    busy = {job.index for job in at_work}
    free = [index for index in range(market.count) if index not in busy | completed(jobs, tick)]
    for place, seller in enumerate(market.sellers):
        price = cost(market.price(seller, tick), market.hours)
        attempt = sum(job.place == place for job in jobs)
        ends = tick + market.ticks_of(seller.vendor_id, attempt, tick, 0)
        job = Job(len(jobs), 0, place, tick, ends, market.outcome(seller.vendor_id, attempt, tick, 0) == 1)
        if price > funds:
            continue
        if free and len(busy) < market.at_once:
            yield replace(job, index=free[0]), price  # the indices are all of one kind
        for late in at_work:
            alone = sum(other.index == late.index for other in at_work) == 1
            hedged = any(other.hedges == late.number for other in jobs)
            is_late = market.hedge_after and tick >= late.begun + 1 + market.hedge_after
            if is_late and alone and not hedged and late.place != place:
                yield replace(job, index=late.index, hedges=late.number), price


def brute_force(market: Market, jobs: tuple[Job, ...] = (), tick: int = 0, paid: int = 0) -> float:
    """U*, by playing every plan to its end."""
    if tick == market.ticks:
        return len(completed(jobs, tick)) / market.count - LAMBDA * paid / market.budget
    best = brute_force(market, jobs, tick + 1, paid)
    for job, price in purchases(market, jobs, tick, market.budget - paid):
        best = max(best, brute_force(market, (*jobs, job), tick, paid + price))
    return best


def late_market(hedge_after: int, **changes: Any) -> Market:
    """Two jobs, one at a time, in four ticks: the first of v2 takes three of them, and the first of v1 fails."""
    jobs = {"count": 2, "atOnce": 1} | ({"hedgeAfterTicks": hedge_after} if hedge_after else {})
    outcomes = {"v1": ["01"], "v2": ["10"]}
    return sweep(2, 1, outcomes, **{"run__jobs": jobs, "truth__delays": {"v2": ["2"]}, **changes})


def test_the_oracle_hedges_as_one_would_by_hand() -> None:
    """While v2 is late, the first job of v1 is over, as its hedge; in the last tick its second one completes."""
    assert oracle(late_market(hedge_after=1), 0) == Bound(2, 5_000_000)
    assert oracle(late_market(hedge_after=0), 0) == Bound(1, 1_000_000)
    assert oracle(late_market(hedge_after=2), 0) == Bound(1, 1_000_000), "by then it has ended"
    assert oracle(late_market(1, run__budgetTotal=4.5), 0) == Bound(1, 1_000_000), "for two jobs of v1 and one of v2"
    assert oracle(late_market(1, run__deadlineTicks=3), 0) == Bound(1, 1_000_000)
    assert oracle(late_market(0, run__deadlineTicks=2, truth__delays={"v1": ["1"], "v2": ["9"]}), 0) == Bound(0, 0)


def test_a_planner_that_hedges_in_time_reaches_it() -> None:
    planner = StepPlanner("v2", "v1", "v1")
    play = play_several(late_market(hedge_after=1), "scripted", planner, 0)
    assert [(move.tick, move.vendor_id) for move in play.moves] == [(0, "v2"), (2, "v1"), (3, "v1")]
    assert (play.jobs_done, play.paid, play.invalid) == (2, 5_000_000, 0)
    assert [(c.hedged_vendor, c.late_s) for c in planner.contexts] == [("", 0), ("v2", 3600), ("", 0)]


TAPES = st.sampled_from(["01000", "10000", "01100", "00110", "11111", "10101"])
DELAYS = st.sampled_from(["20000", "30000", "22222", "12000", "03210"])
"""Where a failure stands before successes at one vendor while the other is late, a hedge is worth its price."""


@st.composite
def late_markets(draw: st.DrawFn) -> Market:
    """Markets of two vendors in which jobs come late."""
    names, ticks = ["v1", "v2"], draw(st.sampled_from([3, 4, 4, 5]))
    truth: dict[str, Any] = {
        "index": draw(st.sampled_from(["attempt", "attempt", "tick"])),
        "pSuccess": dict.fromkeys(names, 0.5),
        "outcomes": {name: [draw(TAPES)] for name in names},
        "delays": {name: [draw(DELAYS)] for name in draw(st.sampled_from([["v2"], ["v2"], ["v1"], names]))},
    }
    jobs = {"count": 2, "atOnce": draw(st.sampled_from([1, 1, 2]))}
    if hedge_after := draw(st.sampled_from([1, 1, 1, 2, None])):
        jobs["hedgeAfterTicks"] = hedge_after
    changes = {"run__jobs": jobs, "run__budgetTotal": draw(st.integers(3, 9)), "run__deadlineTicks": ticks}
    return sweep(2, 1, {name: ["1"] for name in names}, truth=truth, **changes)


@settings(max_examples=60, deadline=None)
@given(late_markets())
@example(late_market(hedge_after=1))
@example(late_market(hedge_after=2, run__deadlineTicks=5, truth__delays={"v2": ["3"]}))
def test_it_is_the_best_of_every_plan(market: Market) -> None:
    assert oracle(market, 0).utility(market) == pytest.approx(brute_force(market), abs=1e-12)


STEPS = st.lists(st.sampled_from(["v1", "v2", "v1", "v2", "wait", "abort", "nobody"]), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(late_markets(), STEPS)
@example(late_market(hedge_after=1), ["v2", "v1", "v1"])
def test_no_play_of_the_agent_beats_it(market: Market, steps: list[str]) -> None:
    play = play_several(market, "scripted", StepPlanner(*steps), 0)
    assert play.utility <= oracle(market, 0).utility(market) + 1e-9
    assert 0 <= play.spend <= 1
