"""The timeline of the open run: every decision, payment, job and message in order; each opens its record."""

from collections.abc import Callable, Mapping
from datetime import datetime

import ipywidgets as w

from gpuagent.core.rights import Right
from gpuagent.core.timeline import EntryKind, TimelineEntry, TimelineRecord, parse_entries
from gpuagent.panels.grid.grid import Column, FilterField, Grid, GridPage, GridQuery
from gpuagent.panels.kit.message import StatusLine, html_widget, styled
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.panels.timeline.record import record_view
from gpuagent.render import palette
from gpuagent.wiring.database import Database

PAGE, TEXT_MAX = 50, 500
COLOURS = {
    EntryKind.DECISION: palette.ORANGE,
    EntryKind.PAYMENT: palette.SKY,
    EntryKind.JOB: palette.GREEN,
    EntryKind.PROBLEM: palette.VERMILLION,
    EntryKind.MESSAGE: palette.PALE,
}
COLUMNS = (
    Column("kind", "Kind", kind="pill"),
    Column("at", "At"),
    Column("vendor", "Vendor"),
    Column("text", "What", kind="line"),
)


class TimelineView:
    """The timeline of a run, a page at a time, and below it the record of the entry that was opened."""

    def __init__(self, database: Database, tasks: Tasks, colours: Callable[[], Mapping[str, str]]) -> None:
        """colours: of the vendors, by id; called in a thread."""
        self._database, self._colours = database, colours
        self._run_id = ""
        self._in_sight = False
        kinds = (("all", ""), *((kind.value, kind.value) for kind in EntryKind))
        fields = (FilterField("kind", "Entries", options=kinds),)
        self.grid = Grid(tasks, "Timeline", COLUMNS, fields, self._read, self._open)
        self.record, self.message = html_widget(), StatusLine()
        self._task = ExclusiveTask(tasks, self.message, lambda: None, Right.LOOK)
        self.widget = w.VBox([self.grid.widget, self.message.widget, self.record])

    def show(self, run_id: str) -> None:
        """The run that is open, or the same one again after it has changed. On the loop only."""
        is_same, self._run_id = run_id == self._run_id, run_id
        if is_same:
            if self._in_sight:
                self.grid.changed()
            return
        self.record.value = ""
        self.message.clear()
        self.grid.show_chosen("")
        if self._in_sight:
            self.grid.restart()

    def show_in_sight(self, in_sight: bool) -> None:
        """Nothing is read while the panel is hidden."""
        self._in_sight = in_sight
        if in_sight:
            self.grid.restart()

    def _read(self, query: GridQuery, place: str) -> GridPage:
        if not (run_id := self._run_id):
            return GridPage((), "", "", none="No run is open.")
        kinds = parse_entries([kind] if (kind := query.filters["kind"]) else [])
        page = self._database.reads.timeline(run_id, place, kinds, PAGE)
        rows = [row_of(entry) for entry in page.entries]
        first = query.number * PAGE + 1
        summary = f"entries {first:,} to {first + len(rows) - 1:,}{', and more' if page.next else ''}" if rows else ""
        return GridPage(rows, page.next, summary, none="Nothing has happened yet.")

    def _open(self, entry_id: str) -> None:
        run_id = self._run_id

        def work() -> tuple[TimelineRecord, Mapping[str, str]]:
            return self._database.reads.timeline_record(run_id, entry_id), self._colours()

        def finish(result: tuple[TimelineRecord, Mapping[str, str]]) -> None:
            self.message.clear()
            if run_id == self._run_id:
                self.record.value = styled(record_view(*result))

        if entry_id and run_id:
            self._task.run("Reading the record", work, finish)


def row_of(entry: TimelineEntry) -> dict[str, str]:
    """The texts of an entry's row, by column."""
    number = f" {entry.number}" if entry.number else ""
    colour = COLOURS[entry.kind]
    return {
        "id": entry.id,
        "kind": f"{entry.kind.value}{number}",
        "colour": colour,
        "textColour": palette.text_on(colour),
        "at": _at(entry.at),
        "vendor": entry.vendor,
        "text": " ".join(entry.text.split())[:TEXT_MAX],
    }


def _at(at: datetime) -> str:
    return at.astimezone().strftime("%d %b %H:%M:%S")
