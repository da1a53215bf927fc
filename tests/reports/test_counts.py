"""Counts that a report kept: the next one counts what was written since, all of it, and nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bson import Decimal128

from gpuagent.adapters.mongo.report_changes import moment_of
from gpuagent.adapters.mongo.report_partitions import MongoPartitions
from gpuagent.core.records import ReportScope
from gpuagent.reports.counts import Counting, Counts, ranges
from gpuagent.reports.partitions import LEAVES, Partition
from gpuagent.reports.period import BEGINNING
from gpuagent.wiring.database import Database
from tests.conftest import DATABASE
from tests.support import big_history, report_history
from tests.support.factories import TOKEN
from tests.support.market import Market

COUNTS = {"_id": {"$regex": r"\|counts\|"}}
SCOPE = ReportScope(TOKEN.network, BEGINNING, BEGINNING)
ADAS = replace(SCOPE, user="ada")
Kept = tuple[Database, Any]


@pytest.fixture(scope="module")
def history(shared_market: Market) -> Iterator[Kept]:
    uri, name = shared_market.environment["MONGODB_URI"], f"{DATABASE}_counts"
    with report_history.empty_database(uri, name) as (db, database):
        big_history.write(database, 40, 3)
        yield db, database


@pytest.fixture
def counting(history: Kept) -> Kept:
    """A database whose counts are kept as they are."""
    for scope in (SCOPE, ADAS):
        counted(history[0], scope)
    return history


def counts_of(rows: Any, scope: ReportScope, fresh: bool) -> Counts:
    counting = Counting(rows, scope, fresh, changes_s=99)
    counts = counting.counts()
    counting.count_jobs(counts, [Partition(0, LEAVES, 0)])
    if not fresh:
        counting.keep(counts)
    return counts


class Noted:
    """Rows, and the ranges of leaves whose runs were counted."""

    def __init__(self, rows: MongoPartitions) -> None:
        self._rows, self.ranges = rows, list[tuple[int, int]]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def run_counts(self, scope: ReportScope, first: str, end: str) -> Any:
        self.ranges.append((int(first[:5], 16), int(end[:5], 16)))
        return self._rows.run_counts(scope, first, end)


def counted(db: Database, scope: ReportScope = SCOPE, fresh: bool = False) -> list[tuple[int, int]]:
    """The ranges that were counted to know the counts, which are checked against all counted of the same moment."""
    with db.reads.history() as rows:
        noted = Noted(rows)
        assert counts_of(noted, scope, fresh) == counts_of(rows, scope, fresh=True)
    return noted.ranges


def leaf(run: Any) -> int:
    return int(str(run["_id"])[:5], 16)


def write(database: Any, run: Any, cost: str, session: Any) -> None:
    """Change a run as a process whose clock is far behind does."""
    behind = {"$set": {"updatedAt": run["updatedAt"] - timedelta(days=300)}, "$inc": {"version": 1}}
    database.runs.update_one({"_id": run["_id"]}, behind, session=session)
    fields = {"$set": {"actualCost": Decimal128(cost)}}
    database.jobs.update_one({"runId": run["_id"], "state": "settled"}, fields, session=session)


def test_two_threads_count_what_one_does(history: Kept) -> None:
    bounds = Partition(0, LEAVES, 0).bounds
    with history[0].reads.history() as rows:
        alone = rows.run_counts(SCOPE, *bounds)
    with history[0].reads.history() as rows:
        assert rows.moment(), "known, so that two can read as of it"
        assert rows.run_counts(SCOPE, *bounds) == alone
    assert sum(runs for runs, _ in alone.values()) == 40


def test_nothing_is_counted_where_nothing_was_written(counting: Kept) -> None:
    assert counted(counting[0]) == counted(counting[0], ADAS) == []


def test_what_is_committed_late_by_a_clock_behind_is_counted_alone(counting: Kept) -> None:
    """Begun before one report and saved after it, with a time of long before."""
    db, database = counting
    run = database.runs.find_one({"userId": "ada"}, sort=[("_id", 1)])
    with database.client.start_session() as session, session.start_transaction():
        write(database, run, "0.25", session)
        assert counted(db) == []
    assert counted(db) == [(leaf(run), leaf(run) + 1)]
    assert counted(db, ADAS) == 2 * [(leaf(run), leaf(run) + 1)], "of hers and of all"


def test_all_of_one_transaction_is_counted(counting: Kept) -> None:
    """Also where it is the last that was written."""
    db, database = counting
    runs = [database.runs.find_one(sort=[("_id", order)]) for order in (1, -1)]
    with database.client.start_session() as session, session.start_transaction():
        for run in runs:
            write(database, run, "0.75", session)
    assert counted(db) == [(leaf(run), leaf(run) + 1) for run in runs]


def test_what_an_operator_or_a_vendor_changes_alone_is_counted(counting: Kept) -> None:
    db, database = counting
    job = database.jobs.find_one(sort=[("_id", 1)])
    of_job = [(int(str(job["runId"])[:5], 16), int(str(job["runId"])[:5], 16) + 1)]
    database.jobs.update_one({"_id": job["_id"]}, {"$set": {"actualCost": Decimal128("0.01")}})
    assert counted(db) == of_job
    names = {"runId": job["runId"], "jobId": job["_id"]}
    database.get_collection("credits").insert_one(names, bypass_document_validation=True)
    assert counted(db) == of_job


@pytest.mark.parametrize("change", ["deleted", "moved", "torn", "of another database", "fresh"])
def test_all_is_counted_where_it_is_not_known_what_was_written(counting: Kept, change: str) -> None:
    db, database = counting
    job, last = (database.jobs.find_one(sort=[("_id", order)]) for order in (1, -1))
    copied = {"signature": {"$concat": ["$signature", "0"]}}
    changes = {
        "deleted": lambda: database.jobs.delete_one({"_id": last["_id"]}),
        "moved": lambda: database.jobs.update_one(
            {"_id": job["_id"]}, {"$set": {"runId": last["runId"], "ordinal": 9}}
        ),
        "torn": lambda: database.report_summaries.update_many(COUNTS, {"$set": {"content": b"1:half"}}),
        "of another database": lambda: database.report_summaries.update_many(COUNTS, [{"$set": copied}]),
        "fresh": lambda: None,
    }
    changes[change]()
    assert counted(db, fresh=change == "fresh") == [(0, LEAVES - 1)]
    assert counted(db) == []


def test_a_moment_is_read_from_its_text_alone() -> None:
    for text in ("1795948830.13972|00ff.", "0.1|"):
        assert str(moment_of(text)) == text
    for text in ("", "7", "1795948830|00ff", "-1.2|"):
        assert moment_of(text) is None


def test_ranges_hold_all_leaves_and_few_others() -> None:
    leaves = [1, 2, 3, 10, 11, 50, 52]
    assert ranges(leaves, 9) == [(1, 4), (10, 12), (50, 51), (52, 53)]
    assert ranges(leaves, 2) == [(1, 12), (50, 53)]
    assert ranges(leaves, 1) == [(1, 53)]
    assert ranges([], 3) == []
