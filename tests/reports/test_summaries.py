"""Summaries of partitions: equal to what is counted from every row, made anew when anything changed, never half."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pytest
from bson import Decimal128, ObjectId
from pymongo import MongoClient

from gpuagent.adapters.mongo.connection import Connection
from gpuagent.reports import overview as overviews
from gpuagent.reports import report as reports
from gpuagent.reports.figures.summary import added, decoded, encoded
from gpuagent.reports.gather import Gathering
from gpuagent.reports.partitions import Partition, Sizes, joined, partitions_of
from gpuagent.wiring import Database, database_on
from tests.conftest import DATABASE
from tests.support import big_history, report_history, varied_history, whole_report
from tests.support.market import Market

SMALL = Sizes(most=60, kept=20, added=3)
RUNS = 240
SEED = 1


@contextmanager
def sized(sizes: Sizes) -> Iterator[None]:
    """Reports whose partitions are so small."""

    def small(*arguments: Any) -> overviews.Overview:
        return overviews.overview(*arguments, sizes=sizes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reports, "overview", small)
        yield


@pytest.fixture(autouse=True)
def small_partitions() -> Iterator[None]:
    with sized(SMALL):
        yield


@pytest.fixture(scope="module")
def varied(shared_market: Market) -> Iterator[tuple[Database, Any]]:
    name = f"{DATABASE}_varied"
    with report_history.empty_database(shared_market.environment["MONGODB_URI"], name) as (db, database):
        varied_history.write(database, RUNS, SEED)
        yield db, database


@pytest.mark.parametrize(
    ("period", "request_fields"),
    [
        ("all", {}),
        ("720h", {}),  # from noon to noon
        ("90d", {"vendor": "gpu_vendor_2"}),
        ("2026-10", {"user": "bob", "tag": "vision"}),
        ("48h", {}),  # by the hour
    ],
)
def test_summaries_equal_what_is_counted_from_every_row(
    varied: tuple[Database, Any], period: str, request_fields: dict[str, str]
) -> None:
    """Made and kept, and then from what was kept."""
    db, _ = varied
    for _ in range(2):
        whole_report.assert_equal(report_history.report(db, period, **request_fields))


def test_what_is_kept_is_read_again_as_it_was(varied: tuple[Database, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    db, database = varied
    first = report_history.report(db, "all").overview.now
    again = decoded(encoded(first))
    assert again is not None
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], table, obj=name)
    assert (again.counts, again.twice, again.first, again.last) == (first.counts, first.twice, first.first, first.last)
    assert again.times.tolist() == first.times.tolist()
    assert added([first, added([])]).counts == first.counts
    made = count_made(monkeypatch)
    for _ in range(2):
        report_history.report(db, "all").headlines
    assert made == []
    fresh = reports.make_report(
        reports.ReportRequest("all"), db, report_history.TOKEN.network, report_history.seconds(report_history.NOW), fresh=True
    )
    assert len(fresh.headlines) == len(report_history.report(db, "all").headlines)
    assert len(made) >= database.report_summaries.count_documents({"_id": {"$regex": r"\|D\|\|\|$"}})


def count_made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The partitions that are added up from here on."""
    made: list[str] = []
    make = Gathering._make

    def counted(self: Gathering, rows: Any, part: Partition, signatures: Any) -> Any:
        made.append(part.name)
        return make(self, rows, part, signatures)

    monkeypatch.setattr(Gathering, "_make", counted)
    return made
