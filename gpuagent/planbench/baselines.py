"""Simple planners to compare with, of the kind that people write first. Same interface, by name, deterministic."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gpuagent.core.context import Candidate, Context, Thought
from gpuagent.core.model import Action, Decision
from gpuagent.core.money import show_usd
from gpuagent.planbench.play import digest

WEIGHT = 4.0
"""An advertised reliability counts as much as so many observed jobs."""
UNKNOWN = 0.5
"""Stands for a reliability that nobody advertises."""
SEED = 7

Score = Callable[[Context, Candidate, int], float]
"""Of a candidate whose quote is so many atomic units. The highest is chosen."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Start a job at the affordable candidate of the highest score; abort when nobody is affordable."""

    name: str
    score: Score
    words: str

    def decide(self, context: Context, objection: str = "") -> Thought:  # noqa: ARG002 - it has no second idea
        offers = [
            (self.score(context, one, one.amount), one.vendor_id, one.amount)
            for one in context.candidates
            if one.amount is not None and one.amount <= context.available and not one.refusals
        ]
        if not offers:
            reason = f"no vendor can do it with {show_usd(context.available)}"
            return Thought(Decision(Action.ABORT, reason))
        score, vendor_id, amount = max(offers, key=lambda offer: (offer[0], _backwards(offer[1])))
        reason = f"{self.words}: {vendor_id} at {show_usd(amount)}, score {score:.4g} of {len(offers)}"
        return Thought(Decision(Action.START_JOB, reason, vendor_id, context.hours))


def beta(context: Context, candidate: Candidate) -> tuple[float, float]:
    """The plain posterior: advertised reliability as prior, every outcome of the vendor counted alike."""
    advertised = UNKNOWN if candidate.reliability is None else candidate.reliability
    outcomes = [job.succeeded for job in context.past if job.vendor_id == candidate.vendor_id]
    wins = sum(outcomes)
    return WEIGHT * advertised + wins, WEIGHT * (1 - advertised) + len(outcomes) - wins


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
    """The dice are thrown once per context and vendor, so that the same question has the same answer."""
    wins, losses = beta(context, candidate)
    dice = random.Random(f"{SEED} {digest(context)} {candidate.vendor_id}")  # noqa: S311 - no secret
    return dice.betavariate(max(wins, 1e-3), max(losses, 1e-3)) / amount


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("cheapest", _cheapest, "the lowest price"),
        Rule("reliable", _reliable, "the highest advertised reliability"),
        Rule("mean", _mean_per_price, "the highest posterior mean per price"),
        Rule("thompson", _thompson, "the highest sampled chance per price"),
        Rule("density", _density, "the highest -ln(1 - mean) per price"),
    )
}


def _backwards(name: str) -> tuple[int, ...]:
    """Ties go to the first name."""
    return (*(-ord(letter) for letter in name), 0)
