"""A comparison as a notebook shows it: a chart with its words, tables that any theme and any reader can read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

from gpuagent.core.money import show_usd
from gpuagent.panels.comparison.runner import Trial
from gpuagent.panels.kit.html import Html, el, join, table
from gpuagent.panels.kit.message import styled
from gpuagent.panels.kit.style import sheet
from gpuagent.planbench.compare import BAYES, BOUNDS, Comparison
from gpuagent.planbench.disagreements import Disagreement, disagreements
from gpuagent.planbench.replay import Replayed, Said, summary
from gpuagent.planbench.scores import ALL, Pair, pairs, rows
from gpuagent.planbench.statistics import Interval
from gpuagent.render.palette import BLUE, ORANGE, TEXT
from gpuagent.reports.charts.style import Picture, canvas, grid, label, panes, picture

SHOWN_MAX = 25
REASON_MAX = 240


@dataclass(frozen=True, slots=True)
class Section:
    """For notebooks: markup, and the same in plain words."""

    html: Html
    plain: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": join(sheet(), styled(self.html)), "text/plain": self.plain}


def scores(comparison: Comparison) -> Section:
    """Every planner over all scenarios, the best first; what knows more than a planner can is marked as a bound."""
    found = [row for row in rows(comparison) if row.group == ALL]
    found.sort(key=lambda row: (row.planner not in BOUNDS, -row.utility))
    cells: list[list[object]] = [
        [
            f"{row.planner} (bound)" if row.planner in BOUNDS else row.planner,
            str(row.files),
            _share(row.complete),
            _share(row.spend),
            f"{row.utility:.4f}",
            _points(row.lost) if row.lost and row.planner != BAYES else "",
            "" if row.planner in BOUNDS else str(row.invalid),
        ]
        for row in found
    ]
    head = (
        "planner",
        "scenarios",
        "completes",
        "spends, of the budget",
        "U",
        "points of U lost to Bayes (95 %)",
        "invalid",
    )
    return _section("All scenarios", head, cells, comparison.stopped)


def paired(comparison: Comparison, against: str = "") -> Section:
    """Each planner less the one it is paired with, scenario by scenario, which takes their luck out."""
    complete, spend, utility = (pairs(comparison, against, name) for name in ("complete", "spend", "utility"))
    cells: list[list[object]] = [
        [
            one.first,
            _points(one.difference),
            _points(two.difference),
            _points(all_.difference),
            str(all_.difference.cases),
        ]
        for one, two, all_ in zip(complete, spend, utility, strict=True)
    ]
    second = complete[0].second if complete else "another planner"
    head = (
        f"less {second}",
        "completes, points (95 %)",
        "spends, points of the budget (95 %)",
        "U, points (95 %)",
        "scenarios",
    )
    nothing = "" if cells else "Two planners make a pair."
    return _section(f"Paired with {second}", head, cells, nothing)


def by_family(comparison: Comparison) -> Section:
    """How often each planner completes in each family of markets."""
    found = [row for row in rows(comparison, "family") if row.group != ALL]
    played = [name for name in comparison.planners() if name not in BOUNDS]
    shown_ = [*played, *(name for name in (BAYES,) if name in comparison.planners())]
    cells: list[list[object]] = []
    for group in dict.fromkeys(row.group for row in found):
        here = {row.planner: row for row in found if row.group == group}
        files = max(row.files for row in here.values())
        cells.append([group, str(files), *(_share(here[name].complete) if name in here else "–" for name in shown_)])
    head = ("family", "scenarios", *(f"{name} (bound)" if name == BAYES else name for name in shown_))
    return _section("Completes, by family of markets", head, cells)


def disagreed(comparison: Comparison, most: int = SHOWN_MAX) -> Section:
    """Where planners chose differently with the same before them, and what each said."""
    found = disagreements(comparison)
    cells = [[f"{one.scenario}, tick {one.tick}", one.family, f"{one.alive:.0%}", _said(one)] for one in found[:most]]
    more = f"{len(found)} in all; the {most} likeliest to be met are shown." if len(found) > most else ""
    nothing = more if found else "They agreed wherever they met the same."
    return _section(
        "Disagreements", ("where", "family", "met by", "who said what"), [list(one) for one in cells], nothing
    )


def asked(trial: Trial) -> Section:
    """What asking took: a free planner is asked and charges nothing."""
    cells: list[list[object]] = [
        [asker.planner.name, f"{asker.calls:,}", f"{asker.tokens:,}" if asker.tokens else "–", show_usd(asker.spent)]
        for asker in trial.askers
    ]
    limit = trial.purse.limit
    words = f"{show_usd(trial.purse.spent)} in all" + (f", of at most {show_usd(limit)}." if limit is not None else ".")
    return _section("Asked", ("planner", "questions", "tokens", "cost"), cells, words)


def replays(found: dict[str, list[Replayed]], planner: str) -> Section:
    """One's own runs with another planner in the same places."""
    if not found:
        return Section(el("p", NO_RUNS, class_="note"), NO_RUNS)
    cells: list[list[object]] = [
        [run_id, one.at[:19], f"{one.decided_by}: {_words(one.recorded)}", _words(one.other), _verdict(one)]
        for run_id, decisions in found.items()
        for one in decisions
    ]
    told = summary(one for decisions in found.values() for one in decisions)
    words = ", ".join(f"{count} {word}" for word, count in told.items())
    return _section("Replayed", ("run", "at", "was decided", f"{planner} would", ""), cells, words)


