"""Job histories of synthetic markets, and the posterior of each vendor's chance that follows from them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gpuagent.planbench.generator.families import DECAY, Family, MarketMaker, SyntheticVendor

GAP = 10
"""Ticks between two jobs of a history."""
CELLS = 200
"""Cells of the chance over which the priors are summed."""


@dataclass(frozen=True, slots=True)
class ChancePosterior:
    """The posterior of a vendor's chance, given the generator's priors: (weight, chance) pairs, not normed."""

    cells: Sequence[tuple[float, float]]

    def chance(self, failures: int = 0) -> float:
        """The chance of the next job, after so many failures in the run."""
        cells = [(weight * (1 - p) ** failures, p) for weight, p in self.cells]
        return sum(weight * p for weight, p in cells) / sum(weight for weight, _ in cells)


@dataclass(frozen=True, slots=True)
class SpikePath:
    """Price regimes, 1 in a spike: run, by tick of the run; before, by tick of the history's jobs."""

    run: Sequence[int]
    before: Mapping[int, int]
    enter: float
    exit: float

    def __getitem__(self, tick: int) -> int:
        return self.run[tick]

    @property
    def document(self) -> dict[str, Any]:
        return {"enter": self.enter, "exit": self.exit, "path": list(self.run)}


def spike_path(maker: MarketMaker) -> SpikePath:
    """A chain of regimes from before the history to the end of the run."""
    enter, leave = 0.1, 0.35
    first = -GAP * sum(vendor.jobs for vendor in maker.vendors)
    regime, path = 0, {}
    for tick in range(first, maker.ticks):
        path[tick] = regime
        regime = regime ^ int(maker.dice.random() < (leave if regime else enter))
    return SpikePath([path[tick] for tick in range(maker.ticks)], path, enter, leave)


def draw_history(maker: MarketMaker, path: SpikePath | None) -> tuple[list[dict[str, Any]], dict[str, ChancePosterior]]:
    """Jobs of earlier runs in random order of vendors, oldest first; and the posteriors by vendor."""
    order = job_order(maker)
    history = []
    outcomes = {vendor.name: list[bool]() for vendor in maker.vendors}
    for number, vendor in enumerate(order):
        tick = -GAP * (len(order) - number)
        before_drift = vendor.drift_start is not None and len(outcomes[vendor.name]) < vendor.drift_start
        succeeded = maker.dice.random() < (vendor.chance / DECAY if before_drift else vendor.chance)
        outcomes[vendor.name].append(succeeded)
        price = vendor.price_at(path.before[tick]) if path else vendor.price
        history.append(past_job(vendor, succeeded, price, maker.hours, tick))
    return history, {vendor.name: _posterior(maker.family, vendor, outcomes[vendor.name]) for vendor in maker.vendors}


def job_order(maker: MarketMaker) -> list[SyntheticVendor]:
    """The vendors of the history's jobs, in random order."""
    order = [vendor for vendor in maker.vendors for _ in range(vendor.jobs)]
    maker.dice.shuffle(order)
    return order


def past_job(vendor: SyntheticVendor, succeeded: bool, price: float, hours: Decimal, tick: int) -> dict[str, Any]:
    amount = round(price * float(hours), 2)
    paid = amount if succeeded else round(amount * (1 - vendor.document["refundOnFail"]), 4)
    return {
        "vendorId": vendor.name,
        "status": "completed" if succeeded else "failed",
        "expectedCost": amount,
        "actualCost": paid,
        "hours": int(hours),
        "tick": tick,
    }


def _posterior(family: Family, vendor: SyntheticVendor, outcomes: Sequence[bool]) -> ChancePosterior:
    """Prior times likelihood over cells; where vendors drift, over every job at which the drift may have begun."""
    cells = []
    starts = (None, *range(len(outcomes))) if family.name == "drift" else (None,)
    for number in range(CELLS):
        p = (number + 0.5) / CELLS
        prior = sum(weight * _beta(p, alpha, beta) for weight, alpha, beta in family.prior(vendor.advertised))
        for start in starts:
            chances = [p if start is None or place < start else p * DECAY for place in range(len(outcomes))]
            likelihood = math.prod(c if succeeded else 1 - c for c, succeeded in zip(chances, outcomes, strict=True))
            share = 1.0 if len(starts) == 1 else 0.5 if start is None else 0.5 / len(outcomes)
            cells.append((share * prior * likelihood, p if start is None else p * DECAY))
    return ChancePosterior(cells)


def _beta(p: float, alpha: float, beta: float) -> float:
    log = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    return math.exp(log + (alpha - 1) * math.log(p) + (beta - 1) * math.log(1 - p))
