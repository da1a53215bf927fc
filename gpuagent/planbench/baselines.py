"""Baseline planners to compare with: each starts a job at the candidate with the highest score. Deterministic."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gpuagent.core.context import Candidate, Context, Thought
from gpuagent.core.model import Action, Decision
from gpuagent.core.money import show_usd
from gpuagent.planbench.play import digest

PRIOR_JOBS = 4.0
"""The weight of an advertised reliability, in observed jobs."""
UNKNOWN = 0.5
"""The reliability of a vendor that advertises none."""
SEED = 7

Score = Callable[[Context, Candidate, int], float]
"""The score of a candidate at a quoted amount (atomic units). The highest is chosen."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A planner that starts a job at the affordable candidate of the highest score; aborts when there is none."""

    name: str
    score: Score
    description: str

    def decide(self, context: Context, objection: str = "") -> Thought:  # noqa: ARG002 - asked again, it answers the same
        offers = [
            (self.score(context, candidate, candidate.amount), candidate.vendor_id, candidate.amount)
            for candidate in context.candidates
            if candidate.amount is not None and candidate.amount <= context.available and not candidate.refusals
        ]
        if not offers:
            reason = f"no vendor can do it with {show_usd(context.available)}"
            return Thought(Decision(Action.ABORT, reason))
        score, vendor_id, amount = max(offers, key=lambda offer: (offer[0], _reversed_order(offer[1])))
        reason = f"{self.description}: {vendor_id} at {show_usd(amount)}, score {score:.4g} of {len(offers)}"
        return Thought(Decision(Action.START_JOB, reason, vendor_id, context.hours))


def beta(context: Context, candidate: Candidate) -> tuple[float, float]:
    """The Beta posterior's counts: advertised reliability as prior, every outcome of the vendor counted alike."""
    advertised = UNKNOWN if candidate.reliability is None else candidate.reliability
    outcomes = [job.succeeded for job in context.past if job.vendor_id == candidate.vendor_id]
    wins = sum(outcomes)
    return PRIOR_JOBS * advertised + wins, PRIOR_JOBS * (1 - advertised) + len(outcomes) - wins


def mean(context: Context, candidate: Candidate) -> float:
    wins, losses = beta(context, candidate)
    return wins / (wins + losses)


def _cheapest(_context: Context, _candidate: Candidate, amount: int) -> float:
    return -float(amount)


def _reliable(_context: Context, candidate: Candidate, _amount: int) -> float:
    return UNKNOWN if candidate.reliability is None else candidate.reliability


def _mean_per_price(context: Context, candidate: Candidate, amount: int) -> float:
    return mean(context, candidate) / amount


def _density(context: Context, candidate: Candidate, amount: int) -> float:
    return -math.log(max(1 - mean(context, candidate), 1e-9)) / amount


def _thompson(context: Context, candidate: Candidate, amount: int) -> float:
    """A chance sampled from the posterior, per price; seeded by context and vendor, so that answers repeat."""
    wins, losses = beta(context, candidate)
    dice = random.Random(f"{SEED} {digest(context)} {candidate.vendor_id}")  # noqa: S311 - no secret
    return dice.betavariate(max(wins, 1e-3), max(losses, 1e-3)) / amount


BASELINES: Mapping[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Baseline("cheapest", _cheapest, "the lowest price"),
        Baseline("reliable", _reliable, "the highest advertised reliability"),
        Baseline("mean", _mean_per_price, "the highest posterior mean per price"),
        Baseline("thompson", _thompson, "the highest sampled chance per price"),
        Baseline("density", _density, "the highest -ln(1 - mean) per price"),
    )
}


def _reversed_order(name: str) -> tuple[int, ...]:
    """A key that orders names backwards, so that ties go to the first name."""
    return (*(-ord(letter) for letter in name), 0)
