"""Bounds: the optimal planner of one market, which knows more than any planner may. Exact, by recursion over all tries.

The state is the failures so far in this run, by vendor, with the tick and the price regime; unknown prices follow a
Markov chain.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from gpuagent.core.context import Context, Thought
from gpuagent.core.model import Action, Decision
from gpuagent.planbench.play import LAMBDA
from gpuagent.planbench.scenarios import EPOCH, Market, cost

Chances = Callable[[str, int, int], float]
Transitions = Sequence[tuple[float, int]]
"""The next regimes, each as (chance, regime)."""


@dataclass(frozen=True, slots=True)
class PriceRegimes:
    """Prices that jump between regimes 0 and 1: at[t] is the regime of tick t, prices[r][i] in atomic units per job."""

    at: Sequence[int]
    prices: Sequence[Sequence[int]]
    enter: float = 0.0
    exit: float = 0.0

    def follow(self, regime: int) -> Transitions:
        """The next regime, as far as a planner can know it."""
        leave = self.exit if regime else self.enter
        return ((1 - leave, regime), (leave, 1 - regime)) if leave else ((1.0, regime),)


class OptimalPlanner:
    """The optimal planner of one market. regimes: the price chain; None where prices are known in advance."""

    name = "optimal"

    def __init__(self, market: Market, chance: Chances, regimes: PriceRegimes | None = None) -> None:
        self._market = market
        self._sellers = [seller for seller in market.sellers if market.gpu_type in seller.gpu_types]
        self._regimes = regimes or self._known_prices()
        self._chance = chance
        self._value = cache(self._best)

    def decide(self, context: Context, objection: str = "") -> Thought:  # noqa: ARG002 - there is no better answer
        tick = round((context.now - EPOCH) / context.job_s)
        failures = tuple(
            sum(1 for job in context.past if job.in_run and job.vendor_id == seller.vendor_id)
            for seller in self._sellers
        )
        value, choice = self._value(tick, failures, context.available, self._regimes.at[tick])
        if choice is None:
            return Thought(Decision(Action.ABORT, "nothing is to be gained"))
        if choice < 0:
            return Thought(Decision(Action.WAIT, "better later", wait_until=context.now + context.job_s))
        vendor_id = self._sellers[choice].vendor_id
        return Thought(Decision(Action.START_JOB, f"value {value:.4f}", vendor_id, context.hours))

    def _known_prices(self) -> PriceRegimes:
        """Prices known in advance: every tick is a regime, followed by the next with certainty."""
        market = self._market
        prices = [
            [cost(market.price(seller, t), market.hours) for seller in self._sellers] for t in range(market.ticks)
        ]
        return _KnownPrices(range(market.ticks), prices)

    def _best(self, tick: int, failures: tuple[int, ...], available: int, regime: int) -> tuple[float, int | None]:
        """The value from here on, and the seller to try: -1 to wait, None to give up."""
        market = self._market
        if tick == market.ticks:
            return 0.0, None
        best: tuple[float, int | None] = (0.0, None)
        for number, seller in enumerate(self._sellers):
            amount = self._regimes.prices[regime][number]
            if amount > available:
                continue
            success = self._chance(seller.vendor_id, failures[number], tick)
            loss = amount - round(amount * market.refund(seller, tick))
            spent = success * amount + (1 - success) * loss
            after = (*failures[:number], failures[number] + 1, *failures[number + 1 :])
            value = success - LAMBDA * spent / market.budget
            if success < 1:
                value += (1 - success) * self._later(tick + 1, after, available - loss, regime)
            if value > best[0] + 1e-12:
                best = value, number
        wait_value = self._later(tick + 1, failures, available, regime) if self._market_changes() else 0.0
        return (wait_value, -1) if wait_value > best[0] + 1e-12 else best

    def _later(self, tick: int, failures: tuple[int, ...], available: int, regime: int) -> float:
        if tick == self._market.ticks:
            return 0.0
        follow = self._regimes.follow(regime)
        return sum(share * self._value(tick, failures, available, following)[0] for share, following in follow)

    def _market_changes(self) -> bool:
        """Whether waiting can change chances or prices."""
        truth = self._market.truth
        return bool(truth.price) or truth.index == "tick" or bool(truth.refund)


class _KnownPrices(PriceRegimes):
    def follow(self, regime: int) -> Transitions:
        return ((1.0, regime + 1),)
