"""Counts that a report kept: the next one counts what was written since, all of it, and nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from bson import Decimal128

from gpuagent.adapters.mongo.report_partitions import MongoPartitions
from gpuagent.reports.counts import ranges
from gpuagent.reports.partitions import LEAVES, Sizes
from gpuagent.reports.report import Report
from gpuagent.wiring import Database
from tests.conftest import DATABASE
from tests.support import big_history, report_history, whole_report
from tests.support.market import Market
from tests.support.small_partitions import sized

COUNTS = {"_id": {"$regex": r"\|counts\|"}}
Kept = tuple[Database, Any]


@pytest.fixture(scope="module")
def kept(shared_market: Market) -> Iterator[Kept]:
    """A database whose first report is made."""
    uri, name = shared_market.environment["MONGODB_URI"], f"{DATABASE}_counts"
    with report_history.empty_database(uri, name) as (db, database), sized(Sizes(most=20, least=4, changes_s=99)):
        big_history.write(database, 40, 3)
        assert report_history.report(db, "all").headlines
        yield db, database


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The ranges of leaves whose runs are counted from here on."""
    counts = MongoPartitions.run_counts
    asked: list[tuple[int, int]] = []

    def noted(self: MongoPartitions, scope: Any, first: str, end: str) -> Any:
        asked.append((int(first[:5], 16), int(end[:5], 16)))
        return counts(self, scope, first, end)

    monkeypatch.setattr(MongoPartitions, "run_counts", noted)
    return asked


def assert_exact(report: Report) -> None:
    window = pd.Timestamp(report.period.since), pd.Timestamp(report.period.until)
    figures = {line.name: line.now for line in report.headlines}
    assert figures == whole_report.headline_values(report, *window)


def leaf(run_id: Any) -> int:
    return int(str(run_id)[:5], 16)


def write(database: Any, run: Any, cost: str, session: Any) -> None:
    """Change a run as a process whose clock is far behind does."""
    behind = {"$set": {"updatedAt": run["updatedAt"] - timedelta(days=300)}, "$inc": {"version": 1}}
    database.runs.update_one({"_id": run["_id"]}, behind, session=session)
    fields = {"$set": {"actualCost": Decimal128(cost)}}
    database.jobs.update_one({"runId": run["_id"], "state": "settled"}, fields, session=session)


def test_nothing_is_counted_where_nothing_was_written(kept: Kept, counted: list[tuple[int, int]]) -> None:
    assert_exact(report_history.report(kept[0], "all"))
    assert_exact(report_history.report(kept[0], "4000h"))
    assert counted == []


def test_what_is_committed_late_by_a_clock_behind_is_counted_alone(kept: Kept, counted: list[tuple[int, int]]) -> None:
    """Begun before one report, and saved after it, with a time of long before."""
    db, database = kept
    run = database.runs.find_one(sort=[("_id", 1)])
    with database.client.start_session() as session:
        with session.start_transaction():
            write(database, run, "0.25", session)
            assert_exact(report_history.report(db, "all"))
        assert counted == []
    assert_exact(report_history.report(db, "all"))
    assert counted == [(leaf(run["_id"]), leaf(run["_id"]) + 1)]


def test_all_of_one_transaction_is_counted(kept: Kept, counted: list[tuple[int, int]]) -> None:
    """Also where it is the last that was written."""
    db, database = kept
    runs = list(database.runs.find(sort=[("_id", 1)]))
    with database.client.start_session() as session, session.start_transaction():
        for run in (runs[0], runs[-1]):
            write(database, run, "0.75", session)
    assert_exact(report_history.report(db, "all"))
    assert {first for first, _ in counted} == {leaf(runs[0]["_id"]), leaf(runs[-1]["_id"])}


@pytest.mark.parametrize("change", ["deleted", "moved", "torn", "of another database", "fresh"])
def test_all_is_counted_where_it_is_not_known_what_was_written(
    kept: Kept, counted: list[tuple[int, int]], change: str
) -> None:
    db, database = kept
    job, last = (database.jobs.find_one(sort=[("_id", order)]) for order in (1, -1))
    copied = {"signature": {"$concat": ["$signature", "0"]}}
    changes = {
        "deleted": lambda: database.jobs.delete_one({"_id": job["_id"]}),
        "moved": lambda: database.jobs.update_one(
            {"_id": job["_id"]}, {"$set": {"runId": last["runId"], "ordinal": 9}}
        ),
        "torn": lambda: database.report_summaries.update_many(COUNTS, {"$set": {"content": b"1:half"}}),
        "of another database": lambda: database.report_summaries.update_many(COUNTS, [{"$set": copied}]),
        "fresh": lambda: None,
    }
    changes[change]()
    assert_exact(replace(report_history.report(db, "all"), fresh=change == "fresh"))
    assert counted == [(0, LEAVES - 1)]
    counted.clear()
    assert_exact(report_history.report(db, "all"))
    assert counted == []


def test_ranges_hold_all_leaves_and_few_others() -> None:
    leaves = [1, 2, 3, 10, 11, 50, 52]
    assert ranges(leaves, 9) == [(1, 4), (10, 12), (50, 51), (52, 53)]
    assert ranges(leaves, 2) == [(1, 12), (50, 53)]
    assert ranges(leaves, 1) == [(1, 53)]
    assert ranges([], 3) == []
