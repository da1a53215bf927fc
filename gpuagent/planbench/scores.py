"""What a comparison comes to: planners held against Bayes and against each other, every scenario file counted once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from gpuagent.errors import BadInput
from gpuagent.planbench.compare import BAYES, BOUNDS, Comparison
from gpuagent.planbench.play import Play
from gpuagent.planbench.statistics import Interval, McNemar, bootstrap, mcnemar, needed

ALL = "ALL"
GROUPINGS = ("", "family", "scenario")


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
    """A measure of first, utility unless said otherwise, less that of second. needed: files to see two points; mcnemar:
    of sampled play.
    """

    first: str
    second: str
    difference: Interval
    needed: int | None
    mcnemar: McNemar | None


def rows(comparison: Comparison, by: str = "") -> list[Row]:
    """The ALL row of every planner and bound; by "family" or "scenario": a row per planner for each of those too."""
    if by not in GROUPINGS:
        raise BadInput(f"no grouping {by!r}: write family or scenario")
    groups = dict.fromkeys(getattr(play, by) for play in comparison.plays) if by else {}
    found = []
    for group in (ALL, *sorted(groups)):
        plays = [play for play in comparison.plays if group == ALL or getattr(play, by) == group]
        bayes = _by_file(plays, BAYES)
        found += [_row(name, group, plays, bayes) for name in comparison.planners() if _by_file(plays, name)]
    return found


Measure = Callable[[Play], float]
"""What two planners are compared by."""
MEASURES: Mapping[str, Measure] = {
    "utility": lambda play: play.utility,
    "complete": lambda play: play.complete,
    "spend": lambda play: play.spend,
}


def pairs(comparison: Comparison, against: str = "", measure: str = "utility") -> list[Pair]:
    """Every planner against one of them, the first unless named, over the files that both finished, by a measure of
    MEASURES.
    """
    value = MEASURES[measure]
    names = [name for name in comparison.planners() if name not in BOUNDS]
    if not names:
        return []
    second = against or names[0]
    if second not in names:
        raise BadInput(f"no planner {second!r} was played; there are: {', '.join(names)}")
    other = _by_file(comparison.plays, second, value)
    found = []
    for first in names:
        mine = _by_file(comparison.plays, first, value)
        common = [name for name in mine if name in other]
        if first == second or not common:
            continue
        differences = [mine[name] - other[name] for name in common]
        found.append(
            Pair(first, second, bootstrap(differences), needed(differences), _drawn(comparison, first, second))
        )
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


def _by_file(plays: Iterable[Play], planner: str, value: Measure = MEASURES["utility"]) -> dict[str, float]:
    """The measure by scenario file: variants and replicates averaged first, so that every file counts once."""
    found: dict[str, list[float]] = {}
    for play in plays:
        if play.planner == planner:
            found.setdefault(play.scenario, []).append(value(play))
    return {name: fmean(values) for name, values in found.items()}


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