NO_RUNS = "No runs to replay: none has decided anything yet."


def chart(comparison: Comparison, against: str = "") -> Picture:
    """Completion and spend of every planner less those of the one they are paired with, with 95 % intervals."""
    complete, spend = (pairs(comparison, against, name) for name in ("complete", "spend"))
    if not complete:
        figure, axes = canvas("Two planners make a pair", height=1.0)
        axes.set_axis_off()
        return picture(figure, "Two planners make a pair", "Nothing to compare.")
    second = complete[0].second
    title = f"Completion and spend, less those of {label(second)}"
    figure = panes(title, 1.6 + 0.38 * len(complete))
    left, right = figure.subplots(1, 2, sharey=True)
    _forest(left, complete, BLUE, "completes more →, points")
    _forest(right, spend, ORANGE, "spends more →, points of the budget")
    left.set_yticks(range(len(complete)), [label(one.first) for one in complete])
    left.invert_yaxis()
    words = "; ".join(
        f"{one.first} completes {_points(one.difference)} points, spends {_points(two.difference)} points"
        for one, two in zip(complete, spend, strict=True)
    )
    return picture(figure, title, f"{words}. 95 % intervals over {complete[0].difference.cases} scenarios.")


def _forest(axes: Any, found: Sequence[Pair], colour: str, unit: str) -> None:
    grid(axes, "x")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.axvline(0, color=TEXT, linewidth=1)
    for place, one in enumerate(found):
        low, mean, high = (100 * value for value in (one.difference.low, one.difference.mean, one.difference.high))
        axes.plot([low, high], [place, place], color=colour, linewidth=2.5, solid_capstyle="butt")
        axes.plot([mean], [place], marker="o", color=colour, markersize=7)
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.set_xlabel(unit, fontsize=9, color=TEXT)
    axes.tick_params(labelsize=9, length=3, colors=TEXT)


def _section(name: str, head: tuple[str, ...], cells: list[list[object]], words: str = "") -> Section:
    parts: list[object] = [el("h3", name)]
    if cells:
        parts.append(table(head, cells, name))
    if words:
        parts.append(el("p", words, class_="faint"))
    lines = [" | ".join(head), *(" | ".join(map(_plain, row)) for row in cells)] if cells else []
    return Section(join(*parts), "\n".join(filter(None, [name, *lines, words])))


def _plain(cell: object) -> str:
    return unescape(re.sub("<[^>]*>", " ", cell)).strip() if isinstance(cell, Html) else str(cell)


def _said(one: Disagreement) -> Html:
    told = []
    for (action, vendor), planners in one.choices().items():
        reason = one.said[planners[0]].reason
        words = f": {action} {vendor}. “{reason[:REASON_MAX]}{'…' if len(reason) > REASON_MAX else ''}”"
        told.append(el("p", el("b", ", ".join(planners)), words))
    return join(*told)


def _verdict(one: Replayed) -> str:
    if one.other is None:
        return one.problem
    return "the same" if one.agrees else f"different{f'; refused: {one.problem}' if one.problem else ''}"


def _words(said: Said | None) -> str:
    return f"{said.action} {said.vendor_id}".strip() if said else "no answer"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _points(interval: Interval) -> str:
    return f"{100 * interval.mean:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
