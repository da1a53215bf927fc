"""Correlated outages: vendors of one data centre fail together, unannounced; the optimal planner filters outcomes."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from gpuagent.core.context import Context, Thought
from gpuagent.core.model import Action, Decision
from gpuagent.planbench.generator.families import MarketMaker
from gpuagent.planbench.generator.histories import GAP, job_order, past_job
from gpuagent.planbench.play import LAMBDA
from gpuagent.planbench.scenarios import EPOCH, Market, cost

ENTER, EXIT = 0.06, 0.25
"""The chances per tick that a centre goes down, and that it comes back."""
DOWN = ENTER / (ENTER + EXIT)
"""The share of time that a centre is down, in the long run."""
GROUPS = 2


@dataclass(frozen=True, slots=True)
class Outage:
    """A drawn outage market. groups: the data centre of each vendor. down: the centres' state after the history."""

    history: list[dict[str, Any]]
    groups: Mapping[str, int]
    chances: Mapping[str, float]
    down: tuple[bool, ...]
    ticks: int

    @property
    def document(self) -> dict[str, Any]:
        return {"group": dict(self.groups), "enter": ENTER, "exit": EXIT, "pBase": dict(self.chances)}

    @property
    def belief(self) -> "OutageBelief":
        start = (DOWN,) * GROUPS
        before = 0
        for job in self.history:
            start = _after_ticks(start, job["tick"] - before) if before else start
            before = job["tick"]
            start = _after_outcome(
                start, self.groups[job["vendorId"]], self.chances[job["vendorId"]], job["status"] != "failed"
            )
        return OutageBelief(self.groups, self.chances, _after_ticks(start, -before))

    def path(self, dice: random.Random) -> dict[str, list[float]]:
        """The chance of every vendor at every tick of the run, 0 while its centre is down; another path each time."""
        down, centres = list(self.down), []
        for _ in range(self.ticks):
            down = [_next(dice, state) for state in down]
            centres.append(tuple(down))
        return {
            name: [0.0 if states[self.groups[name]] else chance for states in centres]
            for name, chance in self.chances.items()
        }


def draw_outage(maker: MarketMaker) -> Outage:
    order = job_order(maker)
    groups = {vendor.name: number % GROUPS for number, vendor in enumerate(maker.vendors)}
    down = [maker.dice.random() < DOWN for _ in range(GROUPS)]
    history = []
    for number, vendor in enumerate(order):
        for _ in range(GAP):
            down = [_next(maker.dice, state) for state in down]
        succeeded = not down[groups[vendor.name]] and maker.dice.random() < vendor.chance
        history.append(past_job(vendor, succeeded, vendor.price, maker.hours, -GAP * (len(order) - number)))
    for _ in range(GAP - 1):  # the run's own path makes the last step to tick 0
        down = [_next(maker.dice, state) for state in down]
    return Outage(history, groups, {vendor.name: vendor.chance for vendor in maker.vendors}, tuple(down), maker.ticks)


@dataclass(frozen=True, slots=True)
class OutageBelief:
    """The filter's state at tick 0. down: the chance of each centre to be down, after the history."""

    groups: Mapping[str, int]
    chances: Mapping[str, float]
    down: tuple[float, ...]

    def planner(self, market: Market) -> "OutagePlanner":
        return OutagePlanner(market, self)


class OutagePlanner:
    """The optimal planner of an outage market: exact, by recursion over all tries; the filter is in its state."""

    name = "optimal-outage"

    def __init__(self, market: Market, belief: OutageBelief) -> None:
        self._market, self._belief = market, belief
        self._sellers = [seller for seller in market.sellers if market.gpu_type in seller.gpu_types]
        self._amounts = [cost(seller.price, market.hours) for seller in self._sellers]
        self._value = cache(self._best)

    def decide(self, context: Context, objection: str = "") -> Thought:  # noqa: ARG002 - there is no better answer
        tick = round((context.now - EPOCH) / context.job_s)
        down, before = self._belief.down, 0
        for job in context.past:
            if job.in_run:
                at = round((job.started_at - EPOCH) / context.job_s)
                down = self._after_failure(_after_ticks(down, at - before), job.vendor_id)
                before = at
        _, choice = self._value(tick, context.available, _after_ticks(down, tick - before))
        if choice is None:
            return Thought(Decision(Action.ABORT, "nothing is to be gained"))
        if choice < 0:
            return Thought(Decision(Action.WAIT, "better later", wait_until=context.now + context.job_s))
        return Thought(Decision(Action.START_JOB, "best", self._sellers[choice].vendor_id, context.hours))

    def _best(self, tick: int, available: int, down: tuple[float, ...]) -> tuple[float, int | None]:
        """The value from here on, and the seller to try: -1 to wait, None to give up."""
        if tick == self._market.ticks:
            return 0.0, None
        best: tuple[float, int | None] = (0.0, None)
        for number, seller in enumerate(self._sellers):
            amount, name = self._amounts[number], seller.vendor_id
            if amount > available:
                continue
            success = (1 - down[self._belief.groups[name]]) * self._belief.chances[name]
            loss = amount - round(amount * seller.refund)
            value = success - LAMBDA * (success * amount + (1 - success) * loss) / self._market.budget
            later = _after_ticks(self._after_failure(down, name), 1)
            value += (1 - success) * self._value(tick + 1, available - loss, later)[0]
            if value > best[0] + 1e-12:
                best = value, number
        wait_value = self._value(tick + 1, available, _after_ticks(down, 1))[0]
        return (wait_value, -1) if wait_value > best[0] + 1e-12 else best

    def _after_failure(self, down: tuple[float, ...], name: str) -> tuple[float, ...]:
        return _after_outcome(down, self._belief.groups[name], self._belief.chances[name], succeeded=False)


def _next(dice: random.Random, down: bool) -> bool:
    return dice.random() >= EXIT if down else dice.random() < ENTER


def _after_ticks(down: Sequence[float], ticks: int) -> tuple[float, ...]:
    """The filter's state, so many ticks later."""
    return tuple(DOWN + (chance - DOWN) * (1 - ENTER - EXIT) ** ticks for chance in down)


def _after_outcome(down: tuple[float, ...], group: int, chance: float, succeeded: bool) -> tuple[float, ...]:
    """The filter's state after a job at a centre. A success says that the centre is up."""
    fails = down[group] + (1 - down[group]) * (1 - chance)
    after = 0.0 if succeeded else down[group] / fails if fails else 0.0
    return (*down[:group], after, *down[group + 1 :])
