"""Comparison of planners over the same scenarios, and an upper estimate of its cost."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from gpuagent.core.context import Context
from gpuagent.core.indices import tries_max
from gpuagent.errors import BadInput
from gpuagent.planbench.answers import LimitReached, PlannerClient, Priced
from gpuagent.planbench.paper.run import play_several
from gpuagent.planbench.play import PlannerAnswer, Play, digest, play_exact, play_posterior, play_sampled
from gpuagent.planbench.scenarios import EPOCH, Market, atomic

MODES = ("exact", "posterior", "sampled")
BAYES = "bayes"
ORACLE = "oracle"
BOUNDS = (BAYES, "clairvoyant", "hindsight", ORACLE)
"""Results in the files of planners that know more: the generator; also the vendors' true chances; also the future; and,
of runs with several jobs, each drawn outcome (oracle.py)."""

Scenario = Sequence[Market]
OnProgress = Callable[[str, int, int], None]
"""Called with (planner, scenarios played, scenarios in all) as the comparison goes on."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The plays of planners and bounds. stopped: why the comparison ended early, or ""."""

    mode: str
    plays: tuple[Play, ...]
    stopped: str = ""

    def planners(self) -> list[str]:
        return list(dict.fromkeys(play.planner for play in self.plays))


def compare(
    scenarios: Sequence[Scenario],
    clients: Sequence[PlannerClient],
    mode: str,
    on_progress: OnProgress | None = None,
    executor: Executor | None = None,
) -> Comparison:
    """Plays every scenario with every planner. Raises BadInput.

    executor: plays scenarios at once, of planners that charge nothing, with the same result but for their times.
    LimitReached ends it with the plays so far: a client raises it at its spending limit, on_progress to stop.
    """
    if mode not in MODES:
        raise BadInput(f"no mode {mode!r}: write one of {', '.join(MODES)}")
    if executor and any(isinstance(client.planner, Priced) for client in clients):
        raise BadInput("planners that charge are played on this machine, where their answers and the limit are kept")
    plays: list[Play] = [play for scenario in scenarios for market in scenario for play in _bounds(market, mode)]
    given = {
        (client.planner.name, number): executor.submit(_play_scenario, scenario, client, mode)
        for client in clients
        for number, scenario in enumerate(scenarios)
        if executor
    }
    for client in clients:
        for number, scenario in enumerate(scenarios):
            try:
                if on_progress:
                    on_progress(client.planner.name, number, len(scenarios))
                there = given.get((client.planner.name, number))
                plays += there.result() if there else _play_scenario(scenario, client, mode)
            except LimitReached as limit:
                for future in given.values():
                    future.cancel()
                return Comparison(mode, tuple(plays), str(limit))
        if on_progress:
            on_progress(client.planner.name, len(scenarios), len(scenarios))
    return Comparison(mode, tuple(plays))


def _play_scenario(scenario: Scenario, client: PlannerClient, mode: str) -> list[Play]:
    return [play for market in scenario for play in _play(market, client, mode)]


def _play(market: Market, client: PlannerClient, mode: str) -> Iterator[Play]:
    name = client.planner.name
    if market.count > 1:
        yield from (play_several(market, name, client, replicate) for replicate in range(market.replicates))
    elif mode == "sampled":
        yield from (play_sampled(market, name, client, replicate) for replicate in range(market.replicates))
    else:
        yield (play_exact if mode == "exact" else play_posterior)(market, name, client)


def _bounds(market: Market, mode: str) -> Iterator[Play]:
    """The bounds as plays. They hold for expectations, so they stand beside sampled play too, without its luck.

    Those of runs with several jobs are means over the drawn outcomes, which every mode plays.
    """
    redrawn = mode == "posterior" and market.count == 1
    for name in BOUNDS:
        if name not in market.bounds or (redrawn and name != BAYES):
            continue  # a bound that knows the drawn chances means nothing once they are drawn again
        bound = market.bounds[name]
        complete, spend = bound.complete, bound.spend
        if redrawn and bound.complete_post is not None and bound.spend_post is not None:
            complete, spend = bound.complete_post, bound.spend_post
        yield Play(
            scenario=market.scenario,
            variant=market.variant,
            replicate=0,
            family=market.family,
            planner=name,
            complete=complete,
            spend=atomic(spend) / market.budget,
            jobs=market.count,
            jobs_done=complete if bound.jobs is None else bound.jobs,
            budget=market.budget,
        )


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The most questions to a planner that charges, and the most they cost (atomic units)."""

    planner: str
    calls: int
    amount: int


def estimate(scenarios: Iterable[Scenario], client: PlannerClient) -> CostEstimate | None:
    """The most that a comparison can cost, None for a free planner. Cached answers cost nothing.

    Of a run with one job replicates share one path of contexts, and so do variants that look alike.
    """
    if not isinstance(client.planner, Priced):
        return None
    open_ends: dict[str, tuple[Context, int]] = {}
    for scenario in scenarios:
        for market in scenario:
            for number, end in enumerate(_open_ends(market, client)):
                # Plays of several jobs share contexts for a while only: each may part from the others at once.
                key = digest(end[0]) + (f" {market.variant} {number}" if market.count > 1 else "")
                open_ends[key] = end
    price, questions = client.planner.price, client.questions_max
    return CostEstimate(
        client.planner.name,
        questions * sum(decisions for _, decisions in open_ends.values()),
        questions * sum(decisions * price(context) for context, decisions in open_ends.values()),
    )


def _open_ends(market: Market, client: PlannerClient) -> Iterator[tuple[Context, int]]:
    """Of every path that is played, the first context without a cached answer, with the most decisions from there."""

    def cached_answer(context: Context) -> PlannerAnswer:
        answer = client.cached_answer(context)
        if answer is None:
            raise _Uncached(context)
        return answer

    for replicate in range(market.replicates if market.count > 1 else 1):
        try:
            if market.count > 1:
                play_several(market, client.planner.name, cached_answer, replicate)
            else:
                play_exact(market, "", cached_answer)
        except _Uncached as uncached:
            yield uncached.context, _decisions_max(market, uncached.context)


def _decisions_max(market: Market, context: Context) -> int:
    """The most decisions from a context on. With several jobs each tick ends with at most one that begins no job.

    Where late jobs are hedged, as many more may wait with a hedge, and each job of the run may have one declined.
    """
    if market.count == 1:
        return context.decisions_left
    tries = context.jobs_open + sum(job.in_run for job in context.past)
    ticks_left = market.ticks - round((context.now - EPOCH) / market.job_s)
    tries_left = tries_max(market.count) - tries
    if market.hedge_after:
        return tries_left + tries_max(market.count) + 2 * ticks_left
    return min(tries_left, market.at_once * ticks_left) + ticks_left


class _Uncached(Exception):
    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
