"""The charts of work: reliability, time to success, budgets of runs, planners compared. They only draw."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gpuagent.core.money import UNIT
from gpuagent.core.status import planner_label
from gpuagent.core.text import counted
from gpuagent.planbench.ab import Arm
from gpuagent.planbench.statistics import Interval
from gpuagent.render.palette import AVAILABLE, BLACK, SETTLED, SUCCESS, TEXT
from gpuagent.reports.charts.style import (
    ROWS_MAX,
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
    usd_axis,
    usd_float,
)
from gpuagent.reports.display import USD_ALONE, duration
from gpuagent.reports.frames import Frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 24
TIME_UNITS = ((120.0, 1.0, "seconds"), (7200.0, 60.0, "minutes"), (48 * 3600.0, 3600.0, "hours"))
"""Up to so many seconds, an axis in units of so many seconds, and their name; above them days."""
DAYS = (86_400.0, "days")


def reliability(vendors: Frame, marks: Marks) -> Picture:
    """The vendors of figures.reliability: what they advertise beside what their jobs show."""
    title = "Reliability: advertised, and learned from jobs (95 % interval)"
    if vendors.empty:
        return empty(title, "No vendor is recorded: `gpuagent vendor seed` records them.")
    rows = list(vendors.head(ROWS_MAX).itertuples())
    figure, axes = canvas(title, height=1.5 + 0.42 * len(rows))
    for place, row in enumerate(rows):
        mark = marks[row.vendorId]
        axes.plot([row.low, row.high], [place] * 2, color=mark.colour, linewidth=4, alpha=0.55, solid_capstyle="butt")
        axes.plot(
            [row.learned], [place], mark.marker, color=mark.colour, markersize=9, markeredgecolor="white", clip_on=False
        )
        axes.plot([row.advertised], [place], "|", color=BLACK, markersize=16, markeredgewidth=2, clip_on=False)
        jobs = row.succeeded + row.failed
        text = f"{row.succeeded} of {counted(jobs, 'job')}" if jobs else "no job yet"
        axes.text(1.02, place, text, va="center", fontsize=9, color=TEXT)
    axes.plot([], [], "|", color=BLACK, markersize=12, markeredgewidth=2, label="advertised")
    axes.plot([], [], "o", color=TEXT, markersize=7, label="learned")
    axes.plot([], [], color=TEXT, linewidth=4, alpha=0.55, label="95 % interval")
    axes.set_yticks(range(len(rows)), [label(row.vendorId) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    _share_axis(axes)
    axes.set_xlabel("chance that a job succeeds")
    grid(axes, "x")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    texts = [
        f"{row.vendorId} advertises {row.advertised:.0%}, learned {row.learned:.0%} "
        f"[{row.low:.0%}, {row.high:.0%}]: {row.verdict}"
        for row in vendors.itertuples()
    ]
    return picture(figure, title, f"{joined(texts)}.")


def _share_axis(axes: "Axes") -> None:
    from matplotlib.ticker import PercentFormatter

    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def time_unit(longest_s: float) -> tuple[float, str]:
    """The unit of an axis that shows so many seconds: its length in seconds, and its name."""
    return next(((scale, unit) for limit, scale, unit in TIME_UNITS if longest_s <= limit), DAYS)


def time_to_success(seconds: npt.NDArray[np.float64]) -> Picture:
    """A histogram of the times that runs took to succeed, with their median."""
    title = "Time from start to success"
    if not len(seconds):
        return empty(title, "No run of this period has succeeded yet.")
    longest, median, slow = float(seconds.max()), float(np.median(seconds)), float(np.quantile(seconds, 0.9))
    from matplotlib.ticker import MaxNLocator

    scale, unit = time_unit(longest)
    figure, axes = canvas(title)
    span = (0.0, max(longest / scale, 1e-9) * 1.02)
    axes.hist(seconds / scale, bins=min(BINS, max(6, len(seconds))), range=span, color=SUCCESS, edgecolor="white")
    for value, name, style in ((median, "median", "-"), (slow, "90 % within", "--")):
        text = f"{name} {duration(value)}"
        axes.axvline(value / scale, color=BLACK, linestyle=style, linewidth=1.4, label=text)
    axes.set_xlim(*span)
    axes.set_xlabel(unit)
    axes.set_ylabel("runs")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    grid(axes, "y")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    alt = (
        f"{len(seconds)} runs succeeded; median {duration(median)}, 90 % within {duration(slow)}, "
        f"longest {duration(longest)}."
    )
    return picture(figure, title, alt)


def burn_downs(burn_downs_by_run: Mapping[str, tuple[Any, Frame]]) -> Picture:
    """The budgets of runs over time, from each run's row of the runs frame and its runs.burn_down()."""
    title = "Budgets as they burnt down"
    count = len(burn_downs_by_run)
    if not count:
        return empty(title, "No run that was started in this period has spent anything.")
    columns = min(3, count)
    rows = -(-count // columns)
    figure = panes(title, 0.7 + 2.6 * rows)
    texts = []
    for place, (run, line) in enumerate(burn_downs_by_run.values(), 1):
        axes = figure.add_subplot(rows, columns, place)
        _draw_burn_down(axes, run, line)
        axes.set_ylabel("USD left" if place % columns == 1 or columns == 1 else "", fontsize=9)
        rest = f"{USD_ALONE.amount(line.remaining.iloc[-1])} left of {USD_ALONE.amount(run.budgetTotal)}"
        texts.append(f"run {run.runId} {rest} ({run.phase})")
    return picture(figure, title, f"{joined(texts)}.")


def _draw_burn_down(axes: "Axes", run: Any, line: Frame) -> None:
    dress(axes)
    seconds = (line["at"] - line["at"].iloc[0]).dt.total_seconds()
    scale, unit = time_unit(float(seconds.max()))
    times = seconds / scale
    remaining = line.remaining.map(usd_float)
    axes.fill_between(times, remaining, step="post", color=AVAILABLE, linewidth=0)
    axes.step(times, remaining, where="post", color=SETTLED, linewidth=1.8)
    axes.set_ylim(0, usd_float(run.budgetTotal) * 1.08)
    usd_axis(axes.yaxis)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{unit} since start", fontsize=9)
    axes.set_title(f"{label(run.goal, 26)}\n…{run.runId[-6:]}, {run.phase}", fontsize=9, loc="left", color=TEXT)


def planners_compared(arms: Sequence[Arm]) -> Picture:
    """Completion and spend of the planners of an A/B test, with 95 % intervals; in brackets the runs that ended."""
    title = "Planners compared: runs assigned at random"
    rows = [(arm, arm.complete, arm.spend) for arm in arms if arm.complete and arm.spend]
    if not rows:
        return empty(title, "No run of this period that was started with several planners has ended.")
    figure = panes(title, 1.6 + 0.45 * len(rows))
    completion_axes = figure.add_subplot(1, 2, 1)
    spend_axes = figure.add_subplot(1, 2, 2, sharey=completion_axes)
    for axes, axis_label in ((completion_axes, "runs completed"), (spend_axes, "USD to vendors per run")):
        dress(axes)
        axes.set_xlabel(axis_label)
        grid(axes, "x")
    for place, (_, completion, spend) in enumerate(rows):
        _draw_interval(completion_axes, place, completion, 1.0)
        _draw_interval(spend_axes, place, spend, UNIT)
    _share_axis(completion_axes)
    names = [label(planner_label(arm.planner)) for arm, _, _ in rows]
    completion_axes.set_yticks(
        range(len(rows)), [f"{name} ({arm.ended})" for name, (arm, _, _) in zip(names, rows, strict=True)]
    )
    completion_axes.set_ylim(len(rows) - 0.5, -0.5)
    spend_axes.tick_params(labelleft=False)
    spend_axes.set_xlim(left=0)
    usd_axis(spend_axes.xaxis)
    texts = [
        f"{planner_label(arm.planner)} completed {completion.mean:.0%} "
        f"[{completion.low:.0%}, {completion.high:.0%}] of {arm.ended} runs "
        f"at {USD_ALONE.amount(round(spend.mean))} per run"
        for arm, completion, spend in rows
    ]
    return picture(figure, title, f"{joined(texts)}.")


def _draw_interval(axes: "Axes", place: int, interval: Interval, scale: float) -> None:
    axes.plot([interval.low / scale, interval.high / scale], [place] * 2, color=SETTLED, linewidth=4, alpha=0.55)
    axes.plot([interval.mean / scale], [place], "o", color=SETTLED, markersize=8, clip_on=False)
