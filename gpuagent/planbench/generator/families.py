"""Families of synthetic markets: vendors, their prices, their advertised and true reliability."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

GPUS = ("A100", "H100", "L4", "RTX4090", "V100")
DECAY = 0.15
"""The share of its chance that a drifting vendor keeps."""
HEDGE_AFTER = 1
"""The ticks after which a late job may be hedged, where jobs of a family are late."""
LIAR_ADVERTISES_MIN = 0.9
LIAR_COUNTS = (9.0, 21.0)
"""A vendor that advertises so much may be a liar; its true chance is then a Beta of these counts, 0.3 on average."""

Prior = Sequence[tuple[float, float, float]]
"""A mixture of Beta distributions: (weight, alpha, beta)."""


@dataclass(frozen=True, slots=True)
class Family:
    """A family of markets. Ranges are (least, most).

    prior: of the true chance of a vendor that advertises r. jobs: in a vendor's history. deadline: in ticks.
    budget: in prices of the dearest vendor's job. vendors: how many. count, at_once: of the run's jobs; with several
    the budget is in prices of the median vendor for all of them, and the deadline in ticks beyond those that they need.
    late: the chance that a job of a vendor is late; (0, 0) where none is, and else late jobs may be hedged.
    """

    name: str
    prior: Callable[[float], Prior]
    jobs: tuple[int, int] = (2, 8)
    deadline: tuple[int, int] = (20, 20)
    budget: tuple[float, float] = (1.0, 2.5)
    vendors: tuple[int, int] = (3, 5)
    count: tuple[int, int] = (1, 1)
    at_once: tuple[int, int] = (1, 1)
    late: tuple[float, float] = (0.0, 0.0)

    @property
    def has_several(self) -> bool:
        """Whether its runs have several jobs to complete."""
        return self.count[1] > 1


def _honest(r: float) -> Prior:
    return ((1.0, 20 * r, 20 * (1 - r)),)


def _liar(r: float) -> Prior:
    if r < LIAR_ADVERTISES_MIN:
        return _honest(r)
    return (0.5, 20 * r, 20 * (1 - r)), (0.5, *LIAR_COUNTS)


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
    Family("sweep", _vague, (3, 8), deadline=(1, 3), budget=(0.8, 1.5), vendors=(3, 4), count=(2, 4), at_once=(1, 3)),
    Family(
        "late", _vague, (3, 8), deadline=(2, 4), budget=(1.0, 2.0), vendors=(3, 3), count=(2, 3), at_once=(1, 2),
        late=(0.1, 0.5),
    ),
)  # fmt: skip


@dataclass(slots=True)
class SyntheticVendor:
    """A vendor of a synthetic market. price: USD per hour. chance: the true one, hidden. document: its file entry.

    spike_factor: on its price in a spike. drift_start: its job from which on it fails more. jobs: in its history.
    """

    name: str
    price: float
    advertised: float
    chance: float
    document: dict[str, Any]
    spike_factor: float = 0.0
    drift_start: int | None = None
    jobs: int = 0

    def price_at(self, regime: int) -> float:
        return round(self.price * self.spike_factor, 2) if regime and self.spike_factor else self.price


@dataclass
class MarketMaker:
    """Draws one market of a family. The order of draws is fixed: it is what a seed stands for."""

    family: Family
    dice: random.Random
    gpu: str = field(init=False)
    hours: Decimal = field(init=False)
    ticks: int = field(init=False)
    count: int = 1
    at_once: int = 1

    def __post_init__(self) -> None:
        self.gpu = self.dice.choice(GPUS)
        self.hours = Decimal(self.dice.choice((1, 1, 2, 4)))
        self.ticks = self.dice.randint(*self.family.deadline)
        if self.family.has_several:
            self.count = self.dice.randint(*self.family.count)
            self.at_once = min(self.dice.randint(*self.family.at_once), self.count)
            self.ticks += math.ceil(self.count / self.at_once)

    @cached_property
    def vendors(self) -> list[SyntheticVendor]:
        count = 5 if self.family.name == "mismatch" else self.dice.randint(*self.family.vendors)
        vendors = [self._vendor(number) for number in range(1, count + 1)]
        if self.family.name == "spikes":
            for vendor in self.dice.sample(vendors, self.dice.randint(1, count)):
                vendor.spike_factor = round(self.dice.uniform(2.0, 3.5), 2)
        if self.family.name == "drift":
            for vendor in vendors:
                vendor.drift_start = self.dice.randrange(vendor.jobs) if self.dice.random() < 0.5 else None
                if vendor.drift_start is not None:
                    vendor.chance = round(vendor.chance * DECAY, 4)
        if self.family.name == "coldstart":
            vendors[0].jobs = 0
        return vendors

    def run(self) -> dict[str, Any]:
        costs = sorted(vendor.price * float(self.hours) for vendor in self.vendors)
        if self.family.name == "ktries":
            budget = self.dice.randint(1, 3) * costs[len(costs) // 2]
        elif self.family.has_several:
            budget = self.dice.uniform(*self.family.budget) * self.count * costs[len(costs) // 2]
        else:
            budget = self.dice.uniform(*self.family.budget) * costs[-1]
        jobs = f"{self.count} fine-tune jobs: each needs" if self.family.has_several else "Fine-tune job: needs"
        run: dict[str, Any] = {
            "goal": f"{jobs} {self.hours} h on one {self.gpu}.",
            "gpuType": self.gpu,
            "budgetTotal": round(budget, 2),
            "hoursRequired": int(self.hours),
            "deadlineTicks": self.ticks,
        }
        if self.family.has_several:
            run["jobs"] = {"count": self.count, "atOnce": self.at_once}
        if self.family.late[1]:
            run["jobs"]["hedgeAfterTicks"] = HEDGE_AFTER
        return run

    def _vendor(self, number: int) -> SyntheticVendor:
        dice, name = self.dice, f"v{number}"
        advertised = round(dice.uniform(0.25, 0.95), 2)
        if self.family.name == "liars" and dice.random() < 0.5:
            advertised = 0.95
        if self.family.name == "outage":  # the chance while its centre is up is public; the downtime is hidden
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
        document = {
            "vendorId": name,
            "basePricePerHour": price,
            "reliabilityScore": advertised,
            "supportedGpuTypes": gpus,
            "refundOnFail": refund,
        }
        return SyntheticVendor(name, price, advertised, chance, document, jobs=dice.randint(*self.family.jobs))
