"""Sweeps: runs with several jobs. Their optimal planner learns from every outcome, of which it sees several at once.

The state is how many jobs of this run have completed and failed at each vendor, with the tick. In a tick it begins a
batch, which the agent's own rules bound: so much money and so many tries are kept that each other job can be bought.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from math import comb, prod
from operator import ge, mul
from statistics import fmean
from typing import Any

from gpuagent.core.context import Context, Thought
from gpuagent.core.indices import tries_max
from gpuagent.core.model import Action, Decision
from gpuagent.planbench.generator.histories import ChancePosterior
from gpuagent.planbench.oracle import oracles
from gpuagent.planbench.paper.run import play_several
from gpuagent.planbench.play import LAMBDA, PlannerAnswer
from gpuagent.planbench.scenarios import EPOCH, Market, cost

DIGITS = 5
TIE = 1e-12

Counts = tuple[tuple[int, int], ...]
"""Completed and failed jobs of the run, by vendor."""
Batch = tuple[int, ...]
"""Jobs that are begun in a tick, by vendor."""


def sweep_bounds(market: Market, posteriors: Mapping[str, ChancePosterior]) -> dict[str, Any]:
    """The bounds of a market over its drawn outcomes: the oracle knows them, hindsight the vendors' true chances."""
    certain = {
        seller.vendor_id: ChancePosterior([(1.0, market.chance(seller.vendor_id, 0))]) for seller in market.sellers
    }
    return {
        **oracle_bounds(market),
        "hindsight": _means(_played(market, SweepPlanner(market, certain))),
        "bayes": _means(_played(market, SweepPlanner(market, posteriors))),
    }


def oracle_bounds(market: Market) -> dict[str, Any]:
    """The bound of a market whose jobs are late: the others would have to plan for what they wait for."""
    reached = [(float(bound.jobs_done == market.count), bound.jobs_done, bound.paid) for bound in oracles(market)]
    return {"oracle": _means(reached)}


def _played(market: Market, planner: "SweepPlanner") -> list[tuple[float, float, float]]:
    """What the planner gets on the drawn outcomes, which all planners are played with."""

    def ask(context: Context) -> PlannerAnswer:
        return PlannerAnswer(planner.decide(context).decision, 0)

    plays = [play_several(market, planner.name, ask, replicate) for replicate in range(market.replicates)]
    return [(play.complete, play.jobs_done, play.paid) for play in plays]


def _means(results: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    """A bound of results over replicates, each (complete, completed jobs, paid in atomic units)."""
    complete, jobs, paid = (fmean(values) for values in zip(*results, strict=True))
    return {"complete": round(complete, DIGITS), "spend": round(paid / 1e6, DIGITS), "jobs": round(jobs, DIGITS)}


class SweepPlanner:
    """The optimal planner of a sweep at constant prices: exact, by recursion over all outcomes of all batches."""

    name = "optimal-sweep"

    def __init__(self, market: Market, posteriors: Mapping[str, ChancePosterior]) -> None:
        self._market = market
        sellers = [seller for seller in market.sellers if market.gpu_type in seller.gpu_types]
        self._names = [seller.vendor_id for seller in sellers]
        self._amounts = [cost(seller.price, market.hours) for seller in sellers]
        self._posteriors = [posteriors[name] for name in self._names]
        self._batches = [
            (batch, sum(batch), sum(map(mul, batch, self._amounts)))
            for batch in product(range(market.at_once + 1), repeat=len(sellers))
            if sum(batch) <= market.at_once
        ]
        self._value, self._worth, self._share = cache(self._best), cache(self._expected), cache(self._evidence)

    @property
    def value(self) -> float:
        """The expected utility of the run, before it begins."""
        nothing = (0,) * len(self._names)
        return self._value(0, tuple((0, 0) for _ in nothing), nothing)[0]

    def decide(self, context: Context, objection: str = "") -> Thought:  # noqa: ARG002 - there is no better answer
        tick = round((context.now - EPOCH) / self._market.job_s)
        counts = tuple(
            (
                sum(job.in_run and job.vendor_id == name and job.succeeded for job in context.past),
                sum(job.in_run and job.vendor_id == name and not job.succeeded for job in context.past),
            )
            for name in self._names
        )
        candidates = {candidate.vendor_id: candidate.open_jobs for candidate in context.candidates}
        open_batch = tuple(candidates[name] for name in self._names)
        _, batch = self._value(tick, counts, open_batch)
        further = [place for place, count in enumerate(batch) if count > open_batch[place]]
        if further:
            return Thought(Decision(Action.START_JOB, "best", self._names[further[0]], context.hours))
        if any(open_batch):
            return Thought(Decision(Action.WAIT, "the others later", wait_until=context.now + context.job_s))
        return Thought(Decision(Action.ABORT, "nothing is to be gained"))

    def _best(self, tick: int, counts: Counts, open_batch: Batch) -> tuple[float, Batch]:
        """The value from here on, and the best batch of this tick that has what is open already."""
        best, best_value = open_batch, self._worth(tick, counts, open_batch)
        for batch in self._allowed(counts, open_batch):
            value = self._worth(tick, counts, batch)
            if value > best_value + TIE:
                best, best_value = batch, value
        return best_value, best

    def _expected(self, tick: int, counts: Counts, batch: Batch) -> float:
        """The value of a batch: what it costs, and what is reached by it and after it."""
        if not any(batch):
            return 0.0  # a tick without an open job brings no news
        market = self._market
        paid: int = sum(map(mul, batch, self._amounts))
        value = -LAMBDA * paid / market.budget
        for completed in product(*(range(size + 1) for size in batch)):
            after = tuple(
                (successes + more, failed + size - more)
                for (successes, failed), more, size in zip(counts, completed, batch, strict=True)
            )
            chance = prod(
                comb(size, more) * self._share(place, after[place]) / self._share(place, counts[place])
                for place, (size, more) in enumerate(zip(batch, completed, strict=True))
                if size
            )
            if not chance:
                continue  # what cannot have been seen teaches nothing
            later = self._value(tick + 1, after, (0,) * len(batch))[0] if self._goes_on(tick, after) else 0.0
            value += chance * (sum(completed) / market.count + later)
        return value

    def _goes_on(self, tick: int, counts: Counts) -> bool:
        return tick + 1 < self._market.ticks and sum(successes for successes, _ in counts) < self._market.count

    def _allowed(self, counts: Counts, open_batch: Batch) -> Iterator[Batch]:
        """The batches that the agent may begin: each job that is neither done nor open can still be bought."""
        market, cheapest = self._market, min(self._amounts)
        missing = market.count - sum(successes for successes, _ in counts)
        funds = market.budget - sum(amount * sum(ended) for amount, ended in zip(self._amounts, counts, strict=True))
        tries = tries_max(market.count) - sum(map(sum, counts))
        for batch, size, paid in self._batches:
            rest = missing - size
            if rest < 0 or paid + rest * cheapest > funds or size + rest > tries:
                continue
            if all(map(ge, batch, open_batch)):
                yield batch

    def _evidence(self, place: int, ended: tuple[int, int]) -> float:
        """The likelihood of so many completed and failed jobs of a vendor, in one order; not normed."""
        successes, failed = ended
        return sum(weight * p**successes * (1 - p) ** failed for weight, p in self._posteriors[place].cells)
