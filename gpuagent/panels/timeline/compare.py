"""Two runs beside each other: what was ordered, what became of it, and what happened when. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gpuagent.core.money import amount, show_usd
from gpuagent.core.status import planner_label
from gpuagent.core.timeline import TimelineEntry
from gpuagent.panels.kit.html import Html, el, join, table
from gpuagent.panels.state_diagram import pill
from gpuagent.panels.timeline.timeline import COLOURS
from gpuagent.render.palette import text_on
from gpuagent.render.run import job_label

ENTRIES_MAX, TEXT_MAX = 200, 300
"""Entries of each run that are shown beside each other; the messages of jobs are not among them."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run for a comparison. entries: its first ENTRIES_MAX. is_cut: there are more."""

    run: Mapping[str, Any]
    jobs: Sequence[Mapping[str, Any]]
    entries: Sequence[TimelineEntry]
    is_cut: bool = False


def comparison(first: ComparedRun, second: ComparedRun) -> Html:
    """Both runs' facts, those that differ marked, and both timelines from each run's start."""
    facts, second_facts = run_facts(first), run_facts(second)
    rows: list[list[object]] = [
        [name, value[:TEXT_MAX], second_facts[name][:TEXT_MAX], _verdict(value == second_facts[name])]
        for name, value in facts.items()
    ]
    heads = ("fact", "open run", "other run", "equal")
    columns = (el("div", _timeline(side), class_="side") for side in (first, second))
    return join(
        el("p", "open run ", el("code", first.run["_id"]), ", other run ", el("code", second.run["_id"])),
        table(heads, rows, "Two runs compared"),
        el("h3", "What happened when, from each run's start"),
        el("div", *columns, class_="sides"),
    )


def run_facts(side: ComparedRun) -> dict[str, str]:
    """What a comparison says of a run, by the name of each fact."""
    run, jobs = side.run, side.jobs
    ends = [job["completedAt"] for job in jobs if job.get("completedAt")]
    took = _offset(max(ends) - run["createdAt"]) if ends and run["status"] != "running" else "not over yet"
    vendors = [f"{job['vendorId']} {job['status']}" for job in jobs]
    return {
        "phase": run["phase"],
        "goal": run["goal"],
        "job": job_label(run) or "none",
        "budget": show_usd(amount(run["budgetTotal"])),
        "settled": show_usd(amount(run["settled"])),
        "held": show_usd(amount(run["held"])),
        "planner cost": show_usd(amount(run["plannerCost"])),
        "planner": planner_label(run["planner"]),
        "GPU": f"{run.get('maxHours', 0):g} h of {run['gpuType']}",
        "jobs": ", ".join(vendors) or "none",
        "first to last": took,
        "only from": ", ".join(run.get("vendorIds") or ()) or "any vendor",
        "user": run["userId"],
        "tags": ", ".join(run["tags"]) or "none",
    }


def _verdict(is_equal: bool) -> Html:
    return el("span", "equal", class_="faint") if is_equal else el("b", "differs", class_="whole")


def _timeline(side: ComparedRun) -> Html:
    start: datetime = side.run["createdAt"]
    lines = [_line(entry, start) for entry in side.entries]
    if side.is_cut:
        lines.append(el("p", f"{ENTRIES_MAX} entries are shown; later ones are in its timeline", class_="faint"))
    head = el("h4", pill(side.run["phase"]), f" {side.run['goal'][:80]}")
    return join(head, *(lines or [el("p", "Nothing has happened yet.", class_="faint")]))


def _line(entry: TimelineEntry, start: datetime) -> Html:
    colour = COLOURS[entry.kind]
    kind = el("span", entry.kind.value, class_="pill", style=f"background:{colour};color:{text_on(colour)}")
    text = " ".join(entry.text.split())[:TEXT_MAX]
    return el("p", el("time", f"+{_offset(entry.at - start)}"), " ", kind, " ", el("span", text), class_="entry")


def _offset(duration: timedelta) -> str:
    """Hours, minutes and seconds."""
    seconds = max(round(duration.total_seconds()), 0)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
