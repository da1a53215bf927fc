"""What past jobs say of a vendor, and the plan that is worth most, against independent arithmetic."""

from fractions import Fraction
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuagent.adapters.planners.lookahead import SPENDING_WEIGHT, Offer, values
from gpuagent.core.belief import Belief, believe, learned, price_back, recovery
from tests.support.factories import history

OUTCOMES = st.lists(st.booleans(), max_size=30)


def test_nothing_known_is_the_prior() -> None:
    assert believe(0.86, []).chance() == pytest.approx(0.75 * 0.86 + 0.25 / 3)
    assert believe(None, []).chance() == pytest.approx(0.75 * 0.5 + 0.25 / 3)


def test_one_failure_by_hand() -> None:
    """r = 0.5: Beta(6, 6) and Beta(2, 4) become Beta(6, 7) and Beta(2, 5), weighed by 1/2 and 4/6."""
    trust, doubt = Fraction(3, 4) * Fraction(1, 2), Fraction(1, 4) * Fraction(4, 6)
    mean = (trust * Fraction(6, 13) + doubt * Fraction(2, 7)) / (trust + doubt)
    assert believe(0.5, [False]).chance() == pytest.approx(float(mean))
    assert believe(0.5, []).chance(1) == pytest.approx(float(mean))


def test_later_outcomes_count_more() -> None:
    assert believe(0.5, [False] * 5 + [True] * 5).chance() > believe(0.5, [True] * 5 + [False] * 5).chance()
    belief = believe(0.5, [True, False])
    assert [(round(a, 9), round(b, 9)) for _, a, b in belief.parts] == [(6.9, 7.0), (2.9, 5.0)]


@settings(deadline=None)
@given(st.one_of(st.none(), st.floats(0, 1)), OUTCOMES)
def test_chances_fall_with_failures_and_the_interval_holds_the_mean(rate: float | None, outcomes: list[bool]) -> None:
    belief = believe(rate, outcomes)
    chances = [belief.chance(k) for k in range(9)]
    assert all(0 < later < earlier < 1 for earlier, later in pairwise(chances))
    low, high = belief.interval()
    assert 0 <= low < high <= 1
    assert low < chances[0] < high


def test_the_interval_of_a_flat_belief() -> None:
    assert Belief(((1.0, 1.0, 1.0),)).interval() == pytest.approx((0.025, 0.975), abs=1 / 400)


def test_what_is_learned_of_a_vendor() -> None:
    record = learned(0.9, history("v", "1101"))
    assert (record.successes, record.failures) == (3, 1)
    assert record.low < record.mean < record.high
    assert learned(0.9, history("v", "0" * 100)).mean < 0.15


def test_a_shock_and_a_price_fade_with_each_job_length() -> None:
    assert [recovery(age) for age in (-1, 0, 1, 2)] == pytest.approx([0.3, 0.3, 0.65, 0.825])
    assert [price_back(waited) for waited in (0, 1, 2)] == pytest.approx([0, 0.5, 0.75])


# The lattice against brute force: every sequence of tries, valued as it stands.

RATES = st.one_of(st.none(), st.floats(0.05, 0.95))
Market = list[tuple[int, int, float | None, list[bool], float | None]]
MARKETS = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 9), RATES, OUTCOMES, st.one_of(st.none(), st.floats(0, 3))),
    min_size=1,
    max_size=3,
)


def brute_force(offers: list[Offer], available: int, budget: int, tries: int, waited: int) -> list[float]:
    """The best of all sequences that begin with each offer and can be paid for; 0 where none can."""
    best: list[float] = [0.0] * len(offers)
    worths: list[list[float]] = [[] for _ in offers]
    for length in range(1, tries + 1):
        for sequence in product(range(len(offers)), repeat=length):
            alive, money, value, tried = 1.0, available, 0.0, [0] * len(offers)
            for step, place in enumerate(sequence):
                offer = offers[place]
                if offer.amount > money:
                    break
                chance = offer.chances[tried[place]]
                if offer.failed_ago is not None and not tried[place]:
                    chance *= 1 - 0.7 * 0.5 ** (offer.failed_ago + waited + step)
                spent = chance * offer.amount + (1 - chance) * offer.loss
                value += alive * (chance - SPENDING_WEIGHT * spent / budget)
                alive, money, tried[place] = alive * (1 - chance), money - offer.loss, tried[place] + 1
            else:
                worths[sequence[0]].append(value)
    return [max(values, default=zero) for values, zero in zip(worths, best, strict=True)]


@settings(deadline=None, max_examples=200)
@given(MARKETS, st.integers(1, 25), st.integers(0, 10), st.integers(0, 5), st.integers(0, 3))
def test_f_is_the_best_of_all_sequences(market: Market, available: int, spent: int, tries: int, waited: int) -> None:
    offers = []
    for number, (amount, loss, rate, outcomes, failed_ago) in enumerate(market):
        belief = believe(rate, outcomes)
        chances = tuple(belief.chance(k) for k in range(8))
        offers.append(Offer(f"v{number}", amount, min(loss, amount), chances, failed_ago))
    budget = available + spent
    assert values(offers, available, budget, tries, waited) == pytest.approx(
        brute_force(offers, available, budget, tries, waited), abs=1e-12
    )
