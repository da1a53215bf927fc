"""Charts of what was bought: reliability, time to success, planners compared. They draw what they are given."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gpuagent.core.money import usd
from gpuagent.planbench.ab import Arm
from gpuagent.render.palette import BLACK, SETTLED, SUCCESS, TEXT
from gpuagent.reports import display
from gpuagent.reports.charts.money import ROWS_MAX
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
)
from gpuagent.reports.frames import Frame

BINS = 24
UNITS = ((120.0, 1.0, "seconds"), (7200.0, 60.0, "minutes"), (48 * 3600.0, 3600.0, "hours"))


def reliability(found: Frame, marks: Marks) -> Picture:
    """found: as reliability.reliability() gives it."""
    title = "Reliability: advertised, and learned from jobs (95 % interval)"
    if found.empty:
        return empty(title, "No vendor is recorded: `gpuagent vendor seed` records them.")
    shown = found.head(ROWS_MAX)
    figure, axes = canvas(title, height=1.5 + 0.42 * len(shown))
    for row, one in enumerate(shown.itertuples()):
        mark = marks[one.vendorId]
        axes.plot([one.low, one.high], [row, row], color=mark.colour, linewidth=4, alpha=0.55, solid_capstyle="butt")
        axes.plot(
            [one.learned], [row], mark.marker, color=mark.colour, markersize=9, markeredgecolor="white", clip_on=False
        )
        axes.plot([one.advertised], [row], "|", color=BLACK, markersize=16, markeredgewidth=2, clip_on=False)
        jobs = one.succeeded + one.failed
        words = f"{one.succeeded} of {jobs} jobs" if jobs else "no job yet"
        axes.text(1.02, row, words, va="center", fontsize=9, color=TEXT)
    axes.plot([], [], "|", color=BLACK, markersize=12, markeredgewidth=2, label="advertised")
    axes.plot([], [], "o", color=TEXT, markersize=7, label="learned")
    axes.plot([], [], color=TEXT, linewidth=4, alpha=0.55, label="95 % interval")
    axes.set_yticks(range(len(shown)), [label(one.vendorId) for one in shown.itertuples()])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("chance that a job succeeds")
    grid(axes, "x")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    told = [
        f"{one.vendorId} advertises {one.advertised:.0%}, learned {one.learned:.0%} "
        f"[{one.low:.0%}, {one.high:.0%}] from {one.succeeded + one.failed} jobs: {one.verdict}"
        for one in found.itertuples()
    ]
    return picture(figure, title, f"{listed(told)}.")


def time_to_success(times: Frame) -> Picture:
    """times: as runs.times_to_success() gives it."""
    title = "Time from start to success"
    if times.empty:
        return empty(title, "No run of this period has succeeded yet.")
    seconds = times.seconds.to_numpy()
    scale, unit = next(((scale, word) for most, scale, word in UNITS if seconds.max() <= most), (86_400.0, "days"))
    figure, axes = canvas(title)
    span = (0.0, max(float(seconds.max()) / scale, 1e-9) * 1.02)
    axes.hist(seconds / scale, bins=min(BINS, max(6, len(times))), range=span, color=SUCCESS, edgecolor="white")
    middle, slow = float(np.median(seconds)), float(np.quantile(seconds, 0.9))
    for value, words, style in ((middle, "median", "-"), (slow, "90 % within", "--")):
        named = f"{words} {display.duration(value)}"
        axes.axvline(value / scale, color=BLACK, linestyle=style, linewidth=1.4, label=named)
    axes.set_xlim(*span)
    axes.set_xlabel(unit)
    axes.set_ylabel("runs")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    grid(axes, "y")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    alt = (
        f"{len(times)} runs succeeded; median {display.duration(middle)}, 90 % within {display.duration(slow)}, "
        f"longest {display.duration(float(seconds.max()))}."
    )
    return picture(figure, title, alt)


def planners_compared(arms: Sequence[Arm]) -> Picture:
    """Completion and spend of the planners of an A/B test, with 95 % intervals; in brackets the runs that ended."""
    title = "Planners compared: runs that were assigned by chance"
    ended = [arm for arm in arms if arm.complete and arm.spend]
    if not ended:
        return empty(title, "No run of this period that was started with several planners has ended.")
    figure = panes(title, 1.6 + 0.45 * len(ended))
    first = figure.add_subplot(1, 2, 1)
    second = figure.add_subplot(1, 2, 2, sharey=first)
    for axes, words in ((first, "runs completed"), (second, "USD to vendors, a run")):
        dress(axes)
        axes.set_xlabel(words)
        grid(axes, "x")
    for row, arm in enumerate(ended):
        for axes, found, scale in ((first, arm.complete, 1.0), (second, arm.spend, 1e6)):
            assert found
            axes.plot([found.low / scale, found.high / scale], [row, row], color=SETTLED, linewidth=4, alpha=0.55)
            axes.plot([found.mean / scale], [row], "o", color=SETTLED, markersize=8, clip_on=False)
    first.set_xlim(0, 1)
    first.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    first.set_yticks(range(len(ended)), [f"{label(arm.planner)} ({arm.ended})" for arm in ended])
    first.set_ylim(len(ended) - 0.5, -0.5)
    second.tick_params(labelleft=False)
    second.set_xlim(left=0)
    second.xaxis.set_major_formatter(USD_AXIS)
    told = [
        f"{arm.planner} completed {arm.complete.mean:.0%} [{arm.complete.low:.0%}, {arm.complete.high:.0%}] of "
        f"{arm.ended} runs at {display.cents(usd(round(arm.spend.mean)))} USD a run"
        for arm in ended
        if arm.complete and arm.spend
    ]
    return picture(figure, title, f"{listed(told)}.")
