"""The table of runs in the console: what the page in the browser asks for, read from MongoDB."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import traitlets as t
from anywidget import AnyWidget

from gpuagent.core.run_list import CHOICES, RunFilter, RunLists, RunPage, parse_sort
from gpuagent.errors import BadInput, GpuAgentError
from gpuagent.panels.kit.html import Html
from gpuagent.panels.kit.tasks import Tasks
from gpuagent.panels.run_table.rows import COLUMNS, NO_MATCH, NO_RUNS, page_html, row_of, summary, total

PAGE = 25
HERE = Path(__file__).parent
FIELDS = tuple(RunFilter.__slots__)
START: Mapping[str, object] = {**dict.fromkeys(FIELDS, ""), "sort": "started", "page": 0}


class RunTableWidget(AnyWidget):
    """The part in the browser. query: filters, order and number of the page, from there. page: the rows, from here.

    chosen: the id of the run that is open, from either side.
    """

    _esm: ClassVar[str] = (HERE / "table.js").read_text(encoding="utf-8")
    _css: ClassVar[str] = (HERE / "table.css").read_text(encoding="utf-8")
    query = t.Dict(dict(START)).tag(sync=True)
    page = t.Dict().tag(sync=True)
    chosen = t.Unicode("").tag(sync=True)
    columns: t.List[Any] = t.List().tag(sync=True)
    filters: t.List[Any] = t.List().tag(sync=True)


@dataclass(frozen=True, slots=True)
class Query:
    """What the browser asks for, checked. number: of the page, from 0."""

    where: RunFilter
    sort: str
    number: int


def read_query(value: Mapping[str, Any]) -> Query:
    """Raises BadInput: whatever stands in a browser may have been written there by a visitor."""
    where, number = RunFilter(**{name: value.get(name, "") for name in FIELDS}), value.get("page", 0)
    if not isinstance(number, int) or number < 0:
        raise BadInput("page: a number, 0 for the first")
    return Query(where, str(parse_sort(str(value.get("sort") or "started"))), number)


class RunTable:
    """The table. widget: what shows it. opened: called with the id of a run that a user opens in it."""

    QUIET_S = 1.0
    """Seconds between two reads that changes in the database cause: a search may be dear, and a fleet writes always."""

    def __init__(
        self, lists: RunLists, tasks: Tasks, opened: Callable[[str], None], vendor_ids: Sequence[str], chosen: str = ""
    ) -> None:
        """Reads the first page. Raises StoreError."""
        self._lists, self._tasks, self._opened = lists, tasks, opened
        self._query = read_query(START)
        self._places = [""]
        """What each page of this list that was seen begins after, and the next."""
        self._reading = self._stale = self._waiting = False
        self.widget = RunTableWidget(
            columns=[asdict(column) for column in COLUMNS], filters=_filters(vendor_ids), chosen=chosen
        )
        self._show(self._query, self._read(self._query))
        self.widget.observe(lambda change: self._ask(change["new"]), "query")
        self.widget.observe(lambda change: self._choose(change["new"]), "chosen")
        self._chosen = chosen

    @property
    def rows(self) -> list[dict[str, str]]:
        """The rows of the page that is shown."""
        return list(self.widget.page["rows"])

    def show_chosen(self, run_id: str) -> None:
        """Mark the run that is open."""
        self._chosen = run_id
        self.widget.chosen = run_id

    def changed(self) -> None:
        """Runs have changed: read the page anew, soon; of several changes meanwhile, once. On the loop only."""
        if not self._waiting:
            self._waiting = True
            self._tasks.later(self.QUIET_S, self._refresh)

    def html(self) -> Html:
        """The page that is shown, without widgets."""
        return page_html(self.rows, self.widget.page["summary"])

    def _refresh(self) -> None:
        self._waiting = False
        self._read_soon()

    def _ask(self, value: Mapping[str, Any]) -> None:
        try:
            query = read_query(value)
        except BadInput as error:
            self.widget.page = {**self.widget.page, "problem": str(error)}
            return
        if (query.where, query.sort) != (self._query.where, self._query.sort):
            self._places = [""]
        number = min(query.number, len(self._places) - 1)
        self._query = Query(query.where, query.sort, number)
        self._read_soon()

    def _choose(self, run_id: str) -> None:
        if run_id != self._chosen:
            self._chosen = run_id
            self._opened(run_id)

    def _read_soon(self) -> None:
        self._stale = True
        if not self._reading:
            self._reading = True
            self._tasks.spawn(self._read_until_fresh)

    async def _read_until_fresh(self) -> None:
        """Reads what is asked for, and anew where something else was asked for meanwhile."""
        try:
            while self._stale:
                self._stale = False
                query = self._query
                page = await asyncio.to_thread(self._read, query)
                if query == self._query:
                    self._show(query, page)
        except GpuAgentError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001  a bug, which nothing else would show
            self._fail(f"a bug: {type(error).__name__}: {error}")
        finally:
            self._reading = False
            if self._stale:
                self._read_soon()

    def _read(self, query: Query) -> RunPage:
        place = self._places[query.number]
        return self._lists.run_page(query.where, parse_sort(query.sort), PAGE, place, counted=True)

    def _fail(self, problem: str) -> None:
        """The rows stay: they are what was asked for before."""
        self.widget.page = {**self.widget.page, "problem": f"{problem}. What is shown was asked for before."}

    def _show(self, query: Query, page: RunPage) -> None:
        self._places[query.number + 1 :] = [page.next] if page.next else []
        is_filtered = query.where != RunFilter() or query.number > 0
        self.widget.page = {
            "rows": [row_of(run) for run in page.runs],
            "number": query.number,
            "size": PAGE,
            "more": bool(page.next),
            "sort": query.sort,
            "summary": summary(page, query.number, PAGE),
            "total": total(page),
            "none": NO_MATCH if is_filtered else NO_RUNS,
            "problem": "",
        }


def _filters(vendor_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The fields of the form, in their order; those with options are lists to choose from."""

    def choice(name: str, label: str, values: Sequence[str]) -> dict[str, Any]:
        return {"name": name, "label": label, "options": [("any", ""), *((value, value) for value in values)]}

    return [
        {"name": "text", "label": "Search runs", "hint": "words of the goal, or a run's id"},
        choice("status", "Status", CHOICES["status"]),
        choice("phase", "Phase is", CHOICES["phase"]),
        choice("vendor", "Vendor", vendor_ids),
        {"name": "user", "label": "User", "hint": "any"},
        {"name": "tag", "label": "Tag", "hint": "any"},
    ]
