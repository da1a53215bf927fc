"""Paired statistics of two planners on common scenarios."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from gpuagent.errors import BadInput

RESAMPLES, SEED = 10_000, 7
RESAMPLES_MIN, DRAWS_MAX = 1_000, 2_000_000
"""Many values need fewer resamples: their means are close to normal, and seconds count."""
CONFIDENCE_Z, POWER_Z = 1.96, 0.84
"""Standard normal quantiles: 95 % confidence, 80 % power."""
EFFECT = 0.02
"""The difference worth seeing: 2 points."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval. cases: values it is made of."""

    mean: float
    low: float
    high: float
    cases: int


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's test: pairs in which only one planner completed, by planner; p: two-sided, exact."""

    only_first: int
    only_second: int
    p: float


def bootstrap(values: Sequence[float], resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """The mean with its percentile interval. Raises BadInput without values.

    values: one per scenario file, the mean of its variants, so that they stay together; for two planners, the
    difference of each file.
    """
    if not values:
        raise BadInput("nothing to estimate: no scenario was played by both planners")
    if len(values) == 1:
        return Interval(values[0], values[0], values[0], 1)
    dice, count = random.Random(seed), len(values)  # noqa: S311 - no secret
    resamples = min(resamples, max(RESAMPLES_MIN, DRAWS_MAX // count))
    means = sorted(sum(dice.choices(values, k=count)) / count for _ in range(resamples))
    return Interval(fmean(values), _quantile(means, 0.025), _quantile(means, 0.975), count)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """The test on outcomes of the same draws. Raises BadInput when they are not pairs."""
    if len(first) != len(second):
        raise BadInput(f"{len(first)} outcomes of one planner and {len(second)} of the other are no pairs")
    pairs = list(zip(first, second, strict=True))
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    discordant_pairs = only_first + only_second
    tail = sum(math.comb(discordant_pairs, wins) for wins in range(min(only_first, only_second) + 1))
    # Integers to the last step: 2**discordant_pairs does not fit a float for a thousand pairs.
    return McNemar(only_first, only_second, min(1.0, 2 * tail / 2**discordant_pairs))


def sample_size(differences: Sequence[float], effect: float = EFFECT) -> int | None:
    """The scenarios needed to see the effect at 80 % power; None where fewer than two were played."""
    if len(differences) < 2:
        return None
    return math.ceil(((CONFIDENCE_Z + POWER_Z) * stdev(differences) / effect) ** 2)


def wilson(successes: int, count: int) -> Interval:
    """A share with its 95 % interval (E. B. Wilson 1927). Raises BadInput without cases."""
    if count < 1:
        raise BadInput("a share needs at least one case")
    z = NormalDist().inv_cdf(0.975)
    share = successes / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half), count)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between the two nearest values."""
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])
