"""The value of every sequence of tries that a budget allows, when each may fail. Pure.

While a run is not done, all that can have happened in it is failures, so a plan is a sequence of vendors and its state
how often each was tried. f is exact for any beliefs that are independent of each other; see docs/how-it-chooses.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import TypeAlias

from gpuagent.core.belief import recovery

SPENDING = 0.01
"""What spending the whole budget costs, in chances of completion: enough to break ties."""
DEPTH = 8
"""A plan looks no more tries ahead."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A vendor that may be tried. Amounts in atomic units; loss: what a try costs that fails.

    chances: that a try succeeds, after 0, 1, ... DEPTH more failures. failed_ago: job lengths since the vendor's last
    job was begun, where that one failed.
    """

    vendor_id: str
    amount: int
    loss: int
    chances: tuple[float, ...]
    failed_ago: float | None = None

    def chance(self, failures: int, later: float) -> float:
        """Of a try begun so many job lengths from now. Retries inside a plan are not held back by the clock."""
        if failures or self.failed_ago is None:
            return self.chances[failures]
        return self.chances[0] * recovery(self.failed_ago + later)

    @property
    def density(self) -> float:
        """The price rule to choose by: how much doubt a unit of money removes."""
        return -log(1 - min(self.chance(0, 0), 1 - 1e-12)) / max(self.amount, 1)


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a plan, made if all before it failed. chance: that it succeeds then."""

    offer: Offer
    chance: float


def values(offers: Sequence[Offer], available: int, budget: int, tries: int, waited: int = 0) -> list[float]:
    """For each offer, the utility of beginning with it and going on as well as can be; 0 where it cannot be begun.

    Utility is the chance of completion less SPENDING times the expected share of the budget that is spent. tries: how
    many are left at most; waited: job lengths that pass first. Every try takes one.
    """
    return _Lattice(offers, budget, tries, waited).values(available)


def best_plan(offers: Sequence[Offer], available: int, budget: int, tries: int, first: Offer) -> list[Try]:
    """The best sequence of tries that begins with an offer, each made if all before it failed."""
    return _Lattice(offers, budget, tries, 0).plan(available, offers.index(first))


class _Lattice:
    """All states of a plan, which are how often each vendor was tried in vain, with the best value in each."""

    def __init__(self, offers: Sequence[Offer], budget: int, tries: int, waited: int) -> None:
        self._offers, self._budget, self._tries = offers, budget, min(tries, DEPTH)
        # How often each was tried, as the digits of one number.
        self._units = [int((DEPTH + 1) ** place) for place in range(len(offers))]
        self._rows = [
            (
                place,
                offer.amount,
                offer.loss,
                [[offer.chance(k, waited + d) for k in range(d + 1)] for d in range(self._tries)],
            )
            for place, offer in enumerate(offers)
        ]
        self._best: dict[int, float] = {}

    def values(self, available: int) -> list[float]:
        startable = self._tries > 0
        return [self._begin(row, 0, 0, available) if startable and row[1] <= available else 0.0 for row in self._rows]

    def plan(self, available: int, place: int) -> list[Try]:
        plan: list[Try] = []
        state = 0
        while True:
            row = self._rows[place]
            failures = state // self._units[place] % (DEPTH + 1)
            plan.append(Try(self._offers[place], row[3][len(plan)][failures]))
            state += self._units[place]
            available -= row[2]
            if len(plan) >= self._tries:
                return plan
            values = {
                row[0]: self._begin(row, state, len(plan), available) for row in self._rows if row[1] <= available
            }
            place = max(values, key=lambda place: values[place], default=-1)
            if place < 0 or values[place] <= 0:
                return plan

    def _begin(self, row: "_Row", state: int, depth: int, money: int) -> float:
        """The value of trying the row's vendor in a state, with so much money."""
        place, amount, loss, chances = row
        chance = chances[depth][state // self._units[place] % (DEPTH + 1)]
        spent = loss + chance * (amount - loss)
        later = self._value(state + self._units[place], depth + 1, money - loss)
        return chance - SPENDING * spent / self._budget + (1 - chance) * later

    def _value(self, state: int, depth: int, money: int) -> float:
        """The best value in a state. What money is left follows from the state."""
        if depth >= self._tries:
            return 0.0
        if state not in self._best:
            options = (self._begin(row, state, depth, money) for row in self._rows if row[1] <= money)
            self._best[state] = max(0.0, max(options, default=0.0))
        return self._best[state]


_Row: TypeAlias = tuple[int, int, int, list[list[float]]]
"""Place of an offer, its amount and loss, and its chances by tries so far and failures of its own."""
