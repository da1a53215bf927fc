"""The synthetic market families: who sells, how reliable they are said to be and are, what happened before."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

GPUS = ("A100", "H100", "L4", "RTX4090", "V100")
GAP = 10
"""Ticks between two jobs of a history."""
CELLS = 200
"""The priors are summed over so many cells of the chance."""
DECAY = 0.15
"""What a drifting vendor keeps of its chance."""
LIE_FROM, LIE_DELIVERS = 0.9, (9.0, 21.0)
"""Who advertises so much may be a liar, and then delivers a Beta of these counts: 0.3 on average."""

Prior = Sequence[tuple[float, float, float]]
"""A mixture of Beta distributions: (weight, alpha, beta)."""


@dataclass(frozen=True, slots=True)
class Family:
    """prior: of a vendor that advertises r. jobs: the least and most in its history. deadline: ticks, if it is tight.

    budget: the least and most in prices of the dearest vendor's job.
    """

    name: str
    prior: Callable[[float], Prior]
    jobs: tuple[int, int] = (2, 8)
    deadline: tuple[int, int] = (20, 20)
    budget: tuple[float, float] = (1.0, 2.5)


def _honest(r: float) -> Prior:
    return ((1.0, 20 * r, 20 * (1 - r)),)


def _liar(r: float) -> Prior:
    if r < LIE_FROM:
        return _honest(r)
    return (0.5, 20 * r, 20 * (1 - r)), (0.5, *LIE_DELIVERS)


def _vague(r: float) -> Prior:
    return ((1.0, 4 * r, 4 * (1 - r)),)


FAMILIES = (
    Family("honest", _honest),
    Family("liars", _liar),
    Family("outage", _honest, jobs=(8, 12), deadline=(8, 8)),
    Family("spikes", _honest, deadline=(10, 10)),
    Family("drift", _honest, jobs=(8, 14)),
    Family("coldstart", _vague, jobs=(10, 20)),
    Family("ktries", _honest),
    Family("mismatch", _honest),
    Family("deadline", _honest, deadline=(1, 3), budget=(3.0, 4.5)),
)


@dataclass(frozen=True, slots=True)
class Belief:
    """What the generator must believe of a vendor's chance: weights over values, not normed."""

    cells: Sequence[tuple[float, float]]

    def chance(self, failures: int = 0) -> float:
        """Of the next try after so many failures in the run."""
        left = [(weight * (1 - p) ** failures, p) for weight, p in self.cells]
        return sum(weight * p for weight, p in left) / sum(weight for weight, _ in left)


@dataclass(slots=True)
class Drawn:
    """A vendor. price: USD per hour; chance: the true one, hidden; drifts: it fails more from that job of it on."""

    name: str
    price: float
    advertised: float
    chance: float
    entry: dict[str, Any]
    spikes: float = 0.0
    drifts: int | None = None
    jobs: int = 0

    def price_at(self, regime: int) -> float:
        return round(self.price * self.spikes, 2) if regime and self.spikes else self.price


@dataclass
class Maker:
    """Draws one market of a family, always in the same order."""

    family: Family
    dice: random.Random
    gpu: str = field(init=False)
    hours: Decimal = field(init=False)
    ticks: int = field(init=False)

    def __post_init__(self) -> None:
        self.gpu = self.dice.choice(GPUS)
        self.hours = Decimal(self.dice.choice((1, 1, 2, 4)))
        self.ticks = self.dice.randint(*self.family.deadline)

    @cached_property
    def vendors(self) -> list[Drawn]:
        count = 5 if self.family.name == "mismatch" else self.dice.randint(3, 5)
        made = [self._vendor(number) for number in range(1, count + 1)]
        if self.family.name == "spikes":
            for one in self.dice.sample(made, self.dice.randint(1, count)):
                one.spikes = round(self.dice.uniform(2.0, 3.5), 2)
        if self.family.name == "drift":
            for one in made:
                one.drifts = self.dice.randrange(one.jobs) if self.dice.random() < 0.5 else None
                one.chance = round(one.chance * DECAY, 4) if one.drifts is not None else one.chance
        if self.family.name == "coldstart":
            made[0].jobs = 0
        return made

    def run(self) -> dict[str, Any]:
        costs = sorted(one.price * float(self.hours) for one in self.vendors)
        if self.family.name == "ktries":
            budget = self.dice.randint(1, 3) * costs[len(costs) // 2]
        else:
            budget = self.dice.uniform(*self.family.budget) * costs[-1]
        goal = f"Fine-tune job: needs {self.hours} h on one {self.gpu}."
        return {
            "goal": goal,
            "gpuType": self.gpu,
            "budgetTotal": round(budget, 2),
            "hoursRequired": int(self.hours),
            "deadlineTicks": self.ticks,
        }

    def _vendor(self, number: int) -> Drawn:
        dice, name = self.dice, f"v{number}"
        advertised = round(dice.uniform(0.25, 0.95), 2)
        if self.family.name == "liars" and dice.random() < 0.5:
            advertised = 0.95
        if self.family.name == "outage":  # its chance while up is no secret there: when it is down is
            chance = advertised
        else:
            weights = self.family.prior(advertised)
            _, alpha, beta = dice.choices(weights, [weight for weight, _, _ in weights])[0]
            chance = round(dice.betavariate(alpha, beta), 4)
        price = round(math.exp(dice.uniform(-0.2, 0.6) + 1.2 * advertised), 2)
        gpus = [self.gpu, *dice.sample([gpu for gpu in GPUS if gpu != self.gpu], dice.randint(0, 3))]
        if self.family.name == "mismatch" and number > 2 and dice.random() < 0.7:
            gpus, price = [gpu for gpu in GPUS if gpu != self.gpu][:2], round(price / 2, 2)
        refund = 0.5 if self.family.name == "ktries" and dice.random() < 0.3 else 0.0
        entry = {
            "vendorId": name,
            "basePricePerHour": price,
            "reliabilityScore": advertised,
            "supportedGpuTypes": gpus,
            "refundOnFail": refund,
        }
        return Drawn(name, price, advertised, chance, entry, jobs=dice.randint(*self.family.jobs))


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
