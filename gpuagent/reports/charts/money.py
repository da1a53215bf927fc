"""Charts of money: one look, units on every axis, the figures in words as alt text. They draw what they are given."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gpuagent.core.money import usd
from gpuagent.render.palette import AVAILABLE, FAILED, PLANNER_COST, SETTLED, SUCCESS, TEXT, WAITING, text_on
from gpuagent.reports import display
from gpuagent.reports.charts.style import (
    USD_AXIS,
    Marks,
    Picture,
    canvas,
    dress,
    empty,
    grid,
    label,
    listed,
    panes,
    picture,
    usd_float,
)
from gpuagent.reports.figures import spend
from gpuagent.reports.frames import Frame
from gpuagent.reports.period import Period

NOBODY = "Nothing was spent in this period."
ROWS_MAX = 16
"""Bars in a chart of bars; the table beside it has all."""
PARTS = {
    spend.SUCCESS: (SUCCESS, "successful jobs"),
    spend.FAILED: (FAILED, "failed jobs"),
    spend.UNDER_WAY: (WAITING, "jobs under way"),
    spend.PLANNER: (PLANNER_COST, "planner"),
}


def money(atomic: int) -> str:
    return f"{display.cents(usd(int(atomic)))} USD"


def spend_over_time(table: Frame, word: str, marks: Marks, period: Period, now: datetime) -> Picture:
    """table: as spend.over_time() gives it, with its word for a bucket. The axis shows all of the period so far."""
    title = f"Spend by vendor per {word}"
    if table.empty:
        return empty(title, NOBODY)
    figure, axes = canvas(title)
    ends = (
        [*table.index[1:], min(table.index[-1] + (table.index[-1] - table.index[-2]), _end(table, period))]
        if len(table) > 1
        else [_end(table, period)]
    )
    widths = [(end - at).total_seconds() / 86_400 * 0.86 for at, end in zip(table.index, ends, strict=True)]
    bottom = np.zeros(len(table))
    for who in table.columns:
        values, mark = table[who].map(usd_float).to_numpy(), marks[who]
        axes.bar(
            table.index, values, widths, bottom, align="edge", color=mark.colour, hatch=mark.hatch,
            edgecolor="white", linewidth=0.4, label=label(who),
        )  # fmt: skip
        bottom = bottom + values
    if period.before is not None:
        span = (min(period.since, table.index[0]), max(min(period.until, now), ends[-1]))
        axes.set_xlim(*map(date2num, span))
    axes.set_ylabel("USD")
    axes.set_xlabel("UTC")
    axes.yaxis.set_major_formatter(USD_AXIS)
    grid(axes, "y")
    locator: Any = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    legend(figure, len(table.columns))
    sums = table.sum().sort_values(ascending=False)
    top = table.sum(axis=1)
    alt = (
        f"{money(top.sum())} in {period.words}: {listed([f'{who} {money(one)}' for who, one in sums.items()])}. "
        f"Most in the {word} of {top.idxmax():%Y-%m-%d %H:%M}: {money(top.max())}."
    )
    return picture(figure, title, alt)


def _end(table: Frame, period: Period) -> Any:
    """Where the last bar ends."""
    return table.index[-1] + (table.index.freq or (period.until - period.since))


def legend(figure: Figure, entries: int) -> None:
    """Below the axes, where it hides nothing."""
    figure.legend(loc="outside lower center", ncols=min(max(entries, 1), 6), frameon=False, fontsize=9)


def composition(parts: Mapping[str, int]) -> Picture:
    """One bar: what the period's spend bought."""
    title, total = "What the money bought", sum(parts.values())
    if not total:
        return empty(title, NOBODY)
    figure, axes = canvas(title, height=1.9)
    left = 0.0
    for name, amount in parts.items():
        if not amount:
            continue
        colour, words = PARTS[name]
        width = usd_float(amount)
        axes.barh([0], [width], left=left, color=colour, edgecolor="white", label=f"{words} {money(amount)}")
        if amount / total >= 0.06:
            axes.text(left + width / 2, 0, f"{amount / total:.0%}", ha="center", va="center", color=text_on(colour))
        left += width
    axes.set_yticks([])
    axes.set_xlim(0, left)
    axes.set_xlabel("USD")
    axes.xaxis.set_major_formatter(USD_AXIS)
    axes.spines["left"].set_visible(False)
    legend(figure, sum(map(bool, parts.values())))
    told = [f"{PARTS[name][1]} {money(amount)} ({amount / total:.1%})" for name, amount in parts.items() if amount]
    return picture(figure, title, f"Of {money(total)}: {listed(told)}.")


