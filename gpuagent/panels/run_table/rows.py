"""A page of runs as rows of text, and as HTML where there are no widgets. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuagent.core.money import amount, show_usd
from gpuagent.core.run_list import COUNT_MAX, RunPage
from gpuagent.panels.kit.html import Html, el, join, table
from gpuagent.panels.state_diagram import colour_of, pill
from gpuagent.render.palette import text_on

GOAL_MAX = 300
NO_RUNS, NO_MATCH = "No runs yet.", "No run matches."


@dataclass(frozen=True, slots=True)
class Column:
    """A column. name: of the row's text. sort: what a click on its heading sorts by, "" for nothing. whole: its text
    may be cut on the screen, and is whole on hover."""

    name: str
    label: str
    sort: str = ""
    whole: bool = False


COLUMNS = (
    Column("phase", "Phase"),
    Column("goal", "Goal", whole=True),
    Column("started", "Started", "started"),
    Column("spent", "Spent", "spent"),
    Column("budget", "Budget", "budget"),
    Column("user", "User", whole=True),
    Column("tags", "Tags", whole=True),
    Column("id", "Run"),
)


def row_of(run: Mapping[str, Any]) -> dict[str, str]:
    """The texts of a run's row, by column, and the colours of its phase."""
    colour = colour_of(run["phase"])
    return {
        "id": str(run["_id"]),
        "phase": run["phase"],
        "colour": colour,
        "textColour": text_on(colour),
        "goal": " ".join(run["goal"].split())[:GOAL_MAX],
        "started": run["createdAt"].astimezone().strftime("%d %b %Y %H:%M"),
        "spent": show_usd(amount(run["settled"])),
        "budget": show_usd(amount(run["budgetTotal"])),
        "user": run["userId"],
        "tags": ", ".join(run["tags"]),
    }


def summary(page: RunPage, number: int, size: int) -> str:
    """Which of how many are shown. number: of the page, from 0."""
    if not page.runs:
        return NO_MATCH
    first = number * size + 1
    last = first + len(page.runs) - 1
    return f"{first:,} to {last:,} of {page.count_text} runs" if page.count is not None else f"{first:,} to {last:,}"


def total(page: RunPage) -> int:
    """How many runs match, -1 where they are too many to count."""
    return -1 if page.count is None or page.count > COUNT_MAX else page.count


def page_html(rows: Sequence[Mapping[str, str]], summary_text: str) -> Html:
    """The page as a table of its own."""
    if not rows:
        return el("p", NO_RUNS, class_="faint")
    cells: list[list[object]] = [
        [pill(row["phase"]), *(row[column.name] for column in COLUMNS[1:-1]), el("code", row["id"])] for row in rows
    ]
    return join(table(tuple(column.label for column in COLUMNS), cells, "Runs"), el("p", summary_text, class_="faint"))
