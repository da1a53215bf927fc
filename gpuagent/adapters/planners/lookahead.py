"""The planner's optimum, pure: which sequence of tries is worth most, when every try so far may fail.

While a run is not done, all that can have happened in it is failures, so a plan is a sequence of vendors and its state
how often each was tried. f is exact for any beliefs that are independent of each other; README, How it chooses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

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


def values(offers: Sequence[Offer], available: int, budget: int, tries: int, waited: int = 0) -> list[float]:
    """For each offer, the utility of beginning with it and going on as well as can be; 0 where it cannot be begun.

    Utility is the chance of completion less SPENDING times the expected share of the budget that is spent. tries: how
    many are left at most; waited: job lengths that pass first. Every try takes one.
    """
    tries = min(tries, DEPTH)
    # How often each was tried, as the digits of one number.
    units = [int((DEPTH + 1) ** place) for place in range(len(offers))]
    rows = [
        (place, offer.amount, offer.loss, [[offer.chance(k, waited + d) for k in range(d + 1)] for d in range(tries)])
        for place, offer in enumerate(offers)
    ]
    best: dict[int, float] = {}

    def begin(row: tuple[int, int, int, list[list[float]]], tried: int, depth: int, left: int) -> float:
        place, amount, loss, chances = row
        chance = chances[depth][tried // units[place] % (DEPTH + 1)]
        spent = loss + chance * (amount - loss)
        return chance - SPENDING * spent / budget + (1 - chance) * f(tried + units[place], depth + 1, left - loss)

    def f(tried: int, depth: int, left: int) -> float:
        if depth >= tries:
            return 0.0
        if tried not in best:  # what is left follows from what was tried
            best[tried] = max((begin(row, tried, depth, left) for row in rows if row[1] <= left), default=0.0)
            best[tried] = max(best[tried], 0.0)
        return best[tried]

    return [begin(row, 0, 0, available) if row[1] <= available and tries > 0 else 0.0 for row in rows]
