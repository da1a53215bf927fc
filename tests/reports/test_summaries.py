"""Summaries of partitions: equal to what is counted from every row, made anew when anything changed, never half."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bson import Decimal128

from gpuagent.adapters.mongo import report_columns, report_scopes
from gpuagent.adapters.mongo.report_partitions import MongoPartitions
from gpuagent.core.credits import Credit, CreditKind
from gpuagent.core.records import Incoming, Refund, ReportScope
from gpuagent.reports import gather
from gpuagent.reports.figures import kept_summaries
from gpuagent.reports.figures.kept_summaries import decoded, encoded
from gpuagent.reports.figures.summary import Summary, added
from gpuagent.reports.kept import packed, unpacked_parts
from gpuagent.reports.partitions import LEAVES, Partition, Sizes, joined, neighbours, partitions_of
from gpuagent.wiring.database import Database
from tests.conftest import DATABASE
from tests.support import report_history, varied_history, whole_report
from tests.support.factories import TOKEN
from tests.support.market import Market
from tests.support.report_history import seconds
from tests.support.small_partitions import sized

SMALL = Sizes(most=45, least=15, added=2)
SOLE = {"state": "settled", "status": "completed", "ordinal": 0}
"""The only job of its run."""
RUNS, SEED = 100, 1
NOW = seconds(report_history.NOW)
PARTITIONS = {"_id": {"$regex": r"-[0-9a-f]{5}\|D\|\|\|$"}}
"""Documents of partitions, of whatever is kept."""
SUMS = {"_id": {"$regex": r"-sum\|D\|\|\|$"}}
"""And of the sums of neighbours."""
Varied = tuple[Database, Any]


@pytest.fixture(scope="module")
def varied(shared_market: Market) -> Iterator[Varied]:
    name = f"{DATABASE}_varied"
    with report_history.empty_database(shared_market.environment["MONGODB_URI"], name) as (db, database), sized(SMALL):
        varied_history.write(database, RUNS, SEED)
        yield db, database


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the partitions that are added up from here on."""
    names: list[str] = []
    keep = gather.Gathering._keep

    def counted(self: gather.Gathering, rows: Any, part: Partition, signature: str, whole: Summary) -> None:
        names.append(part.name)
        keep(self, rows, part, signature, whole)

    monkeypatch.setattr(gather.Gathering, "_keep", counted)
    return names


@pytest.mark.parametrize(
    ("period", "fields"),
    [("all", {}), ("4000h", {}), ("2026-Q4", {"vendor": "gpu_vendor_2"}), ("48h", {"user": "bob"})],
    ids=["all", "edges-at-noon", "vendor", "hours-of-a-user"],
)
def test_summaries_equal_what_is_counted_from_every_row(varied: Varied, period: str, fields: dict[str, str]) -> None:
    """Made and kept, and then from what was kept."""
    for _ in range(2 if period == "all" else 1):
        report = report_history.report(varied[0], period, **fields)
        whole_report.assert_equal(report)
        assert report.spent == report.headlines[0], "added up in MongoDB, less what came back"


def test_a_partition_is_made_anew_after_whatever_changes_a_figure(varied: Varied, made: list[str]) -> None:
    db, database = varied
    assert len(report_history.report(db, "all").headlines)
    made.clear()
    job = database.jobs.find_one({**SOLE, "actualCost": {"$gt": Decimal128("1")}})
    payment = database.payments.find_one({"jobId": job["_id"]})
    names = {"vendor_id": job["vendorId"], "run_id": str(job["runId"]), "job_id": str(job["_id"])}
    transfer = Incoming("0x" + "e" * 64, 1, 2, payment["payee"], payment["payer"].lower(), 10_000)
    where = {"network": payment["network"], "asset": payment["asset"]}
    credit = Credit(
        **names, wallet=payment["payer"], kind=CreditKind.OWED, amount=20_000, claimed="0.02", transaction="", note=""
    )

    def tick() -> None:
        run = db.store.load(str(database.runs.find_one({"_id": job["runId"]})["_id"]))
        db.store.save(run, replace(run, goal="Another goal"), [report_history.planner_answer("0.05")], NOW)

    def set_cost(cost: str) -> None:
        database.jobs.update_one({"_id": job["_id"]}, {"$set": {"actualCost": Decimal128(cost)}})

    changes: dict[str, Callable[[], Any]] = {
        "nothing": lambda: None,
        "an operator's cost": lambda: set_cost("0.5"),
        "another, of a leaf that was counted anew": lambda: set_cost("0.4"),
        "a refund": lambda: db.store.book_refund(Refund(transfer=transfer, **where, **names, by="op", why="back"), NOW),
        "a credit": lambda: db.store.book_credit(credit, NOW),
        "a tick or a repair, which are saves": tick,
        "lost documents": lambda: (
            database.report_summaries.delete_many(SUMS),
            database.report_summaries.delete_one(PARTITIONS),
        ),
    }
    for name, change in changes.items():
        change()
        report = report_history.report(db, "all")
        window = pd.Timestamp(report.period.since), pd.Timestamp(report.period.until)
        figures = {line.name: line.now for line in report.headlines}
        assert figures == whole_report.headline_values(report, *window), name
        assert len(made) == (name != "nothing"), name
        made.clear()
    assert report.overview.sales.credit.sum() == report.paid.credit.sum()


