"""The value of every sequence of tries that a budget allows, when each may fail. Pure.

While a run is not done, all that can have happened in it is failures, so a plan is a sequence of vendors and its state
how often each was tried. The value is exact for any beliefs that are independent of each other;
docs/how-it-chooses.md says more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import NamedTuple

from gpuagent.core.belief import recovery

SPENDING_WEIGHT = 0.01
"""The cost of spending the whole budget, in chances of completion: enough to break ties."""
DEPTH = 8
"""The longest plan, in tries."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A vendor that may be tried. Amounts in atomic units; loss: what a try costs that fails.

    chances: of success of a try, after 0, 1, ... DEPTH more failures. failed_ago: job lengths since the vendor's last
    job began, where that one failed.
    """

    vendor_id: str
    amount: int
    loss: int
    chances: tuple[float, ...]
    failed_ago: float | None = None

    def chance(self, failures: int, later: float) -> float:
        """The chance of a try that begins so many job lengths from now. The clock holds no retry in a plan back."""
        if failures or self.failed_ago is None:
            return self.chances[failures]
        return self.chances[0] * recovery(self.failed_ago + later)

    @property
    def density(self) -> float:
        """The doubt that a unit of money removes: offers are compared by it."""
        return -log(1 - min(self.chance(0, 0), 1 - 1e-12)) / max(self.amount, 1)


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a plan, made if all before it failed. chance: that it succeeds then."""

    offer: Offer
    chance: float


def values(offers: Sequence[Offer], available: int, budget: int, tries: int, waited: int = 0) -> list[float]:
    """The utility of beginning with each offer and going on as well as can be; 0 where it cannot be begun.

    Utility is the chance of completion less SPENDING_WEIGHT times the expected share of the budget that is spent.
    tries: how many remain at most; waited: job lengths that pass first. Every try takes one.
    """
    return _Lattice(offers, budget, tries, waited).values(available)


def best_plan(offers: Sequence[Offer], available: int, budget: int, tries: int, first: Offer) -> list[Try]:
    """The best sequence of tries that begins with an offer, each made if all before it failed."""
    return _Lattice(offers, budget, tries, 0).plan(available, offers.index(first))


class _Row(NamedTuple):
    """An offer in the lattice. unit: of its digit in a state; chances: by depth and failures of its own."""

    offer: Offer
    unit: int
    chances: list[list[float]]


class _Lattice:
    """All states of a plan, which are how often each vendor was tried in vain, with the best value in each.

    A state is one number, with the tries of each vendor as its digits.
    """

    def __init__(self, offers: Sequence[Offer], budget: int, tries: int, waited: int) -> None:
        self._budget, self._tries = budget, min(tries, DEPTH)
        self._rows = [
            _Row(
                offer,
                int((DEPTH + 1) ** place),
                [[offer.chance(k, waited + d) for k in range(d + 1)] for d in range(self._tries)],
            )
            for place, offer in enumerate(offers)
        ]
        self._best: dict[int, float] = {}

    def values(self, available: int) -> list[float]:
        startable = self._tries > 0
        return [
            self._begin(row, 0, 0, available) if startable and row.offer.amount <= available else 0.0
            for row in self._rows
        ]

    def plan(self, available: int, place: int) -> list[Try]:
        """The best sequence of tries that begins with the offer at a place."""
        plan: list[Try] = []
        state, row = 0, self._rows[place]
        while True:
            plan.append(Try(row.offer, _chance(row, state, len(plan))))
            state += row.unit
            available -= row.offer.loss
            if len(plan) >= self._tries:
                return plan
            options = [
                (self._begin(row, state, len(plan), available), row)
                for row in self._rows
                if row.offer.amount <= available
            ]
            value, row = max(options, key=lambda option: option[0], default=(0.0, row))
            if value <= 0:
                return plan

    def _begin(self, row: _Row, state: int, depth: int, money: int) -> float:
        """The value of trying the row's vendor in a state, with so much money."""
        chance = _chance(row, state, depth)
        spent = row.offer.loss + chance * (row.offer.amount - row.offer.loss)
        later = self._value(state + row.unit, depth + 1, money - row.offer.loss)
        return chance - SPENDING_WEIGHT * spent / self._budget + (1 - chance) * later

    def _value(self, state: int, depth: int, money: int) -> float:
        """The best value in a state. What money is left follows from the state."""
        if depth >= self._tries:
            return 0.0
        if state not in self._best:
            options = (self._begin(row, state, depth, money) for row in self._rows if row.offer.amount <= money)
            self._best[state] = max(0.0, max(options, default=0.0))
        return self._best[state]


def _chance(row: _Row, state: int, depth: int) -> float:
    failures = state // row.unit % (DEPTH + 1)
    return row.chances[depth][failures]
