"""Planners side by side: play them over the same scenarios, and say before what asking them may cost."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpuagent.core.context import Context
from gpuagent.errors import BadInput
from gpuagent.planbench import play as playing
from gpuagent.planbench.answers import Asker, LimitReached, Priced
from gpuagent.planbench.play import Answer, Play
from gpuagent.planbench.scenarios import Market, atomic

MODES = ("exact", "posterior", "sampled")
BAYES = "bayes"
BOUNDS = (BAYES, "clairvoyant", "hindsight")
"""What the files say of planners that know more: the generator; also the vendors' true chances; also the future."""

Scenario = Sequence[Market]
Tell = Callable[[str, int, int], None]
"""Hears (planner, scenarios played, scenarios in all) as the comparison goes on."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """plays: of planners and bounds. stopped: why it ended early, or ""; then plays hold what was finished."""

    mode: str
    plays: tuple[Play, ...]
    stopped: str = ""

    def planners(self) -> list[str]:
        return list(dict.fromkeys(play.planner for play in self.plays))


def compare(scenarios: Sequence[Scenario], askers: Sequence[Asker], mode: str, tell: Tell | None = None) -> Comparison:
    """Every planner over every scenario. Raises BadInput; LimitReached ends it with what there is, be it raised by
    an asker, whose purse is empty, or by tell, whose listener wants no more.
    """
    if mode not in MODES:
        raise BadInput(f"no mode {mode!r}: write one of {', '.join(MODES)}")
    plays: list[Play] = [play for scenario in scenarios for market in scenario for play in _bounds(market, mode)]
    for asker in askers:
        for number, scenario in enumerate(scenarios):
            try:
                if tell:
                    tell(asker.planner.name, number, len(scenarios))
                plays += [play for market in scenario for play in _played(market, asker, mode)]
            except LimitReached as limit:
                return Comparison(mode, tuple(plays), str(limit))
        if tell:
            tell(asker.planner.name, len(scenarios), len(scenarios))
    return Comparison(mode, tuple(plays))


def _played(market: Market, asker: Asker, mode: str) -> Iterator[Play]:
    name = asker.planner.name
    if mode == "sampled":
        yield from (playing.sampled(market, name, asker, replicate) for replicate in range(market.replicates))
    else:
        yield (playing.exact if mode == "exact" else playing.posterior)(market, name, asker)


def _bounds(market: Market, mode: str) -> Iterator[Play]:
    """Bounds hold for expectations, so they stand beside sampled play too, without its luck."""
    for name in BOUNDS:
        if name not in market.bounds or (mode == "posterior" and name != BAYES):
            continue  # who knows what was drawn is no better, once it is drawn again
        bound = market.bounds[name]
        complete, spend = bound.complete, bound.spend
        if mode == "posterior" and bound.complete_post is not None and bound.spend_post is not None:
            complete, spend = bound.complete_post, bound.spend_post
        share = atomic(spend) / market.budget
        yield Play(market.scenario, market.variant, 0, market.family, name, complete, share)


@dataclass(frozen=True, slots=True)
class Estimate:
    """At most so many questions to a planner that charges, and what they cost at most (atomic units)."""

    planner: str
    calls: int
    amount: int


def estimate(scenarios: Iterable[Scenario], asker: Asker) -> Estimate | None:
    """Before anything is asked. None for a planner that is free.

    Replicates share one path of contexts, and so do variants that look alike; what is remembered is not asked again.
    """
    if not isinstance(asker.planner, Priced):
        return None
    open_ends: dict[str, Context] = {}
    for scenario in scenarios:
        for market in scenario:
            if unknown := _first_unknown(market, asker):
                open_ends[playing.digest(unknown)] = unknown
    price = asker.planner.price
    questions = asker.questions
    return Estimate(
        asker.planner.name,
        questions * sum(end.decisions_left for end in open_ends.values()),
        questions * sum(end.decisions_left * price(end) for end in open_ends.values()),
    )


def _first_unknown(market: Market, asker: Asker) -> Context | None:
    """Where the path leaves what is remembered."""

    def remembered(context: Context) -> Answer:
        found = asker.known(context)
        if found is None:
            raise _Unknown(context)
        return found

    try:
        playing.exact(market, "", remembered)
    except _Unknown as unknown:
        return unknown.context
    return None


class _Unknown(Exception):
    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
