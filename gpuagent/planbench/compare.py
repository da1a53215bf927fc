"""Comparison of planners over the same scenarios, and an upper estimate of its cost."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from gpuagent.core.context import Context
from gpuagent.errors import BadInput
from gpuagent.planbench.answers import LimitReached, PlannerClient, Priced
from gpuagent.planbench.play import PlannerAnswer, Play, digest, play_exact, play_posterior, play_sampled
from gpuagent.planbench.scenarios import Market, atomic

MODES = ("exact", "posterior", "sampled")
BAYES = "bayes"
BOUNDS = (BAYES, "clairvoyant", "hindsight")
"""Results in the files of planners that know more: the generator; also the vendors' true chances; also the future."""

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
    if mode == "sampled":
        yield from (play_sampled(market, name, client, replicate) for replicate in range(market.replicates))
    else:
        yield (play_exact if mode == "exact" else play_posterior)(market, name, client)


def _bounds(market: Market, mode: str) -> Iterator[Play]:
    """The bounds as plays. They hold for expectations, so they stand beside sampled play too, without its luck."""
    for name in BOUNDS:
        if name not in market.bounds or (mode == "posterior" and name != BAYES):
            continue  # a bound that knows the drawn chances means nothing once they are drawn again
        bound = market.bounds[name]
        complete, spend = bound.complete, bound.spend
        if mode == "posterior" and bound.complete_post is not None and bound.spend_post is not None:
            complete, spend = bound.complete_post, bound.spend_post
        share = atomic(spend) / market.budget
        yield Play(market.scenario, market.variant, 0, market.family, name, complete, share)


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The most questions to a planner that charges, and the most they cost (atomic units)."""

    planner: str
    calls: int
    amount: int


def estimate(scenarios: Iterable[Scenario], client: PlannerClient) -> CostEstimate | None:
    """The most that a comparison can cost, None for a free planner. Cached answers cost nothing.

    Replicates share one path of contexts, and so do variants that look alike.
    """
    if not isinstance(client.planner, Priced):
        return None
    open_ends: dict[str, Context] = {}
    for scenario in scenarios:
        for market in scenario:
            if context := _first_uncached(market, client):
                open_ends[digest(context)] = context
    price, questions = client.planner.price, client.questions_max
    return CostEstimate(
        client.planner.name,
        questions * sum(end.decisions_left for end in open_ends.values()),
        questions * sum(end.decisions_left * price(end) for end in open_ends.values()),
    )


def _first_uncached(market: Market, client: PlannerClient) -> Context | None:
    """The first context on the path without a cached answer."""

    def cached_answer(context: Context) -> PlannerAnswer:
        answer = client.cached_answer(context)
        if answer is None:
            raise _Uncached(context)
        return answer

    try:
        play_exact(market, "", cached_answer)
    except _Uncached as uncached:
        return uncached.context
    return None


class _Uncached(Exception):
    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
