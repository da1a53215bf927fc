"""The chart of delivered results: the hours that each needed, bought twice, and did not buy. It only draws."""

from gpuagent.render.palette import AVAILABLE, FAILED, SUCCESS
from gpuagent.reports.charts.money import legend
from gpuagent.reports.charts.style import ROWS_MAX, Picture, canvas, empty, grid, joined, label, picture
from gpuagent.reports.display import USD_ALONE
from gpuagent.reports.frames import Frame

PARTS = (
    ("hours", "needed", SUCCESS, ""),
    ("twiceHours", "bought twice", FAILED, ""),
    ("savedHours", "saved by resuming", AVAILABLE, "///"),
)
"""Column, name, colour and hatch of each part of a bar."""


def delivered(results: Frame) -> Picture:
    """A bar of hours for each of delivery.delivered(), the dearest first."""
    title = "GPU hours of delivered results"
    if results.empty:
        return empty(title, "No run of this period that has a job file has completed yet.")
    rows = list(results.head(ROWS_MAX).itertuples())
    figure, axes = canvas(title, height=1.5 + 0.42 * len(rows))
    start = [0.0] * len(rows)
    for column, name, colour, hatch in PARTS:
        widths = [getattr(row, column) for row in rows]
        axes.barh(
            range(len(rows)), widths, left=start, color=colour, hatch=hatch, edgecolor="white", height=0.62, label=name
        )
        start = [left + width for left, width in zip(start, widths, strict=True)]
    axes.set_yticks(range(len(rows)), [f"…{row.runId[-6:]} {label(row.goal, 22)}" for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("GPU hours")
    grid(axes, "x")
    legend(figure, len(PARTS))
    texts = [
        f"run {row.runId} needed {row.hours:g} h, bought {row.twiceHours:g} h twice, saved {row.savedHours:g} h, "
        f"for {USD_ALONE.amount(row.cost)}"
        for row in rows
    ]
    return picture(figure, title, f"{joined(texts)}.")