def test_half_a_summary_or_one_of_another_format_is_not_believed(
    varied: Varied, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    db, database = varied
    whole = report_history.report(db, "all").headlines
    made.clear()
    document = database.report_summaries.find_one(PARTITIONS)
    for content in (document["content"][:-9], 7):
        database.report_summaries.update_one({"_id": document["_id"]}, {"$set": {"content": content}})
        assert database.report_summaries.update_many(SUMS, {"$set": {"content": content}}).matched_count
        assert report_history.report(db, "all").headlines == whole
        assert made == [document["_id"].split("|")[1]]
        made.clear()
    monkeypatch.setattr(kept_summaries, "FORMAT", kept_summaries.FORMAT + 1)
    assert report_history.report(db, "all").headlines == whole
    parts = database.report_summaries.count_documents(PARTITIONS)
    assert len(made) == parts
    made.clear()
    fresh = replace(report_history.report(db, "all"), fresh=True)
    assert (fresh.headlines, len(made)) == (whole, parts)


def test_what_is_kept_is_read_again_as_it_was(varied: Varied) -> None:
    first = report_history.report(varied[0], "all").overview.now
    again = decoded(encoded(first))
    assert again is not None
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], table, obj=name)
    assert (again.counts, again.twice, again.first, again.last) == (first.counts, first.twice, first.first, first.last)
    assert again.times.tolist() == first.times.tolist()
    assert added([first, added([])]).counts == first.counts
    assert decoded(packed({}, 2)) is None, "kept before hedges were counted"


@pytest.mark.parametrize("times", [[], [0], [-5, 7], [3, 3, 70_000, 70_001, 2**40]])
def test_times_are_kept_whatever_lies_between_them(times: list[int]) -> None:
    kept = decoded(encoded(replace(added([]), times=np.array(times, "int64"))))
    assert kept is not None
    assert kept.times.tolist() == times
    assert kept.times.dtype == "int64"


def test_what_the_version_before_kept_is_read_too(varied: Varied) -> None:
    first = report_history.report(varied[0], "all").overview.now
    plain, _ = unpacked_parts(encoded(first), kept_summaries.FORMAT) or ({}, b"")
    again = decoded(packed({**plain, "times": first.times.tolist()}, 3))
    assert again is not None
    assert again.times.tolist() == first.times.tolist()
    pd.testing.assert_frame_equal(again.tables["sales"], first.tables["sales"])


def test_no_more_rows_are_held_than_a_partition_has(varied: Varied) -> None:
    """Whatever the history's size; and of the lists the first rows alone."""
    db, database = varied
    rows: list[int] = []
    report = replace(report_history.report(db, "all"), fresh=True, count=rows.append)
    assert report.headlines
    assert sum(rows) >= sum(database[name].estimated_document_count() for name in ("runs", "jobs", "payments")) - 9
    assert max(rows) <= 4 * SMALL.most


