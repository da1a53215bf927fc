"""Chart of a comparison: paired differences of planners with their intervals."""

from collections.abc import Sequence
from typing import Any

from gpuagent.core.status import planner_label
from gpuagent.panels.comparison.results import format_points
from gpuagent.planbench.compare import Comparison
from gpuagent.planbench.scores import Pair, pairs
from gpuagent.render.palette import BLUE, ORANGE, TEXT
from gpuagent.reports.charts.style import Picture, canvas, grid, label, panes, picture


def difference_chart(comparison: Comparison, against: str = "") -> Picture:
    """Completion and spend of every planner less those of the one they are paired with, with 95 % intervals."""
    complete, spend = (pairs(comparison, against, measure) for measure in ("complete", "spend"))
    if not complete:
        figure, axes = canvas("Two planners make a pair", height=1.0)
        axes.set_axis_off()
        return picture(figure, "Two planners make a pair", "Nothing to compare.")
    title = f"Completion and spend, less those of {label(planner_label(complete[0].second))}"
    figure = panes(title, 1.6 + 0.38 * len(complete))
    complete_axes, spend_axes = figure.subplots(1, 2, sharey=True)
    _forest(complete_axes, complete, BLUE, "completes more →, points")
    _forest(spend_axes, spend, ORANGE, "spends more →, points of the budget")
    complete_axes.set_yticks(range(len(complete)), [label(planner_label(pair.first)) for pair in complete])
    complete_axes.invert_yaxis()
    sentences = "; ".join(
        f"{planner_label(completion.first)} completes {format_points(completion.difference)} points, "
        f"spends {format_points(spending.difference)} points"
        for completion, spending in zip(complete, spend, strict=True)
    )
    return picture(figure, title, f"{sentences}. 95 % intervals over {complete[0].difference.cases} scenarios.")


def _forest(axes: Any, differences: Sequence[Pair], colour: str, unit: str) -> None:
    """A forest plot: a dot for each mean, a bar for its interval."""
    grid(axes, "x")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.axvline(0, color=TEXT, linewidth=1)
    for place, pair in enumerate(differences):
        interval = pair.difference
        axes.plot(
            [100 * interval.low, 100 * interval.high],
            [place, place],
            color=colour,
            linewidth=2.5,
            solid_capstyle="butt",
        )
        axes.plot([100 * interval.mean], [place], marker="o", color=colour, markersize=7)
    axes.set_ylim(-0.6, len(differences) - 0.4)
    axes.set_xlabel(unit, fontsize=9, color=TEXT)
    axes.tick_params(labelsize=9, length=3, colors=TEXT)
