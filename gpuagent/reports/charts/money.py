"""The charts of money: spend over time, its parts, cost per hour, waste. They only draw."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gpuagent.core.money import usd
from gpuagent.core.text import counted
from gpuagent.render.palette import FAILED, PLANNER_COST, SUCCESS, TEXT, WAITING, text_on
from gpuagent.reports.charts.style import (
    HEIGHT,
    LABEL_MAX,
    ROWS_MAX,
    WIDTH,
    Marks,
    Picture,
    canvas,
    empty,
    grid,
    joined,
    label,
    picture,
    usd_axis,
    usd_float,
)
from gpuagent.reports.display import USD_ALONE, cents
from gpuagent.reports.figures.groups import WHOLE
from gpuagent.reports.figures.spend import PLANNER, JobResult
from gpuagent.reports.frames import Frame
from gpuagent.reports.period import Period

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAR_MIN = 0.01
"""A bar that is a smaller share of the axis is too thin to be seen."""
LEGEND_HANDLE, LEGEND_CHARACTER, LEGEND_ROW = 0.55, 0.08, 0.19
"""Inches that an entry of a legend takes, each of its characters, and a row of entries."""
NOTHING_SPENT = "Nothing was spent in this period."
PARTS = {
    JobResult.SUCCESS: (SUCCESS, "successful jobs"),
    JobResult.FAILED: (FAILED, "failed jobs"),
    JobResult.UNDER_WAY: (WAITING, "jobs under way"),
    PLANNER: (PLANNER_COST, "planner"),
}
"""The colour and name of each part of the spend."""


def spend_over_time(
    table: Frame,
    bucket: str,
    marks: Marks,
    period: Period,
    now: datetime,
    noun: str = "vendor",
    whole: "pd.Series[int] | None" = None,
) -> Picture:
    """Stacked bars of groups.over_time(), with the name of a bucket. The axis shows all of the period so far.

    Where the bars would be too thin there to be seen, it shows them alone. noun: of a group. whole: what was spent in
    each bucket in all, where groups overlap; it is drawn wherever the stack is another sum.
    """
    title = f"Spend by {noun} per {bucket}"
    if table.empty:
        return empty(title, NOTHING_SPENT)
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    by_bucket = table.sum(axis=1) if whole is None else whole
    overlap = table.sum(axis=1) != by_bucket
    names = [*table.columns, *([WHOLE] if overlap.any() else [])]
    columns = _legend_columns(names)
    figure, axes = canvas(title, HEIGHT + LEGEND_ROW * ((len(names) - 1) // columns))
    ends = _bar_ends(table, period)
    _draw_bars(axes, table, ends, marks)
    if overlap.any():
        axes.hlines(by_bucket.map(usd_float), table.index, ends, colors=TEXT, linewidth=1.6, zorder=4, label=WHOLE)
    if period.before is not None:
        first = min(period.since, table.index[0])
        last = max(min(period.until, now), ends[-1])
        width = ends[0] - table.index[0]
        if width < (last - first) * BAR_MIN:
            first, last = table.index[0] - width, ends[-1] + width
        axes.set_xlim(*map(date2num, (first, last)))
    axes.set_ylabel("USD")
    axes.set_xlabel("UTC")
    usd_axis(axes.yaxis)
    grid(axes, "y")
    locator: Any = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    legend(figure, columns)
    sums = joined([f"{name} {USD_ALONE.amount(amount)}" for name, amount in _dearest(table).items()])
    overlapping = f" What counts under several {noun}s is in each of these sums." if overlap.any() else ""
    when = period.description if period.before else "all"
    alt = (
        f"{USD_ALONE.amount(by_bucket.sum())} in {when}: {sums}.{overlapping} "
        f"Most in the {bucket} of {by_bucket.idxmax():%Y-%m-%d %H:%M}: {USD_ALONE.amount(by_bucket.max())}."
    )
    return picture(figure, title, alt)


def _draw_bars(axes: "Axes", table: Frame, ends: list[Any], marks: Marks) -> None:
    """One stack per row, each from its time to its end, with a gap."""
    widths = [(end - start).total_seconds() / 86_400 * 0.86 for start, end in zip(table.index, ends, strict=True)]
    bottom = np.zeros(len(table))
    for payee in table.columns:
        values = table[payee].map(usd_float).to_numpy()
        mark = marks[payee]
        axes.bar(
            table.index, values, widths, bottom, align="edge", color=mark.colour, hatch=mark.hatch,
            edgecolor="white", linewidth=0.4, label=label(payee),
        )  # fmt: skip
        bottom = bottom + values


def _bar_ends(table: Frame, period: Period) -> list[Any]:
    """The end of each bar: the start of the next; of the last, one bucket on, and no longer than the bar before."""
    starts = table.index
    last_end = starts[-1] + (starts.freq or (period.until - period.since))
    if len(starts) > 1:
        last_end = min(starts[-1] + (starts[-1] - starts[-2]), last_end)
    return [*starts[1:], last_end]


def _dearest(table: Frame) -> "pd.Series[int]":
    return table.sum().sort_values(ascending=False)


def _legend_columns(names: Sequence[str]) -> int:
    """How many of these fit into one row of a legend, by the longest."""
    inches = LEGEND_HANDLE + LEGEND_CHARACTER * max((min(len(name), LABEL_MAX) for name in names), default=0)
    return max(1, min(len(names), 6, int(WIDTH / inches)))


def legend(figure: "Figure", columns: int) -> None:
    """Draw the legend below the axes, where it hides nothing. columns: entries in a row."""
    figure.legend(loc="outside lower center", ncols=min(max(columns, 1), 6), frameon=False, fontsize=9)


def composition(parts: Mapping[str, int]) -> Picture:
    """One bar of spend.composition()."""
    title, total = "What the money bought", sum(parts.values())
    if not total:
        return empty(title, NOTHING_SPENT)
    figure, axes = canvas(title, height=1.9)
    start = 0.0
    texts = []
    for part, amount in parts.items():
        if not amount:
            continue
        colour, name = PARTS[part]
        width = usd_float(amount)
        axes.barh([0], [width], left=start, color=colour, edgecolor="white", label=f"{name} {USD_ALONE.amount(amount)}")
        if amount / total >= 0.06:
            axes.text(start + width / 2, 0, f"{amount / total:.0%}", ha="center", va="center", color=text_on(colour))
        start += width
        texts.append(f"{name} {USD_ALONE.amount(amount)} ({amount / total:.1%})")
    axes.set_yticks([])
    axes.set_xlim(0, start)
    axes.set_xlabel("USD")
    usd_axis(axes.xaxis)
    axes.spines["left"].set_visible(False)
    legend(figure, len(texts))
    return picture(figure, title, f"Of {USD_ALONE.amount(total)}: {joined(texts)}.")


def cost_per_hour(hourly: Frame, marks: Marks) -> Picture:
    """Bars of spend.per_hour(), the part of failed jobs hatched."""
    title = "Cost of a successful GPU hour, by vendor and GPU"
    successful = hourly[hourly.perHour.notna()]
    if successful.empty:
        return empty(title, "No job of this period has succeeded yet.")
    from matplotlib.patches import Patch

    rows = list(successful.head(ROWS_MAX).itertuples())
    figure, axes = canvas(title, height=1.5 + 0.36 * len(rows))
    for place, row in enumerate(rows):
        mark = marks[row.vendorId]
        cost, alone = float(row.perHour), float(row.perHourAlone)
        axes.barh([place], [alone], color=mark.colour, hatch=mark.hatch, edgecolor="white", height=0.62)
        if cost > alone:
            axes.barh([place], [cost - alone], left=alone, color="white", hatch="////", edgecolor=FAILED, height=0.62)
        axes.text(cost, place, f"  {cents(row.perHour)}", va="center", fontsize=9, color=TEXT)
    _bar_axes(axes, [label(f"{row.vendorId} · {row.gpuType}", 36) for row in rows], 0.12)
    axes.set_xlabel("USD per successful GPU hour")
    failed_share = Patch(facecolor="white", hatch="////", edgecolor=FAILED, label="share of failed jobs")
    figure.legend(handles=[failed_share], loc="outside lower right", frameon=False, fontsize=9)
    texts = [
        f"{row.vendorId} {row.gpuType} {cents(row.perHour)} USD, without its failed jobs "
        f"{cents(row.perHourAlone)} USD ({row.succeeded} of {row.jobs} jobs succeeded)"
        for row in successful.itertuples()
    ]
    return picture(figure, title, f"USD per successful GPU hour: {joined(texts)}.")


def _bar_axes(axes: "Axes", names: list[str], margin: float) -> None:
    """Name horizontal bars, the first on top, and leave room for the figures beside them."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    usd_axis(axes.xaxis)
    axes.margins(x=margin)
    grid(axes, "x")