def test_rows_come_in_as_many_answers_as_they_need(varied: Varied, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those after the first one have no time limit of their own, which the server would refuse."""
    report = report_history.report(varied[0], "all")
    monkeypatch.setattr(report_columns, "BATCH_ROWS", 7)
    assert replace(report, fresh=True).headlines == report.headlines


def test_payments_are_of_the_moment_of_their_runs_though_another_session_reads_them(varied: Varied) -> None:
    report = report_history.report(varied[0], "all")
    job = varied[1].jobs.find_one(SOLE)
    with report.open_rows() as rows:
        runs = rows.run_columns(report.scope, str(job["runId"]), "f" * 24, 1)
        which, fields = {"jobId": job["_id"]}, {"$set": {"refunded": Decimal128("0.01")}, "$unset": {"credit": ""}}
        before = varied[1].payments.find_one(which)
        varied[1].payments.update_one(which, fields, bypass_document_validation=True)
        payments = rows.payment_columns(report.scope, [str(job["runId"])])
        varied[1].payments.replace_one(which, before, bypass_document_validation=True)
    assert len(runs["runId"]) == len(payments["jobId"]) == 1
    assert payments["refunded"][0] == int(before.get("refunded", Decimal128("0")).to_decimal() * 10**6)


@pytest.mark.parametrize(
    ("collection", "field", "value"),
    [
        ("runs", "network", "eip155:1"),
        ("runs", "network", None),
        ("runs", "createdAt", gather.EVER[1].to_pydatetime()),
        ("jobs", "quote.network", "eip155:1"),
        ("jobs", "createdAt", gather.EVER[1].to_pydatetime()),
        ("payments", "network", "eip155:1"),
    ],
)
def test_each_document_is_asked_where_one_is_outside_the_scope(
    varied: Varied, collection: str, field: str, value: Any
) -> None:
    database = varied[1]
    scope = ReportScope(TOKEN.network, *gather.EVER)

    def is_whole() -> bool:
        with database.client.start_session(snapshot=True) as session:
            return report_scopes.holds_all(database, session, scope)

    before: Any = database[collection].find_one({field.partition(".")[0]: {"$exists": True}})
    assert is_whole()
    which = {"_id": before["_id"]}
    database[collection].update_one(which, {"$set": {field: value}}, bypass_document_validation=True)
    outside = is_whole()
    database[collection].replace_one(which, before, bypass_document_validation=True)
    assert not outside


def test_what_one_snapshot_has_no_time_for_is_made_of_later_ones(varied: Varied, made: list[str]) -> None:
    report = report_history.report(varied[0], "all", vendor="gpu_vendor_3")
    opened: list[float] = []

    @contextmanager
    def open_rows() -> Iterator[Any]:
        opened.append(len(made))
        with report.open_rows() as rows:
            yield rows

    with sized(replace(SMALL, snapshot_s=-1)):
        whole_report.assert_equal(replace(report, open_rows=open_rows))
    assert len(made) == len(set(made)) > 2, "each once"
    assert set(range(len(made))) <= set(opened), "no two of the same"


def test_runs_of_one_moment_are_read_in_parts(book: report_history.Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """All eight were started within a leaf; and where their jobs are too many for one answer, in halves of parts."""
    columns = MongoPartitions.job_columns
    asked: list[int] = []

    def few(self: MongoPartitions, scope: Any, run_ids: list[str]) -> Any:
        asked.append(len(run_ids))
        return columns(self, scope, run_ids) if len(run_ids) < 3 else None

    monkeypatch.setattr(MongoPartitions, "job_columns", few)
    with sized(Sizes(most=3, least=100)):
        whole_report.assert_equal(report_history.report(book.db))
    assert set(asked) == {1, 2, 3}


def test_partitions_are_the_same_as_long_as_no_more_runs_are_started_in_them() -> None:
    counts = dict.fromkeys(range(500000, 500100), 1)
    parts = partitions_of(counts, 20)
    assert sum(part.runs for part in parts) == 100
    assert all(part.runs <= 20 for part in parts)
    assert {part.end - part.first for part in parts if part.runs == 16} == {16}
    later = partitions_of({**counts, LEAVES - 1: 999}, 20)
    assert later[:-1] == parts, "a burst later on changes none of them"
    assert (later[-1].runs, later[-1].bounds) == (999, ("fffff000" + "0" * 16, "f" * 24))
    together, grown = ([some.name for some in neighbours(table, 4)] for table in (parts, later))
    assert grown[:-1] == together, "nor any sum of neighbours"
    assert len(together) < len(parts)
    wider = list(joined(parts, 40))
    assert (len(wider) < len(parts), sum(part.runs for part in wider)) == (True, 100)
    assert max(part.runs for part in wider) <= 40
    assert partitions_of({}, 20) == []
