"""Kept charts: drawn anew for other figures, never for the same, and never believed by half."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from gpuagent.reports import exports, report
from gpuagent.reports.charts import kept, style
from gpuagent.reports.charts.kept import ChartBook
from gpuagent.reports.charts.style import Picture
from gpuagent.reports.partitions import Sizes
from tests.support import report_history

DAYS = pd.date_range("2026-11-01", periods=2, freq="D", tz="UTC")
TABLE = pd.DataFrame({"alpha": [1, 2], "beta": [3, 4]}, index=DAYS)
OTHERS: dict[str, Callable[[], Any]] = {
    "a figure": lambda: TABLE.replace(4, 5),
    "a column's name": lambda: TABLE.rename(columns={"beta": "gamma"}),
    "the order of columns": lambda: TABLE[["beta", "alpha"]],
    "the times": lambda: TABLE.shift(freq="D"),
    "fewer rows": lambda: TABLE.head(1),
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The titles of what is drawn from here on."""
    titles: list[str] = []
    canvas, panes = style.canvas, style.panes

    def counted(make: Callable[..., Any]) -> Callable[..., Any]:
        def draw(title: str, *arguments: Any, **fields: Any) -> Any:
            titles.append(title)
            return make(title, *arguments, **fields)

        return draw

    for module in ("money", "work", "delivery", "style"):
        for name, make in (("canvas", canvas), ("panes", panes)):
            monkeypatch.setattr(f"gpuagent.reports.charts.{module}.{name}", counted(make), raising=False)
    return titles


def test_a_chart_is_drawn_once_for_the_same_figures() -> None:
    calls = []

    def draw(table: pd.DataFrame, looks: style.Marks) -> Picture:
        calls.append(table)
        return Picture("Title", f"{len(calls)} drawn", b"png")

    looks = style.marks(["alpha", "beta"])
    first = ChartBook(b"")
    picture = first.picture(draw, TABLE, looks)
    assert first.changed
    again = ChartBook(first.content())
    assert again.picture(draw, TABLE.copy(), style.marks(["alpha", "beta"])) == picture
    assert not again.changed
    for name, other in OTHERS.items():
        assert again.picture(draw, other(), looks).alt == f"{len(calls)} drawn" != picture.alt, name
    assert len(calls) == 1 + len(OTHERS)
    assert again.picture(draw, TABLE, style.marks(["beta", "alpha"])) != picture, "other colours"
    torn = first.content()[:-9]
    assert ChartBook(torn).picture(draw, TABLE, looks) != picture


def test_code_that_draws_otherwise_draws_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    book = ChartBook(b"")
    book.picture(lambda: Picture("Title", "", b"png"))
    before = kept._digest(style.empty, ())
    monkeypatch.setattr(kept, "_code", lambda: "other")
    assert kept._digest(style.empty, ()) != before != kept._digest(style.picture, ())


def test_the_next_page_draws_nothing(
    own_book: tuple[report_history.Book, Any], drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    book, database = own_book
    assert exports.html(report_history.report(book.db))
    assert not database.report_summaries.count_documents({}), "of few runs nothing is kept"
    monkeypatch.setattr(report, "SIZES", Sizes(least=1))
    for period in ("all", "2026-11"):
        first = exports.html(report_history.report(book.db, period))
        assert drawn
        drawn.clear()
        later = "2026-12-03T12:00" if period == "all" else report_history.NOW
        again = exports.html(report_history.report(book.db, period, now=later))
        assert drawn == (["Budgets as they burnt down"] if period == "all" else []), "a line that goes on"
        drawn.clear()
        assert again.count("data:image/png") == first.count("data:image/png")
        assert (first == again) == (period != "all"), "the page says when it was made"
    assert exports.html(replace(report_history.report(book.db), fresh=True)) == first
    assert len(drawn) == first.count("data:image/png")
    drawn.clear()
    assert exports.html(report_history.report(book.db, by="tag")) != first
    assert drawn, "other charts are kept apart"


NEXT_PAGE = """
import sys
from gpuagent import settings
from gpuagent.cli import report as command
from gpuagent.render import progress
from gpuagent.reports import exports, report
from gpuagent.wiring.database import load_reports
load_reports()
print(*sys.modules)
"""
UNUSED = {
    *("matplotlib", "eth_account", "eth_typing", "eth_utils", "web3", "x402", "httpx", "litellm", "fastapi", "IPython"),
    *("rich", "pydantic", "gpuagent.core.events", "gpuagent.core.workload", "gpuagent.books"),
    *("pyarrow.parquet", "gpuagent.agent", "gpuagent.core.observations", "gpuagent.adapters.wallets", "gpuagent.tick"),
}
"""What only other pages, exports and commands use: each takes a part of the two seconds that a next page may."""


def test_the_next_page_imports_what_it_uses_alone() -> None:
    process = subprocess.run([sys.executable, "-c", NEXT_PAGE], check=True, capture_output=True, text=True)
    modules = set(process.stdout.split())
    assert {"pandas", "pymongo", "gpuagent.reports.sections"} < modules
    assert not UNUSED & modules
