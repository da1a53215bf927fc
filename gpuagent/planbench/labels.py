"""Labels of planners in tables: the deterministic planner, whose name in data is `stub`, is shown as rules."""

from collections.abc import Iterable

from gpuagent.core.status import planner_label

STUB_NOTE = "rules: the deterministic planner, written stub in options, files and JSON"


def planner_note(planners: Iterable[str]) -> str:
    """The explanation that belongs below a table of these planners, or ""."""
    return STUB_NOTE if "stub" in planners else ""


def planner_labels(planners: Iterable[str]) -> str:
    """The labels as a list with commas."""
    return ", ".join(map(planner_label, planners))
