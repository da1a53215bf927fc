"""The synthetic market families: who sells at what price, how reliable they are said to be and are."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

GPUS = ("A100", "H100", "L4", "RTX4090", "V100")
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
