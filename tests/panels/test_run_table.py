"""The table of runs, as the browser's part asks it, on lists that are written down here."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128

from gpuagent.core.run_list import COUNT_MAX, RunFilter, RunPage, RunSort
from gpuagent.errors import StoreError
from gpuagent.panels.grid.grid import Grid, GridWidget
from gpuagent.panels.kit.tasks import Tasks
from gpuagent.panels.run_table import PAGE, RunTable, row_of, summary

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EVIL = '<script>alert("x")</script>'


def run_document(number: int, goal: str = "") -> dict[str, Any]:
    money = {"settled": Decimal128("1.40"), "budgetTotal": Decimal128("5")}
    named = {"_id": f"{number:024x}", "goal": goal or f"Goal {number}", "userId": "ada", "tags": ["x", "y"]}
    return {**named, **money, "phase": "WAITING", "createdAt": AT}


class WrittenLists:
    """A list of so many runs, by page. asked: what was asked for. hold: waits for it before it answers."""

    def __init__(self, count: int) -> None:
        self.runs = [run_document(number) for number in range(count)]
        self.asked: list[tuple[RunFilter, str, str]] = []
        self.hold: threading.Event | None = None
        self.problem: Exception | None = None

    def run_page(
        self,
        where: RunFilter = RunFilter(),  # noqa: B008  frozen
        sort: RunSort = RunSort(),  # noqa: B008
        limit: int = 20,
        before: str = "",
        counted: bool = False,
    ) -> RunPage:
        self.asked.append((where, str(sort), before))
        if self.hold:
            assert self.hold.wait(60)
        if self.problem:
            raise self.problem
        runs = [run for run in self.runs if where.text in run["goal"]]
        start = [run["_id"] for run in runs].index(before) + 1 if before else 0
        shown = runs[start : start + limit]
        more = shown[-1]["_id"] if start + limit < len(runs) else ""
        return RunPage(shown, more, min(len(runs), COUNT_MAX + 1) if counted else None)


def play(lists: WrittenLists, scene: Callable[[RunTable, "Desk"], Awaitable[None]], chosen: str = "") -> list[str]:
    """The ids of the runs that were opened."""
    opened: list[str] = []

    async def act() -> None:
        tasks = Tasks()
        table = RunTable(lists, tasks, opened.append, ["acme"], chosen)
        await scene(table, Desk(table, tasks))
        await tasks.settled()

    asyncio.run(act())
    return opened


class Desk:
    """The part in the browser: asks, and waits for the answer."""

    def __init__(self, table: RunTable, tasks: Tasks) -> None:
        self.table, self.tasks = table, tasks

    async def ask(self, **query: Any) -> Mapping[str, Any]:
        widget = self.table.widget
        widget.query = {**widget.query, "page": 0, **query}
        await self.tasks.settled()
        page: Mapping[str, Any] = widget.page
        return page


def test_pages_are_turned_by_key_and_a_new_search_begins_at_the_first() -> None:
    lists = WrittenLists(60)

    async def scene(table: RunTable, desk: Desk) -> None:
        page = table.widget.page
        assert (len(page["rows"]), page["more"], page["summary"]) == (PAGE, True, "1 to 25 of 60 runs")
        page = await desk.ask(page=1)
        assert page["rows"][0]["id"] == f"{25:024x}"
        page = await desk.ask(page=2)
        assert (page["more"], page["summary"]) == (False, "51 to 60 of 60 runs")
        assert (await desk.ask(page=9))["number"] == 2, "no page that was not reached"
        assert (await desk.ask(page=1))["number"] == 1
        page = await desk.ask(page=2, text="Goal 5")
        assert (page["number"], page["total"]) == (0, 11)
        page = await desk.ask(text="Goal 5", sort="spent:asc")
        assert page["sort"] == "spent:asc"
        page = await desk.ask(text="none")
        assert (page["rows"], page["none"]) == ([], "No run matches.")

    play(lists, scene)
    assert lists.asked[1][2] == f"{24:024x}"
    assert lists.asked[-2] == (RunFilter(text="Goal 5"), "spent:asc", "")


def test_what_a_browser_makes_up_is_refused_and_the_rows_stay() -> None:
    """Whoever is at the page may send any query: nothing but a filter reaches the database."""
    lists = WrittenLists(3)

    async def scene(table: RunTable, desk: Desk) -> None:
        for query in ({"status": {"$ne": ""}}, {"user": ["ada"]}, {"phase": "over"}, {"page": -1}, {"sort": "$where"}):
            page = await desk.ask(**{**dict.fromkeys(("status", "user", "phase"), ""), "sort": "started", **query})
            assert page["problem"], query
            assert len(page["rows"]) == 3
        assert len(lists.asked) == 1
        assert (await desk.ask(status="", user="", phase="", sort="started"))["problem"] == ""

    play(lists, scene)


def test_of_several_searches_the_last_is_shown_and_a_failure_is_told() -> None:
    lists = WrittenLists(3)

    async def scene(table: RunTable, desk: Desk) -> None:
        lists.hold = threading.Event()
        for text in ("G", "Go", "Goal 2"):
            table.widget.query = {**table.widget.query, "text": text}
        await asyncio.sleep(0)
        lists.hold.set()
        await desk.tasks.settled()
        assert [row["goal"] for row in table.rows] == ["Goal 2"]
        assert len(lists.asked) <= 3
        for problem, text in ((StoreError("too slow"), "too slow"), (ZeroDivisionError("x"), "a bug: ZeroDivision")):
            lists.problem = problem
            page = await desk.ask(text="G", asked=text)
            assert text in page["problem"]
            assert [row["goal"] for row in page["rows"]] == ["Goal 2"]

    play(lists, scene)


def test_changes_are_read_at_most_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Grid, "QUIET_S", 0.05)
    lists = WrittenLists(1)

    async def scene(table: RunTable, desk: Desk) -> None:
        lists.runs.insert(0, run_document(7))
        for _ in range(50):
            table.grid.changed()
        while len(table.rows) < 2:
            await asyncio.sleep(0.01)

    play(lists, scene)
    assert len(lists.asked) == 2


def test_a_row_opens_its_run_once_and_the_open_run_is_marked() -> None:
    async def scene(table: RunTable, desk: Desk) -> None:
        assert table.widget.chosen == "b"
        table.widget.chosen = "a"
        table.grid.show_chosen("a")
        table.grid.show_chosen("c")
        assert table.widget.chosen == "c"

    assert play(WrittenLists(1), scene, "b") == ["a"]


def test_rows_without_widgets_are_text_and_no_markup() -> None:
    lists = WrittenLists(1)
    lists.runs = [run_document(1, goal=EVIL)]

    async def scene(table: RunTable, desk: Desk) -> None:
        html = table.html()
        assert "<script" not in html
        for text in ("WAITING", "1.40 USD", "5.00 USD", "ada", "x, y", f"{1:024x}", "1 to 1 of 1 run"):
            assert text in html

    play(lists, scene)
    assert row_of(lists.runs[0])["goal"] == EVIL
    script = GridWidget._esm
    assert "innerHTML" not in script, "texts are set as text"
    assert summary(RunPage([{}], "", COUNT_MAX + 1), 1) == "26 to 26 of more than 1,000 runs"
    assert summary(RunPage([{}]), 0) == "1 to 1; too many to count in time"

    async def empty(table: RunTable, desk: Desk) -> None:
        assert "No runs yet." in table.html()

    play(WrittenLists(0), empty)
