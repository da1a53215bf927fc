"""Planners side by side: play them over the same scenarios, hold them against Bayes and against each other."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from gpuagent.context import Context
from gpuagent.errors import BadInput
from gpuagent.planbench import play as playing
from gpuagent.planbench.asking import Asker, LimitReached, Priced
from gpuagent.planbench.play import Answer, Play
from gpuagent.planbench.scenarios import Market, atomic
from gpuagent.planbench.statistics import Interval, McNemar, bootstrap, mcnemar, needed

MODES = ("exact", "posterior", "sampled")
BAYES = "bayes"
BOUNDS = (BAYES, "clairvoyant", "hindsight")
"""What the files say of planners that know more: the generator; also the vendors' true chances; also the future."""
ALL = "ALL"

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


@dataclass(frozen=True, slots=True)
class Row:
    """One planner over one group of scenarios. complete, spend (share of the budget) and utility: means of files.

    lost: utility behind Bayes, over the files that both have; None where Bayes is not known.
    """

    planner: str
    group: str
    files: int
    complete: float
    spend: float
    utility: float
    lost: Interval | None
    lost_share: float | None
    invalid: int
    refused: int
    worst_ms: float
    planner_cost: int


@dataclass(frozen=True, slots=True)
class Pair:
    """first's utility less second's; needed: files to see two points; mcnemar: of sampled play."""

    first: str
    second: str
    difference: Interval
    needed: int | None
    mcnemar: McNemar | None


def compare(scenarios: Sequence[Scenario], askers: Sequence[Asker], mode: str, tell: Tell | None = None) -> Comparison:
    """Every planner over every scenario. Raises BadInput; reaching the spending limit ends it with what there is."""
    if mode not in MODES:
        raise BadInput(f"no mode {mode!r}: write one of {', '.join(MODES)}")
    plays: list[Play] = [play for scenario in scenarios for market in scenario for play in _bounds(market, mode)]
    for asker in askers:
        for number, scenario in enumerate(scenarios):
            if tell:
                tell(asker.planner.name, number, len(scenarios))
            try:
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
        if name not in market.bounds:
            continue
        bound = market.bounds[name]
        complete, spend = bound.complete, bound.spend
        if mode == "posterior" and bound.complete_post is not None and bound.spend_post is not None:
            complete, spend = bound.complete_post, bound.spend_post
        share = atomic(spend) / market.budget
        yield Play(market.scenario, market.variant, 0, market.family, name, complete, share)


def rows(comparison: Comparison, by: str = "") -> list[Row]:
    """The ALL row of every planner and bound; by "family" or "scenario": a row per planner for each of those too."""
    if by not in ("", "family", "scenario"):
        raise BadInput(f"no grouping {by!r}: write family or scenario")
    groups = dict.fromkeys(getattr(play, by) for play in comparison.plays) if by else {}
    found = []
    for group in (ALL, *sorted(groups)):
        plays = [play for play in comparison.plays if group == ALL or getattr(play, by) == group]
        bayes = _by_file(plays, BAYES)
        found += [_row(name, group, plays, bayes) for name in comparison.planners() if _by_file(plays, name)]
    return found


def pairs(comparison: Comparison, against: str = "") -> list[Pair]:
    """Every planner against one of them, the first unless named, over the files that both finished."""
    names = [name for name in comparison.planners() if name not in BOUNDS]
    if not names:
        return []
    second = against or names[0]
    if second not in names:
        raise BadInput(f"no planner {second!r} was played; there are: {', '.join(names)}")
    other = _by_file(comparison.plays, second)
    found = []
    for first in names:
        mine = _by_file(comparison.plays, first)
        common = [name for name in mine if name in other]
        if first == second or not common:
            continue
        differences = [mine[name] - other[name] for name in common]
        found.append(Pair(first, second, bootstrap(differences), needed(differences), _drawn(comparison, first, second)))
    return found


def _drawn(comparison: Comparison, first: str, second: str) -> McNemar | None:
    if comparison.mode != "sampled":
        return None
    outcomes: dict[str, dict[tuple[str, int, int], bool]] = {first: {}, second: {}}
    for play in comparison.plays:
        if play.planner in outcomes:
            outcomes[play.planner][play.scenario, play.variant, play.replicate] = play.complete > 0.5
    common = [key for key in outcomes[first] if key in outcomes[second]]
    return mcnemar([outcomes[first][key] for key in common], [outcomes[second][key] for key in common])


def _by_file(plays: Iterable[Play], planner: str) -> dict[str, float]:
    """Utility by scenario file: variants and replicates averaged first, so that every file counts once."""
    found: dict[str, list[float]] = {}
    for play in plays:
        if play.planner == planner:
            found.setdefault(play.scenario, []).append(play.utility)
    return {name: fmean(utilities) for name, utilities in found.items()}


def _row(planner: str, group: str, plays: Sequence[Play], bayes: Mapping[str, float]) -> Row:
    mine = [play for play in plays if play.planner == planner]
    utility = _by_file(mine, planner)
    common = [name for name in utility if name in bayes]
    best = fmean(bayes[name] for name in common) if common else 0.0
    lost = bootstrap([bayes[name] - utility[name] for name in common]) if common else None
    return Row(
        planner=planner,
        group=group,
        files=len(utility),
        complete=_mean_of_files(mine, lambda play: play.complete),
        spend=_mean_of_files(mine, lambda play: play.spend),
        utility=fmean(utility.values()),
        lost=lost,
        lost_share=lost.mean / best if lost and best > 0 else None,
        invalid=sum(play.invalid for play in mine),
        refused=sum(play.refused for play in mine),
        worst_ms=max(play.worst_ms for play in mine),
        planner_cost=sum(play.planner_cost for play in mine),
    )


def _mean_of_files(plays: Sequence[Play], value: Callable[[Play], float]) -> float:
    files: dict[str, list[float]] = {}
    for play in plays:
        files.setdefault(play.scenario, []).append(value(play))
    return fmean(fmean(values) for values in files.values())


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
