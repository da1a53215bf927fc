"""The charts of money: spend over time, its parts, cost per hour, waste, budgets. They only draw."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gpuagent.core.money import usd
from gpuagent.render.palette import AVAILABLE, FAILED, PLANNER_COST, SETTLED, SUCCESS, TEXT, WAITING, text_on
from gpuagent.reports.charts.style import (
    USD_AXIS,
    Marks,
    Picture,
    canvas,
    dress,
    empty,
    grid,
    joined,
    label,
    panes,
    picture,
    usd_float,
)
from gpuagent.reports.display import cents
from gpuagent.reports.figures.spend import PLANNER, JobResult
from gpuagent.reports.frames import Frame
from gpuagent.reports.period import Period

NOTHING_SPENT = "Nothing was spent in this period."
ROWS_MAX = 16
"""Bars in a chart of bars; the table beside it has all."""
PARTS = {
    JobResult.SUCCESS: (SUCCESS, "successful jobs"),
    JobResult.FAILED: (FAILED, "failed jobs"),
    JobResult.UNDER_WAY: (WAITING, "jobs under way"),
    PLANNER: (PLANNER_COST, "planner"),
}
"""The colour and name of each part of the spend."""


def money(atomic: int) -> str:
    return f"{cents(usd(int(atomic)))} USD"


def spend_over_time(table: Frame, bucket: str, marks: Marks, period: Period, now: datetime) -> Picture:
    """Stacked bars of spend.over_time(), with its name of a bucket. The axis shows all of the period so far."""
    title = f"Spend by vendor per {bucket}"
    if table.empty:
        return empty(title, NOTHING_SPENT)
    figure, axes = canvas(title)
    ends = _bar_ends(table, period)
    _draw_bars(axes, table, ends, marks)
    if period.before is not None:
        first = min(period.since, table.index[0])
        last = max(min(period.until, now), ends[-1])
        axes.set_xlim(*map(date2num, (first, last)))
    axes.set_ylabel("USD")
    axes.set_xlabel("UTC")
    axes.yaxis.set_major_formatter(USD_AXIS)
    grid(axes, "y")
    locator: Any = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    legend(figure, len(table.columns))
    by_payee = table.sum().sort_values(ascending=False)
    by_bucket = table.sum(axis=1)
    sums = joined([f"{payee} {money(amount)}" for payee, amount in by_payee.items()])
    alt = (
        f"{money(by_bucket.sum())} in {period.description}: {sums}. "
        f"Most in the {bucket} of {by_bucket.idxmax():%Y-%m-%d %H:%M}: {money(by_bucket.max())}."
    )
    return picture(figure, title, alt)


def _draw_bars(axes: Axes, table: Frame, ends: list[Any], marks: Marks) -> None:
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


def legend(figure: Figure, entries: int) -> None:
    """Draw the legend below the axes, where it hides nothing."""
    figure.legend(loc="outside lower center", ncols=min(max(entries, 1), 6), frameon=False, fontsize=9)


def composition(parts: Mapping[str, int]) -> Picture:
    """One bar of spend.composition()."""
    title, total = "What the money bought", sum(parts.values())
    if not total:
        return empty(title, NOTHING_SPENT)
    figure, axes = canvas(title, height=1.9)
    left = 0.0
    texts = []
    for part, amount in parts.items():
        if not amount:
            continue
        colour, name = PARTS[part]
        width = usd_float(amount)
        axes.barh([0], [width], left=left, color=colour, edgecolor="white", label=f"{name} {money(amount)}")
        if amount / total >= 0.06:
            axes.text(left + width / 2, 0, f"{amount / total:.0%}", ha="center", va="center", color=text_on(colour))
        left += width
        texts.append(f"{name} {money(amount)} ({amount / total:.1%})")
    axes.set_yticks([])
    axes.set_xlim(0, left)
    axes.set_xlabel("USD")
    axes.xaxis.set_major_formatter(USD_AXIS)
    axes.spines["left"].set_visible(False)
    legend(figure, len(texts))
    return picture(figure, title, f"Of {money(total)}: {joined(texts)}.")


def cost_per_hour(hourly: Frame, marks: Marks) -> Picture:
    """Bars of spend.per_hour(), the part of failed jobs hatched."""
    title = "Cost of a successful GPU hour, by vendor and GPU"
    successful = hourly[hourly.perHour.notna()]
    if successful.empty:
        return empty(title, "No job of this period has succeeded yet.")
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


def _bar_axes(axes: Axes, names: list[str], margin: float) -> None:
    """Name horizontal bars, the first on top, and leave room for the figures beside them."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(USD_AXIS)
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
    texts = [f"{row.vendorId}, {row.cause}: {money(row.cost)} in {row.jobs} jobs" for row in wasted.itertuples()]
    return picture(figure, title, f"{money(wasted.cost.sum())} in all. {joined(texts)}.")


def burn_downs(burn_downs_by_run: Mapping[str, tuple[Any, Frame]]) -> Picture:
    """The budgets of runs over time, from each run's row of the runs frame and its runs.burn_down()."""
    title = "Budgets as they burnt down"
    count = len(burn_downs_by_run)
    if not count:
        return empty(title, "No run that was started in this period has spent anything.")
    columns = min(3, count)
    rows = -(-count // columns)
    figure = panes(title, 0.7 + 2.3 * rows)
    texts = []
    for place, (run, line) in enumerate(burn_downs_by_run.values(), 1):
        axes = figure.add_subplot(rows, columns, place)
        _draw_burn_down(axes, run, line)
        axes.set_ylabel("USD left" if place % columns == 1 or columns == 1 else "", fontsize=9)
        axes.set_xlabel("hours since start" if place > count - columns else "", fontsize=9)
        rest = f"{money(line.remaining.iloc[-1])} left of {money(run.budgetTotal)}"
        texts.append(f"run {run.runId} {rest} ({run.phase})")
    return picture(figure, title, f"{joined(texts)}.")


def _draw_burn_down(axes: Axes, run: Any, line: Frame) -> None:
    dress(axes)
    hours = (line["at"] - line["at"].iloc[0]).dt.total_seconds() / 3600
    remaining = line.remaining.map(usd_float)
    axes.fill_between(hours, remaining, step="post", color=AVAILABLE, linewidth=0)
    axes.step(hours, remaining, where="post", color=SETTLED, linewidth=1.8)
    axes.set_ylim(0, usd_float(run.budgetTotal) * 1.08)
    axes.yaxis.set_major_formatter(USD_AXIS)
    axes.set_title(f"…{run.runId[-6:]} {label(run.goal, 22)} ({run.phase})", fontsize=9, loc="left", color=TEXT)
