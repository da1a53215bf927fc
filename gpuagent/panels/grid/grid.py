"""A table in the browser whose rows are read here, a page at a time: MongoDB filters and sorts, the browser draws."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import traitlets as t
from anywidget import AnyWidget

from gpuagent.errors import GpuAgentError
from gpuagent.panels.kit.tasks import Tasks

HERE = Path(__file__).parent
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column. name: of the row's text. sort: what a click on its heading sorts by, "" for nothing. kind: of the cell.

    kind: text; cut, which is whole on hover; pill, a text on the row's colour; or id, which can be copied.
    """

    name: str
    label: str
    sort: str = ""
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class FilterField:
    """A field of the form. options: label and value of each choice; none for a text. wide: it gets more room."""

    name: str
    label: str
    hint: str = ""
    options: tuple[tuple[str, str], ...] = ()
    wide: bool = False


@dataclass(frozen=True, slots=True)
class GridQuery:
    """What the browser asks for. filters: by field, as texts. number: of the page, from 0."""

    filters: Mapping[str, str]
    sort: str
    number: int


@dataclass(frozen=True, slots=True)
class GridPage:
    """What the browser shows. next: what the next page begins after, "" on the last. total: -1 where it is unknown.

    summary: which of how many rows they are. none: what is said where there is no row.
    """

    rows: Sequence[Row]
    next: str
    summary: str
    total: int = -1
    none: str = ""


class GridWidget(AnyWidget):
    """The part in the browser. query: filters, order and number of the page, from there. page: the rows, from here.

    chosen: the id of the row that is open, from either side.
    """

    _esm: ClassVar[str] = (HERE / "grid.js").read_text(encoding="utf-8")
    _css: ClassVar[str] = (HERE / "grid.css").read_text(encoding="utf-8")
    label = t.Unicode().tag(sync=True)
    columns: t.List[Any] = t.List().tag(sync=True)
    filters: t.List[Any] = t.List().tag(sync=True)
    query = t.Dict().tag(sync=True)
    page = t.Dict().tag(sync=True)
    chosen = t.Unicode("").tag(sync=True)


class Grid:
    """The table. widget: what shows it. query: what is shown."""

    QUIET_S = 1.0
    """Seconds between two reads that changes in the database cause: a search may be dear, and a fleet writes always."""

    def __init__(
        self,
        tasks: Tasks,
        label: str,
        columns: Sequence[Column],
        fields: Sequence[FilterField],
        read: Callable[[GridQuery, str], GridPage],
        opened: Callable[[str], None],
        sort: str = "",
    ) -> None:
        """read: the page behind a place, "" for the first; in a thread; raises BadInput, StoreError. Nothing is read
        before load(). opened: called with the id of a row that a user opens. sort: the first order."""
        self._tasks, self._read, self._opened = tasks, read, opened
        self._names = [field.name for field in fields]
        self.query = GridQuery(dict.fromkeys(self._names, ""), sort, 0)
        self._places = [""]
        """What each page of this list that was seen begins after, and the next."""
        self._reading = self._stale = self._waiting = False
        self._chosen = ""
        self.widget = GridWidget(
            label=label,
            columns=[asdict(column) for column in columns],
            filters=[asdict(field) for field in fields],
            query={**self.query.filters, "sort": sort, "page": 0},
            page=_shown(self.query, GridPage((), "", "")),
        )
        self.widget.observe(lambda change: self._ask(change["new"]), "query")
        self.widget.observe(lambda change: self._choose(change["new"]), "chosen")

    @property
    def rows(self) -> list[Row]:
        """The rows of the page that is shown."""
        return list(self.widget.page["rows"])

    @property
    def summary(self) -> str:
        return str(self.widget.page["summary"])

    def show_chosen(self, row_id: str) -> None:
        """Mark the row that is open."""
        self._chosen = row_id
        self.widget.chosen = row_id

    def load(self) -> None:
        """Read the page at once, in this thread. Raises as read()."""
        self._show(self.query, self._read(self.query, self._places[self.query.number]))

    def restart(self) -> None:
        """It is a list of something else now: read its first page, soon."""
        self._places, self.query = [""], GridQuery(self.query.filters, self.query.sort, 0)
        self._read_soon()

    def changed(self) -> None:
        """Rows have changed: read the page anew, soon; of several changes meanwhile, once. On the loop only."""
        if not self._waiting:
            self._waiting = True
            self._tasks.later(self.QUIET_S, self._refresh)

    def _refresh(self) -> None:
        self._waiting = False
        self._read_soon()

    def _ask(self, value: Mapping[str, Any]) -> None:
        """Whatever comes from a browser may have been made up by a visitor."""
        filters = {name: value.get(name, "") for name in self._names}
        number, sort = value.get("page", 0), value.get("sort", "")
        if not all(isinstance(text, str) for text in (*filters.values(), sort)):
            self._fail("a filter is a text")
        elif not isinstance(number, int) or number < 0:
            self._fail("page: a number, 0 for the first")
        else:
            if (filters, sort) != (self.query.filters, self.query.sort):
                self._places = [""]
            self.query = GridQuery(filters, sort, min(number, len(self._places) - 1))
            self._read_soon()

    def _choose(self, row_id: str) -> None:
        if row_id != self._chosen:
            self._chosen = row_id
            self._opened(row_id)

    def _read_soon(self) -> None:
        self._stale = True
        if not self._reading:
            self._reading = True
            self._tasks.spawn(self._read_until_fresh)

    async def _read_until_fresh(self) -> None:
        """Reads what is asked for, and anew where something else was asked for meanwhile."""
        while self._stale:
            self._stale = False
            query, places = self.query, self._places
            try:
                page = await asyncio.to_thread(self._read, query, places[query.number])
            except GpuAgentError as error:
                self._fail(str(error))
            except Exception as error:  # noqa: BLE001  a bug, which nothing else would show
                self._fail(f"a bug: {type(error).__name__}: {error}")
            else:
                if query is self.query:
                    self._show(query, page)
        self._reading = False

    def _fail(self, problem: str) -> None:
        """The rows stay: they are what was asked for before."""
        self.widget.page = {**self.widget.page, "problem": f"{problem}. What is shown was asked for before."}

    def _show(self, query: GridQuery, page: GridPage) -> None:
        self._places = [*self._places[: query.number + 1], *([page.next] if page.next else [])]
        self.widget.page = _shown(query, page)


def _shown(query: GridQuery, page: GridPage) -> dict[str, Any]:
    return {
        "rows": [dict(row) for row in page.rows],
        "number": query.number,
        "more": bool(page.next),
        "sort": query.sort,
        "summary": page.summary,
        "total": page.total,
        "none": page.none,
        "problem": "",
    }