def waste_by_cause(wasted: Frame, marks: Marks) -> Picture:
    """Bars of spend.waste()."""
    title = "Money on failed jobs, by cause"
    if wasted.empty or not wasted.cost.sum():
        return empty(title, "No money went to failed jobs in this period.")
    rows = list(wasted.head(ROWS_MAX).itertuples())
    figure, axes = canvas(title, height=1.3 + 0.36 * len(rows))
    for place, row in enumerate(rows):
        mark, width = marks[row.vendorId], usd_float(row.cost)
        axes.barh([place], [width], color=mark.colour, hatch=mark.hatch, edgecolor="white", height=0.62)
        text = f"  {cents(usd(int(row.cost)))} ({row.jobs})"
        axes.text(width, place, text, va="center", fontsize=9, color=TEXT)
    _bar_axes(axes, [f"{label(row.vendorId)}: {label(row.cause, 44)}" for row in rows], 0.14)
    axes.set_xlabel("USD (number of jobs)")
    texts = [
        f"{row.vendorId}, {row.cause}: {USD_ALONE.amount(row.cost)} in {counted(row.jobs, 'job')}"
        for row in wasted.itertuples()
    ]
    return picture(figure, title, f"{USD_ALONE.amount(wasted.cost.sum())} in all. {joined(texts)}.")
