"""The event log, the newest first, so that nothing scrolls away under the reader; capped, escaped."""

from collections.abc import Mapping, Sequence
from typing import Any

from gpuagent.panels.kit.html import Html, el
from gpuagent.panels.tables import clock_time
from gpuagent.render import palette

LINES_MAX = 200
LINE_MAX = 500
KINDS = {
    "agent_reasoning": ("why", palette.ORANGE),
    "payment_event": ("money", palette.BLUE),
    "error": ("error", palette.VERMILLION),
    "job_log": ("vendor", palette.GREY),
    "metric": ("job", palette.GREEN),
}
FILTERS = {
    "Everything": tuple(KINDS),
    "Decisions": ("agent_reasoning",),
    "Money": ("payment_event",),
    "Errors": ("error",),
    "Vendor's log": ("job_log",),
    "Progress": ("metric",),
    "All but vendor's log": tuple(kind for kind in KINDS if kind != "job_log"),
}


def event_log(newest: Sequence[Mapping[str, Any]], filtered: bool) -> Html:
    """A line per observation. newest: the newest first; more than LINES_MAX show that there are older ones."""
    if not newest:
        hint = "Nothing matches the filter." if filtered else "Nothing has happened yet."
        return el("p", hint, class_="faint")
    lines = [_line(observation) for observation in newest[:LINES_MAX]]
    if len(newest) > LINES_MAX:
        lines.append(el("p", f"older ones are not shown; {LINES_MAX} lines are", class_="faint"))
    return el("div", *lines, class_="log", role="region", aria_label="Event log", tabindex=0)


def _line(observation: Mapping[str, Any]) -> Html:
    label, colour = KINDS[observation["type"]]
    return el(
        "p",
        el("time", clock_time(observation["timestamp"])),
        el("span", label, class_="kind", style=f"--ga-kind:{colour}"),
        el("span", observation["content"][:LINE_MAX]),
    )
