"""The optimal planner of a sweep, against an expectation over every decision and outcome, one job at a time."""

from collections.abc import Sequence
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.core.indices import tries_max
from gpuagent.planbench.answers import PlannerClient
from gpuagent.planbench.baselines import BASELINES
from gpuagent.planbench.compare import BAYES, ORACLE, compare
from gpuagent.planbench.files import parse
from gpuagent.planbench.generator.generate import generate
from gpuagent.planbench.generator.histories import ChancePosterior
from gpuagent.planbench.generator.sweeps import SweepPlanner
from gpuagent.planbench.oracle import oracles
from gpuagent.planbench.paper.run import play_several
from gpuagent.planbench.play import LAMBDA
from gpuagent.planbench.scenarios import Market, cost, markets
from gpuagent.planbench.scores import rows, several
from tests.support.scenarios import sweep

Cells = Sequence[tuple[float, float]]


def value_of(
    market: Market,
    beliefs: Sequence[Cells],
    tick: int,
    completed: int,
    funds: int,
    tried: int,
    batch: tuple[int, ...] = (),
) -> float:
    """The best expected utility from here on; batch: the sellers of the jobs that are open, in order."""
    amounts = [cost(seller.price, market.hours) for seller in market.sellers]
    options = [0.0] if not batch else [_resolved(market, beliefs, tick, completed, funds, tried, batch)]
    missing = market.count - completed - len(batch)
    if tick < market.ticks and len(batch) < market.at_once and missing:
        for place, amount in enumerate(amounts):
            keeps_money = amount + (missing - 1) * min(amounts) <= funds
            keeps_tries = tried + missing <= tries_max(market.count)
            if keeps_money and keeps_tries:
                later = value_of(market, beliefs, tick, completed, funds - amount, tried + 1, (*batch, place))
                options.append(later - LAMBDA * amount / market.budget)
    return max(options)


def _resolved(
    market: Market, beliefs: Sequence[Cells], tick: int, completed: int, funds: int, tried: int, batch: tuple[int, ...]
) -> float:
    """The value once the open jobs have ended, each learned from before the next."""
    if not batch:
        ends = tick + 1 == market.ticks or completed == market.count
        return 0.0 if ends else value_of(market, beliefs, tick + 1, completed, funds, tried)
    place, total = batch[0], 0.0
    weight = sum(share for share, _ in beliefs[place])
    for success in (True, False):
        cells = [(share * (p if success else 1 - p), p) for share, p in beliefs[place]]
        chance = sum(share for share, _ in cells) / weight
        if chance:
            learned = [cells if number == place else belief for number, belief in enumerate(beliefs)]
            after = _resolved(market, learned, tick, completed + success, funds, tried, batch[1:])
            total += chance * (success / market.count + after)
    return total


@st.composite
def beliefs(draw: st.DrawFn) -> Cells:
    chance = st.floats(0.05, 0.95)
    return [(draw(st.floats(0.1, 1)), draw(chance)) for _ in range(draw(st.integers(1, 3)))]


@settings(max_examples=60, deadline=None)
@given(
    both=st.tuples(beliefs(), beliefs()), size=st.sampled_from([(2, 1, 3), (2, 2, 2), (3, 2, 2), (3, 3, 2)]),
    budget=st.integers(2, 9),
)  # fmt: skip
def test_its_value_is_the_best_expectation(both: tuple[Cells, Cells], size: tuple[int, int, int], budget: int) -> None:
    count, at_once, ticks = size
    outcomes = {"v1": ["1"], "v2": ["1"]}
    market = sweep(count, at_once, outcomes, run__budgetTotal=budget, run__deadlineTicks=ticks)
    planner = SweepPlanner(market, {"v1": ChancePosterior(both[0]), "v2": ChancePosterior(both[1])})
    expected = value_of(market, both, 0, 0, market.budget, 0)
    assert planner.value == pytest.approx(expected, abs=1e-9)


def test_its_value_counts_the_tries_of_a_run() -> None:
    """Two at once in five ticks could be ten tries, and nine are allowed."""
    market = sweep(2, 2, {"v2": ["1"]}, run__budgetTotal=100, run__deadlineTicks=5)
    cells = [(1.0, 0.2)]
    expected = value_of(market, [cells], 0, 0, market.budget, 0)
    assert SweepPlanner(market, {"v2": ChancePosterior(cells)}).value == pytest.approx(expected, abs=1e-9)


def test_it_takes_the_sure_vendor_first_and_learns_that_it_lies() -> None:
    market = sweep(2, 1, {"v1": ["0000"], "v2": ["1111"]}, run__deadlineTicks=2)
    liar, fair = ChancePosterior([(0.9, 1.0), (0.1, 0.0)]), ChancePosterior([(1.0, 0.6)])
    play = play_several(market, "", PlannerClient(SweepPlanner(market, {"v1": liar, "v2": fair})), 0)
    assert [move.vendor_id for move in play.moves] == ["v1", "v2"]
    assert (play.invalid, play.jobs_done) == (0, 1)


def test_bounds_of_generated_sweeps() -> None:
    """The oracle is above every play, and Bayes above the planners that know less, on average; nothing is invalid."""
    made = [markets(parse(scenario["id"], scenario)) for scenario in generate(13, 4, "sweep")]
    best = {market.scenario: [bound.utility(market) for bound in oracles(market)] for (market,) in made}
    planners = {planner.name: PlannerClient(planner) for planner in (StubPlanner(), *BASELINES.values())}
    comparison = compare(made, list(planners.values()), "exact")
    for play in comparison.plays:
        assert play.invalid == 0
        if play.planner in planners:
            assert play.utility <= best[play.scenario][play.replicate] + 1e-9
    scores = {row.planner: row.utility for row in rows(several(comparison))}
    assert max(scores, key=lambda name: scores[name]) == ORACLE
    assert scores[BAYES] > fmean(scores[name] for name in planners)
    stored = {play.scenario: play.utility for play in comparison.plays if play.planner == ORACLE}
    assert stored == {name: pytest.approx(fmean(values), abs=1e-5) for name, values in best.items()}
