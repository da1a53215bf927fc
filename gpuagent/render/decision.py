"""A run's decisions as text for a terminal: all in a line each, and one explained from its record."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gpuagent.core.money import show_usd
from gpuagent.core.status import planner_label
from gpuagent.render.fitting import Fitting

Document = Mapping[str, Any]
SCORES = {"p": "chance", "value": "value"}
"""The parts of a candidate's score that are shown where it has them, and what they are called."""
NUMBERS = "quote", "advertised", "learned"


def decision_lines(decisions: Sequence[Document]) -> Iterator[Text]:
    """A line per decision, numbered from the run's first."""
    for number, decision in enumerate(decisions, 1):
        content = " ".join(str(decision["content"]).split())
        yield Text(f"{number:>3}  {decision['timestamp']:%H:%M:%S}  {content}", no_wrap=True, overflow="ellipsis")


def decision_view(decision: Document) -> Iterator[RenderableType]:
    """The choice and its reason, the candidates, who decided, and the guard's verdict on each answer."""
    data = decision["data"]
    yield Text(str(decision["content"]))
    if data.get("archived"):
        yield Text(f"its record is archived: gpuagent run restore {decision['runId']}", style="dim")
    if "candidates" not in data:
        return
    chosen = (data["decision"] or {}).get("vendorId", "")
    table = Table(box=None, pad_edge=False)
    for column in ("candidate", "quote", "advertised", "learned", "score", "refused because"):
        table.add_column(column, justify="right" if column in NUMBERS else "left")
    for candidate in data["candidates"]:
        amount = candidate["amount"]
        refusals = "; ".join(filter(None, [candidate["problem"], *candidate["refusals"]]))
        table.add_row(
            escape(candidate["vendorId"]) + (" ✓" if candidate["vendorId"] == chosen else ""),
            "none" if amount is None else show_usd(int(amount)),
            _share(candidate["reliability"]),
            _share(candidate["learned"]),
            escape(score_text(candidate["score"])),
            escape(refusals),
        )
    yield Fitting(table)
    yield Text(f"decided by {planner_label(data['decidedBy'])} in {data['latencyMs']} ms", style="dim")
    for attempt, verdict in zip(data["attempts"], data["verdicts"], strict=True):
        yield Text(f"guard on {planner_label(attempt['planner'])}: {verdict}")
    if data.get("fallback"):
        yield Text(f"fell back: {data['fallback']}", style="yellow")


def _share(value: object) -> str:
    return f"{value:.0%}" if isinstance(value, int | float) else "unknown"


def score_text(score: object) -> str:
    """What a planner thinks of a candidate: of the rules' figures those that compare, in words."""
    if not isinstance(score, Mapping):
        return "none" if score is None else _number(score)
    labelled = [f"{label} {_number(score[name])}" for name, label in SCORES.items() if name in score]
    return ", ".join(labelled or [f"{name} {_number(value)}" for name, value in list(score.items())[:2]])


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)[:40]
