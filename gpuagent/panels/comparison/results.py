"""Results of a comparison as tables for notebooks, in HTML and in plain text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

from gpuagent.core.money import show_usd
from gpuagent.core.status import planner_label
from gpuagent.panels.comparison.runner import ComparisonRun
from gpuagent.panels.kit.html import Html, el, join, table
from gpuagent.panels.kit.message import styled
from gpuagent.panels.kit.style import sheet
from gpuagent.planbench.compare import BAYES, BOUNDS, ORACLE, Comparison
from gpuagent.planbench.disagreements import Disagreement, disagreements
from gpuagent.planbench.labels import planner_labels, planner_note
from gpuagent.planbench.replay import ReplayedDecision, summary
from gpuagent.planbench.report import jobs_done, show_cents
from gpuagent.planbench.scores import ALL, like_with_like, overall, pairs, rows, several
from gpuagent.planbench.statistics import Interval

DISAGREEMENTS_MAX = 25
REASON_MAX = 240
NO_RUNS = "No runs to replay: none has decided anything yet."


@dataclass(frozen=True, slots=True)
class ResultTable:
    """A table with its heading and note, as markup and as plain text."""

    html: Html
    plain: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": join(sheet(), styled(self.html)), "text/plain": self.plain}


def score_table(comparison: Comparison) -> ResultTable:
    """Every planner over all scenarios, the best first; bounds know more than a planner can."""
    alike = like_with_like(comparison)
    scores = overall(row for row in rows(alike) if row.planner != ORACLE)
    cells: list[list[object]] = [
        [
            _column_name(row.planner),
            str(row.files),
            _share(row.complete),
            _share(row.spend),
            f"{row.utility:.4f}",
            format_points(row.lost) if row.lost and row.planner != BAYES else "",
            "" if row.planner in BOUNDS else str(row.invalid),
        ]
        for row in scores
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
    note = ". ".join(filter(None, (comparison.stopped, _coverage(comparison), planner_note(comparison.planners()))))
    return _result_table("All scenarios", head, cells, note)


def several_table(comparison: Comparison) -> ResultTable:
    """Every planner over the runs with several jobs: how many complete, and what that costs; the oracle knows luck."""
    scores = overall(rows(several(like_with_like(comparison))))
    cells: list[list[object]] = [
        [
            _column_name(row.planner),
            str(row.files),
            jobs_done(row),
            _share(row.complete),
            show_cents(row.paid),
            show_cents(row.paid / row.jobs_done) if row.jobs_done else "–",
            f"{row.utility:.4f}",
            format_points(row.behind) if row.behind and row.planner != ORACLE else "",
        ]
        for row in scores
    ]
    head = (
        "planner",
        "scenarios",
        "jobs completed in a run",
        "completes all",
        "cost of a run",
        "cost of a completed job",
        "U",
        "points of U behind the oracle (95 %)",
    )
    note = "" if cells else "No scenario has a run with several jobs."
    return _result_table("Several jobs in one run", head, cells, note)


def paired_table(comparison: Comparison, against: str = "") -> ResultTable:
    """Each planner less the one it is paired with, scenario by scenario, which takes their luck out."""
    complete, spend, utility = (pairs(comparison, against, measure) for measure in ("complete", "spend", "utility"))
    cells: list[list[object]] = [
        [
            planner_label(complete_pair.first),
            format_points(complete_pair.difference),
            format_points(spend_pair.difference),
            format_points(utility_pair.difference),
            str(utility_pair.difference.cases),
        ]
        for complete_pair, spend_pair, utility_pair in zip(complete, spend, utility, strict=True)
    ]
    second = planner_label(complete[0].second) if complete else "another planner"
    head = (
        f"less {second}",
        "completes, points (95 %)",
        "spends, points of the budget (95 %)",
        "U, points (95 %)",
        "scenarios",
    )
    note = "" if cells else "Two planners make a pair."
    return _result_table(f"Paired with {second}", head, cells, note)


def family_table(comparison: Comparison) -> ResultTable:
    """The share of runs that each planner completes, by family of markets."""
    scores = [row for row in rows(like_with_like(comparison), "family") if row.group != ALL]
    planners = [name for name in comparison.planners() if name not in BOUNDS]
    if BAYES in comparison.planners():
        planners.append(BAYES)
    cells: list[list[object]] = []
    for group in dict.fromkeys(row.group for row in scores):
        members = {row.planner: row for row in scores if row.group == group}
        files = max(row.files for row in members.values())
        shares = [_share(members[name].complete) if name in members else "–" for name in planners]
        cells.append([group, str(files), *shares])
    return _result_table(
        "Completes, by family of markets", ("family", "scenarios", *map(_column_name, planners)), cells
    )


def disagreement_table(comparison: Comparison, limit: int = DISAGREEMENTS_MAX) -> ResultTable:
    """Contexts in which planners chose differently, with the reason of each."""
    conflicts = disagreements(comparison)
    cells: list[list[object]] = [
        [f"{conflict.scenario}, tick {conflict.tick}", conflict.family, f"{conflict.survival:.0%}", _reasons(conflict)]
        for conflict in conflicts[:limit]
    ]
    note = "" if conflicts else "The planners agreed in every context that they shared."
    if len(conflicts) > limit:
        note = f"{len(conflicts)} in all; the {limit} likeliest to be met are shown."
    return _result_table("Disagreements", ("where", "family", "met by", "choices and reasons"), cells, note)


def cost_table(run: ComparisonRun) -> ResultTable:
    """Questions, tokens and cost of each planner; a free planner is asked and charges nothing."""
    cells: list[list[object]] = [
        [
            planner_label(client.planner.name),
            f"{client.calls:,}",
            f"{client.tokens:,}" if client.tokens else "–",
            show_usd(client.spent),
        ]
        for client in run.clients
    ]
    limit = run.spend_limit.amount
    allowance = f", of at most {show_usd(limit)}" if limit is not None else ""
    note = f"{show_usd(run.spend_limit.spent)} in all{allowance}."
    return _result_table("Asked", ("planner", "questions", "tokens", "cost"), cells, note)


def replay_table(replays: Mapping[str, Sequence[ReplayedDecision]], planner: str) -> ResultTable:
    """The user's own runs, by id, with another planner's choice for each decision."""
    if not replays:
        return ResultTable(el("p", NO_RUNS, class_="note"), NO_RUNS)
    cells: list[list[object]] = [
        [
            run_id,
            decision.at[:19],
            f"{planner_label(decision.decided_by)}: {decision.recorded.label}",
            decision.alternative.label if decision.alternative else "no answer",
            _verdict(decision),
        ]
        for run_id, decisions in replays.items()
        for decision in decisions
    ]
    counts = summary(decision for decisions in replays.values() for decision in decisions)
    note = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return _result_table("Replayed", ("run", "at", "was decided", f"{planner_label(planner)} would", ""), cells, note)


def _coverage(comparison: Comparison) -> str:
    """Over how many files the planners and bounds of a comparison that ended early are compared."""
    if not comparison.stopped:
        return ""
    played, common = ({play.scenario for play in part.plays} for part in (comparison, like_with_like(comparison)))
    if not common:
        return f"No file of {len(played)} was finished by every planner: there is nothing to compare"
    return f"Compared over the {len(common)} of {len(played)} files that every planner has finished"


def format_points(interval: Interval) -> str:
    """An interval of shares in percentage points."""
    return f"{100 * interval.mean:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def _result_table(title: str, head: tuple[str, ...], cells: list[list[object]], note: str = "") -> ResultTable:
    parts: list[object] = [el("h3", title)]
    lines = [title]
    if cells:
        parts.append(table(head, cells, title))
        lines += [" | ".join(head), *(" | ".join(map(_plain, row)) for row in cells)]
    if note:
        parts.append(el("p", note, class_="faint"))
        lines.append(note)
    return ResultTable(join(*parts), "\n".join(lines))


def _plain(cell: object) -> str:
    return unescape(re.sub("<[^>]*>", " ", cell)).strip() if isinstance(cell, Html) else str(cell)


def _column_name(planner: str) -> str:
    return f"{planner} (bound)" if planner in BOUNDS else planner_label(planner)


def _reasons(disagreement: Disagreement) -> Html:
    paragraphs = []
    for (action, vendor), planners in disagreement.planners_by_choice().items():
        reason = disagreement.moves[planners[0]].reason
        excerpt = reason[:REASON_MAX] + ("…" if len(reason) > REASON_MAX else "")
        paragraphs.append(el("p", el("b", planner_labels(planners)), f": {action} {vendor}. “{excerpt}”"))
    return join(*paragraphs)


def _verdict(decision: ReplayedDecision) -> str:
    if decision.alternative is None:
        return decision.problem
    if decision.agrees:
        return "the same"
    return f"different; refused: {decision.problem}" if decision.problem else "different"


def _share(value: float) -> str:
    return f"{value:.1%}"
