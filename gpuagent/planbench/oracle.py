"""The oracle: the most that a run with several jobs could reach on its drawn outcomes, by a buyer who knows them all.

It is held to the run's budget, count, at_once, deadline, tries and rule for hedges, and to no rule of prudence: the
agent keeps money for the jobs that are still to be bought, and buys nothing where they cannot all be completed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from gpuagent.core.indices import tries_max
from gpuagent.planbench.play import LAMBDA
from gpuagent.planbench.scenarios import Market, cost

TIE = 1e-12
NEVER = 10**9
"""A tick after every deadline."""


@dataclass(frozen=True, slots=True)
class Bound:
    """jobs_done: completed jobs of the best that can be reached; paid: what they cost then, in atomic units."""

    jobs_done: int
    paid: int

    def utility(self, market: Market) -> float:
        return self.jobs_done / market.count - LAMBDA * self.paid / market.budget


def oracle(market: Market, replicate: int) -> Bound:
    """The bound U* of a market with one replicate r of its outcomes.

    Let N be the run's count, k its at_once, B its budget, T its ticks, J = tries_max(N), and h the ticks after which a
    late job may be hedged; c(i,t) what vendor i asks at tick t for a job, and of its a-th job, if begun at t,
    x(i,a,t) in {0, 1} the outcome in r and l(i,a,t) >= 1 the ticks that it takes. A plan begins jobs, each at a vendor
    and a tick, either as the only open job of an index or as the hedge of one. The open jobs of an index are thus one
    or two. A job ends l ticks after it began: with x = 1 it completes its index and ends the other job of it; with
    x = 0 it leaves the other. With

        d(t)   indices that are completed by jobs that end at or before t
        o(t)   indices of which a job is open once the jobs of t are begun
        p(t)   sum of c over the jobs that are begun at or before t
        j(t)   their number

    the bound is

        U* = max over plans of  d(T)/N  -  (LAMBDA/B) p(T)

    where for every t < T

        o(t)  <=  min(k, N - d(t))          one place for each index that is missing: a hedge takes none
        p(t)  <=  B
        j(t)  <=  J

    and a job that began at u is hedged once at most, at another vendor, at a tick t >= u + 1 + h at which it is the
    only open job of its index. Without a rule for hedges none is.

    The maximum is exact, by recursion over the states (t, jobs begun at each i, d, B - p, open jobs).
    """
    return _Oracle(market, replicate).bound()


def oracles(market: Market) -> list[Bound]:
    """The oracle of each replicate of a market."""
    return [oracle(market, replicate) for replicate in range(market.replicates)]


class _OpenJob(NamedTuple):
    """An open job, as far as its future goes. ends: its last tick; all that end after the deadline are alike.

    hedged_from: the tick from which it may be hedged by a vendor but its own, which is at `place`; NEVER where it may
    not, and then its vendor is no matter.
    """

    ends: int
    succeeds: bool
    hedged_from: int
    place: int


_OpenIndex = tuple[_OpenJob, ...]
"""The open jobs of an index: one, or a late one and its hedge."""


class _PlanState(NamedTuple):
    """attempts: jobs begun at each vendor. indices: those with open jobs, in order, as they are all of one kind."""

    tick: int
    attempts: tuple[int, ...]
    done: int
    available: int
    indices: tuple[_OpenIndex, ...]


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
        self._value, self._job = cache(self._best), cache(self._new_job)

    def bound(self) -> Bound:
        return self._value(_PlanState(0, (0,) * len(self._names), 0, self._market.budget, ()))

    def _last_success(self, name: str) -> int:
        """The attempts at a vendor after which there are only failures."""
        if self._market.truth.index == "tick":
            return self._tries
        outcomes = [self._market.outcome(name, attempt, 0, self._replicate) for attempt in range(self._tries)]
        return max((attempt + 1 for attempt, success in enumerate(outcomes) if success), default=0)

    def _best(self, state: _PlanState) -> Bound:
        """The best from a state on: the indices that are completed after it, and what is paid in it and after it."""
        market = self._market
        if state.tick == market.ticks or state.done == market.count:
            return Bound(0, 0)
        best = self._later(state)
        best_value = best.utility(market)
        for amount, after in self._purchases(state):
            rest = self._value(after)
            total = Bound(rest.jobs_done, amount + rest.paid)
            if total.utility(market) > best_value + TIE:
                best, best_value = total, total.utility(market)
        return best

    def _later(self, state: _PlanState) -> Bound:
        """The best where no further job is begun in this tick."""
        tick, done, indices = state.tick + 1, state.done, []
        for jobs in state.indices:
            if any(job.ends <= tick and job.succeeds for job in jobs):
                done += 1
            elif still := tuple(job for job in jobs if job.ends > tick):
                indices.append(still)
        rest = self._value(_PlanState(tick, state.attempts, done, state.available, tuple(sorted(indices))))
        return Bound(done - state.done + rest.jobs_done, rest.paid)

    def _purchases(self, state: _PlanState) -> Iterator[tuple[int, _PlanState]]:
        """Every job that may be begun in a state: what it costs, and the state with it."""
        market = self._market
        if sum(state.attempts) == self._tries:
            return
        has_place = len(state.indices) < min(market.at_once, market.count - state.done)
        for place, amount in enumerate(self._amounts[state.tick]):
            attempt = state.attempts[place]
            if amount > state.available or attempt >= self._last[place]:
                continue
            attempts = (*state.attempts[:place], attempt + 1, *state.attempts[place + 1 :])
            job = self._job(place, attempt, state.tick)
            for indices in (*self._hedged(state, job, place), *([(*state.indices, (job,))] if has_place else [])):
                after = state._replace(
                    attempts=attempts, available=state.available - amount, indices=tuple(sorted(indices))
                )
                yield amount, after

    def _hedged(self, state: _PlanState, hedge: _OpenJob, place: int) -> Iterator[tuple[_OpenIndex, ...]]:
        """The open indices with the hedge of each job that is late, one after the other."""
        for number, (late, *pair) in enumerate(state.indices):
            if not pair and late.hedged_from <= state.tick and late.place != place:
                jobs = (late._replace(hedged_from=NEVER, place=-1), hedge)
                yield (*state.indices[:number], jobs, *state.indices[number + 1 :])

    def _new_job(self, place: int, attempt: int, tick: int) -> _OpenJob:
        market, name = self._market, self._names[place]
        ends = min(tick + market.ticks_of(name, attempt, tick, self._replicate), market.ticks + 1)
        succeeds = ends <= market.ticks and market.outcome(name, attempt, tick, self._replicate) == 1
        hedged_from = tick + 1 + market.hedge_after
        if not market.hedge_after or hedged_from >= min(ends, market.ticks):
            return _OpenJob(ends, succeeds, NEVER, -1)
        return _OpenJob(ends, succeeds, hedged_from, place)