def cost_per_hour(hourly: Frame, marks: Marks) -> Picture:
    """hourly: as spend.per_hour() gives it."""
    title = "What an hour that succeeded cost, by vendor and GPU"
    known = hourly[hourly.perHour.notna()]
    if known.empty:
        return empty(title, "No job of this period has succeeded yet.")
    shown = known.head(ROWS_MAX)
    figure, axes = canvas(title, height=1.5 + 0.36 * len(shown))
    for row, one in enumerate(shown.itertuples()):
        mark, whole, alone = marks[one.vendorId], float(one.perHour), float(one.perHourAlone)
        axes.barh([row], [alone], color=mark.colour, hatch=mark.hatch, edgecolor="white", height=0.62)
        if whole > alone:
            axes.barh([row], [whole - alone], left=alone, color="white", hatch="////", edgecolor=FAILED, height=0.62)
        axes.text(whole, row, f"  {display.cents(one.perHour)}", va="center", fontsize=9, color=TEXT)
    axes.set_yticks(range(len(shown)), [label(f"{one.vendorId} · {one.gpuType}", 36) for one in shown.itertuples()])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel("USD per successful GPU hour")
    axes.xaxis.set_major_formatter(USD_AXIS)
    axes.margins(x=0.12)
    grid(axes, "x")
    lost = Patch(facecolor="white", hatch="////", edgecolor=FAILED, label="share of failed jobs")
    figure.legend(handles=[lost], loc="outside lower right", frameon=False, fontsize=9)
    told = [
        f"{one.vendorId} {one.gpuType} {display.cents(one.perHour)} USD, without its failed jobs "
        f"{display.cents(one.perHourAlone)} USD ({one.succeeded} of {one.jobs} jobs succeeded)"
        for one in known.itertuples()
    ]
    return picture(figure, title, f"USD per successful GPU hour: {listed(told)}.")


def waste_by_cause(wasted: Frame, marks: Marks) -> Picture:
    """wasted: as spend.waste() gives it."""
    title = "Money on failed jobs, by cause"
    if wasted.empty or not wasted.cost.sum():
        return empty(title, "No money went to failed jobs in this period.")
    shown = wasted.head(ROWS_MAX)
    figure, axes = canvas(title, height=1.3 + 0.36 * len(shown))
    for row, one in enumerate(shown.itertuples()):
        mark, width = marks[one.vendorId], usd_float(one.cost)
        axes.barh([row], [width], color=mark.colour, hatch=mark.hatch, edgecolor="white", height=0.62)
        words = f"  {display.cents(usd(int(one.cost)))} ({one.jobs})"
        axes.text(width, row, words, va="center", fontsize=9, color=TEXT)
    axes.set_yticks(range(len(shown)), [f"{label(one.vendorId)}: {label(one.cause, 44)}" for one in shown.itertuples()])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel("USD (number of jobs)")
    axes.xaxis.set_major_formatter(USD_AXIS)
    axes.margins(x=0.14)
    grid(axes, "x")
    told = [f"{one.vendorId}, {one.cause}: {money(one.cost)} in {one.jobs} jobs" for one in wasted.itertuples()]
    return picture(figure, title, f"{money(wasted.cost.sum())} in all. {listed(told)}.")


def burn_downs(burnt: Mapping[str, tuple[Any, Frame]]) -> Picture:
    """burnt: by run id, its row of the runs frame and its runs.burn_down()."""
    title = "Budgets as they burnt down"
    if not burnt:
        return empty(title, "No run that was started in this period has spent anything.")
    columns = min(3, len(burnt))
    rows = -(-len(burnt) // columns)
    figure = panes(title, 0.7 + 2.3 * rows)
    told = []
    for place, (run_id, (run, line)) in enumerate(burnt.items(), 1):
        axes = figure.add_subplot(rows, columns, place)
        dress(axes)
        hours = (line["at"] - line["at"].iloc[0]).dt.total_seconds() / 3600
        left = line.remaining.map(usd_float)
        axes.fill_between(hours, left, step="post", color=AVAILABLE, linewidth=0)
        axes.step(hours, left, where="post", color=SETTLED, linewidth=1.8)
        axes.set_ylim(0, usd_float(run.budgetTotal) * 1.08)
        axes.yaxis.set_major_formatter(USD_AXIS)
        axes.set_title(f"…{run_id[-6:]} {label(run.goal, 22)} ({run.phase})", fontsize=9, loc="left", color=TEXT)
        axes.set_ylabel("USD left" if place % columns == 1 or columns == 1 else "", fontsize=9)
        axes.set_xlabel("hours since start" if place > len(burnt) - columns else "", fontsize=9)
        told.append(f"run {run_id} {money(line.remaining.iloc[-1])} left of {money(run.budgetTotal)} ({run.phase})")
    return picture(figure, title, f"{listed(told)}.")
