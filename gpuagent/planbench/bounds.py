"""The bounds: what the best planner does that knows more than any planner may. Exact, by recursion over all tries.

With chances that depend on the failures so far in this run, f of planner.md is the optimum; ticks and prices per tick
are added to its state, and what a price will be is told by a chain where it is not known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from gpuagent.core.context import Context, Thought
from gpuagent.core.model import Action, Decision
from gpuagent.planbench.play import LAMBDA
from gpuagent.planbench.scenarios import EPOCH, Market, cost

Chances = Callable[[str, int, int], float]
Next = Sequence[tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Regimes:
    """Prices that jump between regimes 0 and 1: at[t] is the regime of a tick, prices[r][i] atomic units per job."""

    at: Sequence[int]
    prices: Sequence[Sequence[int]]
    enter: float = 0.0
    exit: float = 0.0

    def follow(self, regime: int) -> Next:
        """The next regime's chances, as far as a planner can know."""
        leave = self.exit if regime else self.enter
        return ((1 - leave, regime), (leave, 1 - regime)) if leave else ((1.0, regime),)


class Optimal:
    """Plays one market, knowing `chance`(vendor_id, failures here in this run, tick); and the price chain, if any."""

    name = "optimal"

    def __init__(self, market: Market, chance: Chances, regimes: Regimes | None = None) -> None:
        self._market = market
        self._sellers = [one for one in market.sellers if market.gpu_type in one.gpu_types]
        self._regimes = regimes or self._known_prices()
        self._chance = chance
        self._value = cache(self._best)

    def decide(self, context: Context, objection: str = "") -> Thought:  # noqa: ARG002 - there is no better one
        tick = round((context.now - EPOCH) / context.job_s)
        failures = tuple(
            sum(1 for job in context.past if job.in_run and job.vendor_id == one.vendor_id) for one in self._sellers
        )
        value, choice = self._value(tick, failures, context.available, self._regimes.at[tick])
        if choice is None:
            return Thought(Decision(Action.ABORT, "nothing is to be gained"))
        if choice < 0:
            return Thought(Decision(Action.WAIT, "better later", wait_until=context.now + context.job_s))
        vendor_id = self._sellers[choice].vendor_id
        return Thought(Decision(Action.START_JOB, f"value {value:.4f}", vendor_id, context.hours))

    def _known_prices(self) -> Regimes:
        """Every tick is a regime of its own that surely follows the one before."""
        market = self._market
        paths = [[cost(market.price(one, t), market.hours) for one in self._sellers] for t in range(market.ticks)]
        return Known(range(market.ticks), paths)

    def _best(self, tick: int, failures: tuple[int, ...], left: int, regime: int) -> tuple[float, int | None]:
        """The value from here on, and the seller to try: -1 to wait, None to give up."""
        market = self._market
        if tick == market.ticks:
            return 0.0, None
        best: tuple[float, int | None] = (0.0, None)
        for number, seller in enumerate(self._sellers):
            amount = self._regimes.prices[regime][number]
            if amount > left:
                continue
            success = self._chance(seller.vendor_id, failures[number], tick)
            loss = amount - round(amount * market.refund(seller, tick))
            spent = success * amount + (1 - success) * loss
            after = (*failures[:number], failures[number] + 1, *failures[number + 1 :])
            value = success - LAMBDA * spent / market.budget
            if success < 1:
                value += (1 - success) * self._later(tick + 1, after, left - loss, regime)
            if value > best[0] + 1e-12:
                best = value, number
        waited = self._later(tick + 1, failures, left, regime) if self._changes() else 0.0
        return (waited, -1) if waited > best[0] + 1e-12 else best

    def _later(self, tick: int, failures: tuple[int, ...], left: int, regime: int) -> float:
        if tick == self._market.ticks:
            return 0.0
        follow = self._regimes.follow(regime)
        return sum(share * self._value(tick, failures, left, following)[0] for share, following in follow)

    def _changes(self) -> bool:
        """False where waiting can change nothing: chances and prices stay."""
        truth = self._market.truth
        return bool(truth.price) or truth.index == "tick" or bool(truth.refund)


class Known(Regimes):
    def follow(self, regime: int) -> Next:
        return ((1.0, regime + 1),)
