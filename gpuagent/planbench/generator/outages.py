"""Correlated outages: vendors of one data centre fail together, and nobody says so. Bayes filters what it sees."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from gpuagent.core.context import Context, Thought
from gpuagent.core.model import Action, Decision
from gpuagent.planbench.generator.families import Maker
from gpuagent.planbench.generator.histories import GAP, past_job
from gpuagent.planbench.play import LAMBDA
from gpuagent.planbench.scenarios import EPOCH, Market, cost

ENTER, EXIT = 0.06, 0.25
"""The chances per tick that a centre goes down, and that it comes back."""
DOWN = ENTER / (ENTER + EXIT)
"""How often a centre is down, in the long run."""
GROUPS = 2


@dataclass(frozen=True, slots=True)
class Outage:
    """A drawn market: its history, and how to draw what comes after it."""

    history: list[dict[str, Any]]
    groups: Mapping[str, int]
    chances: Mapping[str, float]
    down: tuple[bool, ...]
    ticks: int

    @property
    def told(self) -> dict[str, Any]:
        return {"group": dict(self.groups), "enter": ENTER, "exit": EXIT, "pBase": dict(self.chances)}

    @property
    def belief(self) -> "OutageBelief":
        start = (DOWN,) * GROUPS
        before = 0
        for job in self.history:
            start = _passed(start, job["tick"] - before) if before else start
            before = job["tick"]
            start = _seen(start, self.groups[job["vendorId"]], self.chances[job["vendorId"]], job["status"] != "failed")
        return OutageBelief(self.groups, self.chances, _passed(start, -before))

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


def draw_outage(maker: Maker) -> Outage:
    order = [one for one in maker.vendors for _ in range(one.jobs)]
    maker.dice.shuffle(order)
    groups = {one.name: number % GROUPS for number, one in enumerate(maker.vendors)}
    down = [maker.dice.random() < DOWN for _ in range(GROUPS)]
    history = []
    for number, one in enumerate(order):
        for _ in range(GAP):
            down = [_next(maker.dice, state) for state in down]
        succeeded = not down[groups[one.name]] and maker.dice.random() < one.chance
        history.append(past_job(one, succeeded, one.price, maker.hours, -GAP * (len(order) - number)))
    for _ in range(GAP - 1):  # the run's own path makes the last step to tick 0
        down = [_next(maker.dice, state) for state in down]
    return Outage(history, groups, {one.name: one.chance for one in maker.vendors}, tuple(down), maker.ticks)


@dataclass(frozen=True, slots=True)
class OutageBelief:
    """down: how likely each centre is down at tick 0, after the history."""

    groups: Mapping[str, int]
    chances: Mapping[str, float]
    down: tuple[float, ...]

    def planner(self, market: Market) -> "Watching":
        return Watching(market, self)


class Watching:
    """The optimum of an outage market: exact, by recursion over what may be tried when; the filter is in its state."""

    name = "watching"

    def __init__(self, market: Market, belief: OutageBelief) -> None:
        self._market, self._belief = market, belief
        self._sellers = [one for one in market.sellers if market.gpu_type in one.gpu_types]
        self._amounts = [cost(one.price, market.hours) for one in self._sellers]
        self._value = cache(self._best)

    def decide(self, context: Context, objection: str = "") -> Thought:  # noqa: ARG002 - there is no better one
        tick, down, before = round((context.now - EPOCH) / context.job_s), self._belief.down, 0
        for job in context.past:
            if job.in_run:
                at = round((job.started_at - EPOCH) / context.job_s)
                down, before = _passed(down, at - before), at
                down = self._failed(down, job.vendor_id)
        _, choice = self._value(tick, context.available, _passed(down, tick - before))
        if choice is None:
            return Thought(Decision(Action.ABORT, "nothing is to be gained"))
        if choice < 0:
            return Thought(Decision(Action.WAIT, "better later", wait_until=context.now + context.job_s))
        return Thought(Decision(Action.START_JOB, "best", self._sellers[choice].vendor_id, context.hours))

    def _best(self, tick: int, left: int, down: tuple[float, ...]) -> tuple[float, int | None]:
        """The value from here on, and the seller to try: -1 to wait, None to give up."""
        if tick == self._market.ticks:
            return 0.0, None
        best: tuple[float, int | None] = (0.0, None)
        for number, seller in enumerate(self._sellers):
            amount, name = self._amounts[number], seller.vendor_id
            if amount > left:
                continue
            success = (1 - down[self._belief.groups[name]]) * self._belief.chances[name]
            loss = amount - round(amount * seller.refund)
            value = success - LAMBDA * (success * amount + (1 - success) * loss) / self._market.budget
            later = _passed(self._failed(down, name), 1)
            value += (1 - success) * self._value(tick + 1, left - loss, later)[0]
            if value > best[0] + 1e-12:
                best = value, number
        waited = self._value(tick + 1, left, _passed(down, 1))[0]
        return (waited, -1) if waited > best[0] + 1e-12 else best

    def _failed(self, down: tuple[float, ...], name: str) -> tuple[float, ...]:
        return _seen(down, self._belief.groups[name], self._belief.chances[name], succeeded=False)


def _next(dice: random.Random, down: bool) -> bool:
    return dice.random() >= EXIT if down else dice.random() < ENTER


def _passed(down: Sequence[float], ticks: int) -> tuple[float, ...]:
    """The filter, so many ticks later."""
    return tuple(DOWN + (chance - DOWN) * (1 - ENTER - EXIT) ** ticks for chance in down)


def _seen(down: tuple[float, ...], group: int, chance: float, succeeded: bool) -> tuple[float, ...]:
    """The filter, after a job of that centre. A success says that it is up."""
    fails = down[group] + (1 - down[group]) * (1 - chance)
    after = 0.0 if succeeded else down[group] / fails if fails else 0.0
    return (*down[:group], after, *down[group + 1 :])
