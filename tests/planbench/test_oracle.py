"""The oracle of several jobs, against every plan there is, written out as its formula says."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuagent.core.indices import tries_max
from gpuagent.planbench.oracle import Bound, oracle, oracles
from gpuagent.planbench.play import LAMBDA
from gpuagent.planbench.scenarios import Market, cost
from tests.support.scenarios import sweep


def brute_force(market: Market, replicate: int) -> float:
    """U*, by trying every plan m(i,t) and leaving out those that break a constraint."""
    sellers = market.sellers
    batches = list(product(range(market.at_once + 1), repeat=len(sellers)))
    utilities = [
        utility
        for plan in product(batches, repeat=market.ticks)
        if (utility := utility_of(market, replicate, plan)) is not None
    ]
    return max(utilities)


def utility_of(market: Market, replicate: int, plan: tuple[tuple[int, ...], ...]) -> float | None:
    """The utility of a plan, None where it breaks a constraint."""
    attempts, completed, funds, begun = [0] * len(market.sellers), 0, market.budget, 0
    for tick, batch in enumerate(plan):
        price = sum(
            count * cost(market.price(seller, tick), market.hours)
            for seller, count in zip(market.sellers, batch, strict=True)
        )
        begun += sum(batch)
        if (
            sum(batch) > min(market.at_once, market.count - completed)
            or price > funds
            or begun > tries_max(market.count)
        ):
            return None
        for place, (seller, count) in enumerate(zip(market.sellers, batch, strict=True)):
            for _ in range(count):
                completed += int(market.outcome(seller.vendor_id, attempts[place], tick, replicate))
                attempts[place] += 1
        funds -= price
    return completed / market.count - LAMBDA * (market.budget - funds) / market.budget


@st.composite
def small_markets(draw: st.DrawFn) -> Market:
    ticks, at_once = draw(st.sampled_from([(1, 3), (2, 3), (3, 2), (4, 1)]))
    names = draw(st.sampled_from([("v1",), ("v2",), ("v1", "v2")]))
    index = draw(st.sampled_from(["attempt", "tick"]))
    tape = st.text("01", min_size=ticks, max_size=6)
    truth = {"index": index, "pSuccess": dict.fromkeys(names, 0.5), "outcomes": {n: [draw(tape)] for n in names}}
    if draw(st.booleans()):
        truth["price"] = {names[0]: draw(st.lists(st.sampled_from([1, 2, 5]), min_size=ticks, max_size=ticks))}
    return sweep(
        draw(st.integers(2, 4)),
        at_once,
        {name: ["1"] for name in names},
        truth=truth,
        run__budgetTotal=draw(st.integers(1, 12)),
        run__deadlineTicks=ticks,
    )


@settings(max_examples=150, deadline=None)
@given(small_markets())
def test_it_is_the_best_of_every_plan(market: Market) -> None:
    assert oracle(market, 0).utility(market) == pytest.approx(brute_force(market, 0), abs=1e-12)


def test_the_oracle_finds_what_is_found_by_hand() -> None:
    """The dear vendor completes at once, the cheap one from its second job on; four ticks, one at a time."""
    outcomes = {"v1": ["1111", "0000"], "v2": ["0111", "0000"]}
    assert oracles(sweep(2, 1, outcomes)) == [Bound(2, 3_000_000), Bound(0, 0)]
    assert oracle(sweep(3, 1, outcomes), 0) == Bound(3, 4_000_000)
    assert oracle(sweep(3, 1, outcomes, run__deadlineTicks=3), 0) == Bound(3, 6_000_000), "no time for a failure"
    assert oracle(sweep(3, 1, outcomes, run__deadlineTicks=2), 0) == Bound(2, 4_000_000)
    assert oracle(sweep(3, 2, outcomes, run__deadlineTicks=2), 0) == Bound(3, 4_000_000)
    assert oracle(sweep(3, 3, outcomes, run__budgetTotal=2.5), 0) == Bound(1, 2_000_000)


def test_no_more_are_open_than_are_missing() -> None:
    """Six failures stand before the cheap vendor's first success: two at a time, they take four ticks."""
    outcomes = {"v2": ["00000011"]}
    assert oracle(sweep(2, 3, outcomes, run__deadlineTicks=3), 0).jobs_done == 0
    assert oracle(sweep(2, 3, outcomes, run__deadlineTicks=4), 0).jobs_done == 2


def test_a_run_may_try_no_more_than_it_may() -> None:
    """Two jobs may be tried nine times in all: what comes after nine failures is out of reach."""
    assert oracle(sweep(2, 1, {"v2": ["0" * 8 + "1"]}, run__deadlineTicks=12), 0).jobs_done == 1
    assert oracle(sweep(2, 1, {"v2": ["0" * 9 + "1"]}, run__deadlineTicks=12), 0).jobs_done == 0
    both = {"v1": ["0001"], "v2": ["0000001"]}
    assert oracle(sweep(2, 1, both, run__deadlineTicks=12, run__budgetTotal=20), 0).jobs_done == 1, (
        "eleven tries for two"
    )
