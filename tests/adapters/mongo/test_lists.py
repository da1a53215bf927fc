"""Whatever lists runs, jobs, payments or observations finds them by an index, in the order of the index: the plans that
MongoDB really used, as its profiler recorded them."""

from typing import Any

import pytest

from gpuagent.panels.event_log import FILTERS
from tests.support.report_history import Book, report, seconds

SEEN = {"op": {"$in": ["query", "command"]}, "planSummary": {"$exists": True}}
EVERYTHING = FILTERS["Everything"]
SINCE, UNTIL = seconds("2026-11-01T00:00"), seconds("2026-12-01T00:00")
LISTS: dict[str, Any] = {
    "run list": lambda db, _: db.reads.runs(20),
    "run list, next page": lambda db, run_id: db.reads.runs(20, run_id),
    "REST runs": lambda db, _: db.queries.runs({}, 20),
    "REST runs, next page": lambda db, run_id: db.queries.runs({}, 20, run_id),
    "REST runs by status": lambda db, run_id: db.queries.runs({"status": "running"}, 20, run_id),
    "REST runs by phase": lambda db, run_id: db.queries.runs({"phase": "WAITING"}, 20, run_id),
    "REST runs by user": lambda db, run_id: db.queries.runs({"userId": "ada"}, 20, run_id),
    "REST runs by tag": lambda db, run_id: db.queries.runs({"tags": "x", "userId": "ada"}, 20, run_id),
    "REST run": lambda db, run_id: db.queries.snapshot(run_id),
    "REST spend": lambda db, _: db.queries.spend("day", SINCE, UNTIL),
    "REST claims of the original system": lambda db, _: db.queries.unproven(),
    "console": lambda db, run_id: db.reads.glance(run_id, EVERYTHING),
    "run status": lambda db, run_id: db.reads.documents(run_id),
    "run logs": lambda db, run_id: db.reads.job_log(run_id),
    "run files": lambda db, run_id: db.reads.files(run_id),
}
SORTED_IN_MEMORY = {"REST spend", "console"}
"""The few groups that were added up; the metrics of one run, of which there is a bound."""


@pytest.fixture
def profiled(own_book: tuple[Book, Any]) -> Any:
    """A history whose database notes the plan of every query."""
    book, database = own_book
    database.command("profile", 2)
    yield book, database
    database.command("profile", 0)


def test_every_list_has_an_index(profiled: tuple[Book, Any]) -> None:
    book, database = profiled
    run_id = book.runs["A"].run_id
    seen = 0
    for name, read in LISTS.items():
        read(book.db, run_id)
        plans = list(database["system.profile"].find(SEEN).sort("$natural", 1))
        for plan in (plan for plan in plans[seen:] if not plan["ns"].endswith("system.profile")):
            summary = plan["planSummary"]
            assert "COLLSCAN" not in summary, f"{name}: {plan['command']}"
            assert summary.startswith(("IXSCAN", "IDHACK", "EOF", "COUNT_SCAN")), f"{name}: {summary}"
            assert name in SORTED_IN_MEMORY or not plan.get("hasSortStage"), f"{name}: {plan['command']}"
        seen = len(plans)
    assert seen >= len(LISTS)


def test_pages_of_the_list_show_every_run_once(own_book: tuple[Book, Any]) -> None:
    book, _ = own_book
    for name in ("S1", "S2", "S3"):  # started at one moment
        book.run(name, "eve", "2026-11-05T10:00", "5")
    pages: list[str] = []
    while page := book.db.reads.runs(2, pages[-1] if pages else ""):
        pages += [str(run["_id"]) for run in page]
    assert pages == [str(run["_id"]) for run in book.db.reads.runs(100)]
    assert len(pages) == len(set(pages)) == 11


def test_a_report_sees_in_indexes_alone_which_runs_have_changed(profiled: tuple[Book, Any]) -> None:
    book, database = profiled
    run_ids = ("0" * 24, "f" * 24)
    with book.db.reads.history() as rows:
        counts = rows.run_counts(report(book.db).scope, *run_ids)
        changes = rows.later_changes(*run_ids)
        assert len(list(rows.unfinished())) >= 3
    assert sum(runs for runs, _ in counts.values()) == 8
    assert sum(numbers[0] for numbers in changes.values()) == 10
    plans = list(database["system.profile"].find({**SEEN, "command.aggregate": {"$in": ["runs", "jobs"]}}))
    sums = [plan for plan in plans if any("$group" in stage for stage in plan["command"]["pipeline"])]
    covered = [plan for plan in sums if "$substrBytes" in str(plan["command"])]
    assert [plan["docsExamined"] for plan in covered] == [0, 0]
    assert not [plan for plan in plans if plan["ns"].endswith(".jobs") and "COLLSCAN" in plan["planSummary"]]
