"""The statistics of comparisons, each against an example computed by hand."""

import math

import pytest

from gpuagent.errors import BadInput
from gpuagent.planbench.statistics import bootstrap, mcnemar, sample_size, wilson


def test_bootstrap_of_two_values() -> None:
    """Means of 2 draws from {0, 1} are 0, 1/2 and 1 with chances 1/4, 1/2, 1/4: the 95 % range is all of it."""
    interval = bootstrap([0.0, 1.0])
    assert (interval.mean, interval.low, interval.high, interval.cases) == (0.5, 0.0, 1.0, 2)


def test_bootstrap_of_many_is_the_normal_interval() -> None:
    """1000 values with standard deviation 0.1: mean +- 1.96 * 0.1 / sqrt(1000)."""
    interval = bootstrap([-0.1, 0.1] * 500)
    assert interval.high == pytest.approx(1.96 * 0.1 / math.sqrt(1000), rel=0.05)
    assert interval.low == pytest.approx(-interval.high, rel=0.1)


def test_bootstrap_is_seeded() -> None:
    values = [number**0.5 for number in range(30)]
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap(values, seed=1) != bootstrap(values, seed=2)


def test_bootstrap_of_one_or_none() -> None:
    assert bootstrap([0.3]).low == bootstrap([0.3]).high == 0.3
    with pytest.raises(BadInput):
        bootstrap([])


def test_mcnemar_by_hand() -> None:
    """1 against 5 discordant pairs: 2 (C(6,0) + C(6,1)) / 2^6 = 14/64; pairs that agree say nothing."""
    first = [True] + [False] * 5 + [True] * 10
    second = [False] + [True] * 5 + [True] * 10
    test = mcnemar(first, second)
    assert (test.only_first, test.only_second, test.p) == (1, 5, 14 / 64)
    assert mcnemar([True, False], [False, True]).p == 1
    assert mcnemar([], []).p == 1
    assert mcnemar([True] * 3000, [False] * 3000).p == 0
    with pytest.raises(BadInput):
        mcnemar([True], [])


def test_the_sample_size_follows_the_deviation() -> None:
    """A standard deviation of 0.105 to 0.17 takes 220 to 570 (216.1 and 566.4, rounded up)."""
    for deviation, files in ((0.105, 217), (0.17, 567)):
        half = deviation / math.sqrt(2)
        assert sample_size([half, -half]) == files  # two values this far apart have that deviation
    assert sample_size([0.1]) is None


def test_wilson_by_hand() -> None:
    """8 of 10: (0.4902, 0.9433), as in Wilson's and every textbook's example."""
    interval = wilson(8, 10)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 5).low == 0
    assert wilson(5, 5).high == pytest.approx(1)
    with pytest.raises(BadInput):
        wilson(0, 0)
