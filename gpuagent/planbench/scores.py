"""Scores of a comparison: planners against Bayes and against each other, every scenario file counted once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from gpuagent.errors import BadInput
from gpuagent.planbench.compare import BAYES, BOUNDS, ORACLE, Comparison
from gpuagent.planbench.play import Play
from gpuagent.planbench.statistics import Interval, McNemar, bootstrap, mcnemar, sample_size

ALL = "ALL"
GROUPINGS = ("", "family", "scenario")


@dataclass(frozen=True, slots=True)
class Row:
    """The score of one planner over one group of scenarios.

    complete, spend (share of the budget) and utility: means over files, as are the jobs that a run has to complete,
    jobs_done and paid (atomic units) of a run. lost: utility behind Bayes, behind: behind the oracle, each over the
    files that both have; None where it is not known.
    """

    planner: str
    group: str
    files: int
    complete: float
    spend: float
    utility: float
    lost: Interval | None
    lost_share: float | None
    jobs: float
    jobs_done: float
    paid: float
    behind: Interval | None
    invalid: int
    refused: int
    worst_ms: float
    planner_cost: int


@dataclass(frozen=True, slots=True)
class Pair:
    """The difference of two planners, first less second, in one measure. needed: files to see two points.

    mcnemar: in sampled play only.
    """

    first: str
    second: str
    difference: Interval
    needed: int | None
    mcnemar: McNemar | None


def rows(comparison: Comparison, by: str = "") -> list[Row]:
    """The ALL row of every planner and bound. by: "family" or "scenario" for rows of each of those too."""
    if by not in GROUPINGS:
        raise BadInput(f"no grouping {by!r}: write family or scenario")
    groups = dict.fromkeys(getattr(play, by) for play in comparison.plays) if by else {}
    scores = []
    for group in (ALL, *sorted(groups)):
        plays = [play for play in comparison.plays if group == ALL or getattr(play, by) == group]
        bayes, oracle = _by_file(plays, BAYES), _by_file(plays, ORACLE)
        scores += [_row(name, group, plays, bayes, oracle) for name in comparison.planners() if _by_file(plays, name)]
    return scores


def overall(scores: Iterable[Row]) -> list[Row]:
    """The ALL rows, the bounds first, then the best planner first."""
    return sorted(
        (row for row in scores if row.group == ALL), key=lambda row: (row.planner not in BOUNDS, -row.utility)
    )


def several(comparison: Comparison) -> Comparison:
    """The part of the comparison whose runs have several jobs to complete."""
    return replace(comparison, plays=tuple(play for play in comparison.plays if play.jobs > 1))


def like_with_like(comparison: Comparison) -> Comparison:
    """The comparison over the files that every planner has finished: all of them, unless it ended early."""
    finished = [set(_by_file(comparison.plays, name)) for name in comparison.planners() if name not in BOUNDS]
    if not comparison.stopped or not finished:
        return comparison
    common = set.intersection(*finished)
    return replace(comparison, plays=tuple(play for play in comparison.plays if play.scenario in common))


Measure = Callable[[Play], float]
"""A figure of one play by which two planners are compared."""
MEASURES: Mapping[str, Measure] = {
    "utility": lambda play: play.utility,
    "complete": lambda play: play.complete,
    "spend": lambda play: play.spend,
    "jobs": lambda play: play.jobs,
    "jobs_done": lambda play: play.jobs_done,
    "paid": lambda play: play.paid,
}


def pairs(comparison: Comparison, against: str = "", measure: str = "utility") -> list[Pair]:
    """Every planner against one of them, over the files that both finished.

    against: a planner, the first by default. measure: a key of MEASURES.
    """
    value = MEASURES[measure]
    names = [name for name in comparison.planners() if name not in BOUNDS]
    if not names:
        return []
    second = against or names[0]
    if second not in names:
        raise BadInput(f"no planner {second!r} was played; there are: {', '.join(names)}")
    second_values = _by_file(comparison.plays, second, value)
    comparisons = []
    for first in names:
        first_values = _by_file(comparison.plays, first, value)
        common = [name for name in first_values if name in second_values]
        if first == second or not common:
            continue
        differences = [first_values[name] - second_values[name] for name in common]
        test = _mcnemar(comparison, first, second)
        comparisons.append(Pair(first, second, bootstrap(differences), sample_size(differences), test))
    return comparisons


def _mcnemar(comparison: Comparison, first: str, second: str) -> McNemar | None:
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
    files: dict[str, list[float]] = {}
    for play in plays:
        if play.planner == planner:
            files.setdefault(play.scenario, []).append(value(play))
    return {name: fmean(values) for name, values in files.items()}


def _row(
    planner: str, group: str, plays: Sequence[Play], bayes: Mapping[str, float], oracle: Mapping[str, float]
) -> Row:
    plays = [play for play in plays if play.planner == planner]
    means = {name: _by_file(plays, planner, measure) for name, measure in MEASURES.items()}
    utility = means["utility"]
    lost, best = _behind(utility, bayes)
    behind, _ = _behind(utility, oracle)
    return Row(
        planner=planner,
        group=group,
        files=len(utility),
        complete=fmean(means["complete"].values()),
        spend=fmean(means["spend"].values()),
        utility=fmean(utility.values()),
        lost=lost,
        lost_share=lost.mean / best if lost and best > 0 else None,
        jobs=fmean(means["jobs"].values()),
        jobs_done=fmean(means["jobs_done"].values()),
        paid=fmean(means["paid"].values()),
        behind=behind,
        invalid=sum(play.invalid for play in plays),
        refused=sum(play.refused for play in plays),
        worst_ms=max(play.worst_ms for play in plays),
        planner_cost=sum(play.planner_cost for play in plays),
    )


def _behind(utility: Mapping[str, float], bound: Mapping[str, float]) -> tuple[Interval | None, float]:
    """How far the utility of files is behind a bound's, over the files that both have; and the bound's mean there."""
    common = [name for name in utility if name in bound]
    if not common:
        return None, 0.0
    return bootstrap([bound[name] - utility[name] for name in common]), fmean(bound[name] for name in common)
