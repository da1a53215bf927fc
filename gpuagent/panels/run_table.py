"""The table of all runs: searched, filtered and sorted as `gpuagent run list` does; a row opens its run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpuagent.core.money import amount, show_usd
from gpuagent.core.run_list import ALL_RUNS, CHOICES, COUNT_MAX, RunFilter, RunLists, RunPage, parse_sort
from gpuagent.panels.grid.grid import Column, FilterField, Grid, GridPage, GridQuery
from gpuagent.panels.kit.html import Html, el, join, table
from gpuagent.panels.kit.tasks import Tasks
from gpuagent.panels.state_diagram import colour_of, pill
from gpuagent.render.palette import text_on

PAGE, GOAL_MAX = 25, 300
NO_RUNS, NO_MATCH = "No runs yet.", "No run matches."
COLUMNS = (
    Column("phase", "Phase", kind="pill"),
    Column("goal", "Goal", kind="cut"),
    Column("started", "Started", "started"),
    Column("spent", "Spent", "spent"),
    Column("budget", "Budget", "budget"),
    Column("user", "User", kind="cut"),
    Column("tags", "Tags", kind="cut"),
    Column("id", "Run", kind="id"),
)


class RunTable:
    """The table in the console. opened: called with the id of a run that a user opens in it."""

    def __init__(
        self, lists: RunLists, tasks: Tasks, opened: Callable[[str], None], vendor_ids: Sequence[str], chosen: str = ""
    ) -> None:
        """Reads the first page. Raises StoreError."""
        self._lists = lists
        self.grid = Grid(tasks, "Runs", COLUMNS, _fields(vendor_ids), self._read, opened, "started")
        self.grid.show_chosen(chosen)
        self.grid.load()
        self.widget = self.grid.widget

    @property
    def rows(self) -> list[Mapping[str, str]]:
        return self.grid.rows

    @property
    def ids(self) -> list[str]:
        return [row["id"] for row in self.rows]

    def html(self) -> Html:
        """The page that is shown, as a table without widgets."""
        if not self.rows:
            return el("p", NO_RUNS, class_="faint")
        cells: list[list[object]] = [
            [pill(row["phase"]), *(row[column.name] for column in COLUMNS[1:-1]), el("code", row["id"])]
            for row in self.rows
        ]
        heads = tuple(column.label for column in COLUMNS)
        return join(table(heads, cells, "Runs"), el("p", self.grid.summary, class_="faint"))

    def _read(self, query: GridQuery, place: str) -> GridPage:
        where = RunFilter(**query.filters)
        page = self._lists.run_page(where, parse_sort(query.sort), PAGE, place, counted=True)
        total = -1 if page.count is None or page.count > COUNT_MAX else page.count
        none = NO_RUNS if where == ALL_RUNS else NO_MATCH
        return GridPage([row_of(run) for run in page.runs], page.next, summary(page, query.number), total, none)


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


def summary(page: RunPage, number: int) -> str:
    """Which of how many are shown. number: of the page, from 0."""
    if not page.runs:
        return ""
    first = number * PAGE + 1
    places = f"{first:,} to {first + len(page.runs) - 1:,}"
    if page.count is None:
        return f"{places}; too many to count in time"
    return f"{places} of {page.count_text} {'run' if page.count == 1 else 'runs'}"


def _fields(vendor_ids: Sequence[str]) -> tuple[FilterField, ...]:
    def choice(name: str, label: str, values: Sequence[str]) -> FilterField:
        return FilterField(name, label, options=(("any", ""), *((value, value) for value in values)))

    return (
        FilterField("text", "Search runs", "words of the goal, or a run's id", wide=True),
        choice("status", "Status", CHOICES["status"]),
        choice("phase", "Phase is", CHOICES["phase"]),
        choice("vendor", "Vendor", vendor_ids),
        FilterField("user", "User", "any"),
        FilterField("tag", "Tag", "any"),
    )
