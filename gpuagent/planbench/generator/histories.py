"""What happened in a synthetic market before the run, and what that must make its generator believe of the vendors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gpuagent.planbench.generator.families import DECAY, Drawn, Family, Maker

GAP = 10
"""Ticks between two jobs of a history."""
CELLS = 200
"""The priors are summed over so many cells of the chance."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What the generator must believe of a vendor's chance: weights over values, not normed."""

    cells: Sequence[tuple[float, float]]

    def chance(self, failures: int = 0) -> float:
        """Of the next try after so many failures in the run."""
        left = [(weight * (1 - p) ** failures, p) for weight, p in self.cells]
        return sum(weight * p for weight, p in left) / sum(weight for weight, _ in left)


@dataclass(frozen=True, slots=True)
class SpikePath:
    """Regimes of the price, 1 while it is up: of the run's ticks, and of the history's jobs by tick."""

    run: Sequence[int]
    before: Mapping[int, int]
    enter: float
    exit: float

    def __getitem__(self, tick: int) -> int:
        return self.run[tick]

    @property
    def told(self) -> dict[str, Any]:
        return {"enter": self.enter, "exit": self.exit, "path": list(self.run)}


def spike_path(maker: Maker) -> SpikePath:
    """A chain from long before the history to the end of the run."""
    enter, leave = 0.1, 0.35
    first = -GAP * sum(one.jobs for one in maker.vendors)
    regime, path = 0, {}
    for tick in range(first, maker.ticks):
        path[tick] = regime
        regime = regime ^ int(maker.dice.random() < (leave if regime else enter))
    return SpikePath([path[tick] for tick in range(maker.ticks)], path, enter, leave)


def drawn_history(maker: Maker, path: SpikePath | None) -> tuple[list[dict[str, Any]], dict[str, Belief]]:
    """Jobs of earlier runs in random order of vendors, oldest first; and what they let the generator believe."""
    order = [one for one in maker.vendors for _ in range(one.jobs)]
    maker.dice.shuffle(order)
    history, outcomes = [], {one.name: list[bool]() for one in maker.vendors}
    for number, one in enumerate(order):
        tick = -GAP * (len(order) - number)
        fresh = one.drifts is not None and len(outcomes[one.name]) < one.drifts
        succeeded = maker.dice.random() < (one.chance / DECAY if fresh else one.chance)
        outcomes[one.name].append(succeeded)
        price = one.price_at(path.before[tick]) if path else one.price
        history.append(past_job(one, succeeded, price, maker.hours, tick))
    return history, {one.name: _belief(maker.family, one, outcomes[one.name]) for one in maker.vendors}


def past_job(one: Drawn, succeeded: bool, price: float, hours: Decimal, tick: int) -> dict[str, Any]:
    amount = round(price * float(hours), 2)
    paid = amount if succeeded else round(amount * (1 - one.entry["refundOnFail"]), 4)
    return {
        "vendorId": one.name,
        "status": "completed" if succeeded else "failed",
        "expectedCost": amount,
        "actualCost": paid,
        "hours": int(hours),
        "tick": tick,
    }


def _belief(family: Family, one: Drawn, outcomes: Sequence[bool]) -> Belief:
    """Prior times likelihood over cells; where vendors drift, over every job it may have begun at, too."""
    cells = []
    starts = (None, *range(len(outcomes))) if family.name == "drift" else (None,)
    for number in range(CELLS):
        p = (number + 0.5) / CELLS
        prior = sum(weight * _beta(p, alpha, beta) for weight, alpha, beta in family.prior(one.advertised))
        for start in starts:
            chances = [p if start is None or place < start else p * DECAY for place in range(len(outcomes))]
            seen = math.prod(c if succeeded else 1 - c for c, succeeded in zip(chances, outcomes, strict=True))
            share = 1.0 if len(starts) == 1 else 0.5 if start is None else 0.5 / len(outcomes)
            cells.append((share * prior * seen, p if start is None else p * DECAY))
    return Belief(cells)


def _beta(p: float, alpha: float, beta: float) -> float:
    log = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    return math.exp(log + (alpha - 1) * math.log(p) + (beta - 1) * math.log(1 - p))
