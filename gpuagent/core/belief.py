"""The belief about a vendor: the chance that its next job succeeds, learned from its past jobs. Pure.

The prior trusts an advertised reliability r for three quarters, as 12 past jobs, and else expects little:
0.75 Beta(12 r, 12 (1 - r)) + 0.25 Beta(2, 4). A result counts 0.9^a where the vendor has a later ones, so that a
vendor which changes is soon seen to have changed. docs/how-it-chooses.md says what it is for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import exp, lgamma, log

from gpuagent.core.context import Learned, PastJob

UNKNOWN = 0.5
"""Assumed where a vendor advertises no reliability."""
TRUST, TRUST_JOBS = 0.75, 12.0
DOUBT = (2.0, 4.0)
FADING = 0.9
PAST_JOBS_MAX = 50
"""Past jobs looked at per vendor, the newest: as later ones count more, all older ones weigh 0.5 % together."""
SHOCK, HALF_LIFE = 0.7, 0.5
"""A vendor that just failed succeeds 0.7 less often than it otherwise would; every job length halves that."""
SURE = 0.005
"""No advertised reliability is believed closer to 0 or 1 than this: a Beta needs both its counts."""
CELLS = 400
LOGS = [(log((cell + 0.5) / CELLS), log(1 - (cell + 0.5) / CELLS)) for cell in range(CELLS)]


@dataclass(frozen=True, slots=True)
class Belief:
    """A mixture of Beta distributions: (weight, alpha, beta) each, the weights adding up to 1."""

    parts: tuple[tuple[float, float, float], ...]

    def chance(self, failures: int = 0) -> float:
        """The probability that the next try succeeds after so many more failures."""
        parts = [(weight * _all_fail(alpha, beta, failures), alpha, beta) for weight, alpha, beta in self.parts]
        total = sum(weight for weight, _, _ in parts)
        return sum(weight * alpha / (alpha + beta + failures) for weight, alpha, beta in parts) / total

    def interval(self, share: float = 0.95) -> tuple[float, float]:
        """The central range that holds this share of the posterior, to 1/400: summed over cells of that width."""
        densities = [_densities(part) for part in self.parts]
        sums = list(accumulate(map(sum, zip(*densities, strict=True))))
        tail = (1 - share) / 2
        low = next(cell for cell, mass in enumerate(sums) if mass >= tail * sums[-1])
        high = next(cell for cell, mass in enumerate(sums) if mass >= (1 - tail) * sums[-1])
        return low / CELLS, (high + 1) / CELLS


def believe(advertised: float | None, results: Sequence[bool]) -> Belief:
    """The posterior of a vendor's chance. results: of its past jobs, oldest first, True where one succeeded."""
    good = sum(FADING**later for later, succeeded in enumerate(reversed(results)) if succeeded)
    bad = sum(FADING**later for later, succeeded in enumerate(reversed(results)) if not succeeded)
    rate = min(max(UNKNOWN if advertised is None else advertised, SURE), 1 - SURE)
    prior = ((TRUST, TRUST_JOBS * rate, TRUST_JOBS * (1 - rate)), (1 - TRUST, *DOUBT))
    evidence = [log(weight) + _log_beta(a + good, b + bad) - _log_beta(a, b) for weight, a, b in prior]
    likely = [exp(weight - max(evidence)) for weight in evidence]
    parts = zip(likely, prior, strict=True)
    return Belief(tuple((weight / sum(likely), a + good, b + bad) for weight, (_, a, b) in parts))


def learned(advertised: float | None, jobs: Sequence[PastJob]) -> Learned:
    """The track record of one vendor from its past jobs, oldest first. The clock of recovery() is not in it."""
    return _learned(advertised, tuple(job.succeeded for job in jobs))


@lru_cache(maxsize=1024)
def _learned(advertised: float | None, results: tuple[bool, ...]) -> Learned:
    # Kept, because each decision asks it of every vendor, and a vendor's record changes once a job.
    belief = believe(advertised, results)
    return Learned(results.count(True), results.count(False), belief.chance(), *belief.interval())


def recovery(age: float) -> float:
    """The share of its chance that a vendor has so many job lengths after it failed last."""
    return 1 - SHOCK * exp(log(HALF_LIFE) * max(age, 0.0))


def price_back(age: float) -> float:
    """The chance that an unusual price is the usual one again after so many job lengths."""
    return 1 - exp(log(HALF_LIFE) * age)


def _all_fail(alpha: float, beta: float, tries: int) -> float:
    chance = 1.0
    for failures in range(tries):
        chance *= (beta + failures) / (alpha + beta + failures)
    return chance


def _log_beta(alpha: float, beta: float) -> float:
    return lgamma(alpha) + lgamma(beta) - lgamma(alpha + beta)


def _densities(part: tuple[float, float, float]) -> list[float]:
    """The density in the middle of each cell."""
    weight, alpha, beta = part
    scale = _log_beta(alpha, beta)
    return [weight * exp((alpha - 1) * below + (beta - 1) * above - scale) for below, above in LOGS]
