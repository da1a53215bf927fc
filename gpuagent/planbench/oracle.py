"""The oracle: the most that a run with several jobs could reach on its drawn outcomes, by a buyer who knows them all.

It is held to the run's budget, count, at_once, deadline and tries, and to no rule of prudence: the agent keeps money
for the jobs that are still to be bought, and buys nothing where they cannot all be completed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from gpuagent.core.indices import tries_max
from gpuagent.planbench.play import LAMBDA
from gpuagent.planbench.scenarios import Market, cost

TIE = 1e-12


@dataclass(frozen=True, slots=True)
class Bound:
    """jobs_done: completed jobs of the best that can be reached; paid: what they cost then, in atomic units."""

    jobs_done: int
    paid: int

    def utility(self, market: Market) -> float:
        return self.jobs_done / market.count - LAMBDA * self.paid / market.budget


def oracle(market: Market, replicate: int) -> Bound:
    """The bound U* of a market with one replicate r of its outcomes.

    Let N be the run's count, k its at_once, B its budget, T its ticks and J = tries_max(N); c(i,t) what vendor i asks
    at tick t for a job, and x(i,a,t) in {0, 1} the outcome in r of its a-th job, begun at t. A plan m begins
    m(i,t) >= 0 jobs at each vendor and tick. By what it has before t,

        a(i,t) = sum of m(i,u) over u < t                               attempts at i
        s(i,t) = sum of x(i, a(i,t) + j, t) over j < m(i,t)             jobs of tick t at i that complete
        d(t)   = sum of s(i,u) over i, u < t                            completed
        b(t)   = B - sum of c(i,u) m(i,u) over i, u < t                 left of the budget

    the bound is, over all i and t = 0 .. T-1,

        U* = max over m of  (1/N) sum of s(i,t)  -  (LAMBDA/B) sum of c(i,t) m(i,t)

    where for every t

        sum of m(i,t) over i          <=  min(k, N - d(t))              one open job for each index that is missing
        sum of c(i,t) m(i,t) over i   <=  b(t)
        sum of m(i,u) over i, u <= t  <=  J

    The maximum is exact, by recursion over the states (t, a, d, b).
    """
    return _Oracle(market, replicate).bound()


def oracles(market: Market) -> list[Bound]:
    """The oracle of each replicate of a market."""
    return [oracle(market, replicate) for replicate in range(market.replicates)]


class _Oracle:
    """The recursion. Vendors without the GPU, and attempts after a vendor's last success, are left out."""

    def __init__(self, market: Market, replicate: int) -> None:
        self._market, self._replicate = market, replicate
        sellers = [seller for seller in market.sellers if market.gpu_type in seller.gpu_types]
        self._names = [seller.vendor_id for seller in sellers]
        self._amounts = [
            [cost(market.price(seller, tick), market.hours) for seller in sellers] for tick in range(market.ticks)
        ]
        self._tries = tries_max(market.count)
        self._last = [self._last_success(name) for name in self._names]
        self._value = cache(self._best)

    def bound(self) -> Bound:
        return self._value(0, (0,) * len(self._names), 0, self._market.budget)

    def _last_success(self, name: str) -> int:
        """The attempts at a vendor after which there are only failures."""
        if self._market.truth.index == "tick":
            return self._tries
        outcomes = [self._outcome(name, attempt, 0) for attempt in range(self._tries)]
        return max((attempt + 1 for attempt, success in enumerate(outcomes) if success), default=0)

    def _outcome(self, name: str, attempt: int, tick: int) -> int:
        return int(self._market.outcome(name, attempt, tick, self._replicate))

    def _best(self, tick: int, attempts: tuple[int, ...], done: int, available: int) -> Bound:
        """The best from here on: completed jobs and payments of this tick and later."""
        market = self._market
        if tick == market.ticks or done == market.count:
            return Bound(0, 0)
        room = min(market.at_once, market.count - done, self._tries - sum(attempts))
        best, best_value = Bound(0, 0), 0.0
        for batch, paid in self._batches(self._amounts[tick], attempts, room, available):
            completed = sum(
                self._outcome(name, attempt + number, tick)
                for name, attempt, count in zip(self._names, attempts, batch, strict=True)
                for number in range(count)
            )
            after = tuple(attempt + count for attempt, count in zip(attempts, batch, strict=True))
            later = self._value(tick + 1, after, done + completed, available - paid)
            total = Bound(completed + later.jobs_done, paid + later.paid)
            if total.utility(market) > best_value + TIE:
                best, best_value = total, total.utility(market)
        return best

    def _batches(
        self, amounts: Sequence[int], attempts: Sequence[int], room: int, available: int, place: int = 0
    ) -> Iterator[tuple[tuple[int, ...], int]]:
        """Every way to begin at most `room` jobs at the vendors from a place on, and what it costs."""
        if place == len(amounts):
            yield (), 0
            return
        most = min(room, self._last[place] - attempts[place], available // amounts[place])
        for count in range(max(most, 0) + 1):
            paid = count * amounts[place]
            for rest, rest_paid in self._batches(amounts, attempts, room - count, available - paid, place + 1):
                yield (count, *rest), paid + rest_paid
