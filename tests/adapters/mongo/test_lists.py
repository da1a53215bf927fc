"""Whatever lists runs, jobs, payments or observations finds them by an index, in the order of the index: the plans that
MongoDB really used, as its profiler recorded them."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from gpuagent.adapters.mongo import run_list
from gpuagent.core.run_list import RunFilter, RunPage, RunSort, SortField
from gpuagent.errors import BadInput, StoreError
from gpuagent.panels.event_log import FILTERS
from tests.support.factories import PAYER, TOKEN
from tests.support.profiler import profiled
from tests.support.report_history import ALPHA, BETA, Book, report, seconds

SEEN = {"op": {"$in": ["query", "command"]}, "planSummary": {"$exists": True}}
EVERYTHING = FILTERS["Everything"]
SINCE, UNTIL = seconds("2026-11-01T00:00"), seconds("2026-12-01T00:00")


def _sorted(field: SortField, ascending: bool, is_next: bool) -> Any:
    return lambda db, run_id: db.reads.run_page(sort=RunSort(field, ascending), limit=2, before=run_id * is_next)


LISTS: dict[str, Any] = {
    "run list": lambda db, _: db.reads.runs(20),
    "run list, next page": lambda db, run_id: db.reads.runs(20, run_id),
    **{
        f"runs by {name}": lambda db, _, where=where: db.reads.run_page(where, counted=True)
        for name, where in {
            "nothing": RunFilter(),
            "status": RunFilter(status="running"),
            "phase": RunFilter(phase="WAITING"),
            "user": RunFilter(user="ada"),
            "tag and user": RunFilter(tag="x", user="ada"),
            "vendor": RunFilter(vendor=ALPHA),
            "vendor and status": RunFilter(vendor=ALPHA, status="failed"),
            "text": RunFilter(text="goal a"),
            "text, user and vendor": RunFilter(text="goal", user="ada", vendor=BETA),
        }.items()
    },
    **{
        f"runs sorted by {field.value}, {ascending=}, {name}": _sorted(field, ascending, is_next)
        for field in SortField
        for ascending in (False, True)
        for name, is_next in {"first page": False, "next page": True}.items()
    },
    "users with runs that go on": lambda db, _: db.reads.running(),
    "open runs": lambda db, _: db.queries.leases.unfinished(),
    "due runs": lambda db, _: db.queries.leases.due(9),
    "aged runs": lambda db, _: list(db.archives.aged(UNTIL)),
    "inbox": lambda db, _: db.inbox.read(UNTIL),
    "reservations of a sweep": lambda db, _: list(db.ledgers.reservations(PAYER, TOKEN)),
    "timeline": lambda db, run_id: db.reads.timeline(run_id),
    "timeline, next page": lambda db, run_id: db.reads.timeline(run_id, run_id),
    "REST run": lambda db, run_id: db.queries.snapshot(run_id),
    "REST spend": lambda db, _: db.queries.spend("day", SINCE, UNTIL),
    "REST claims of the original system": lambda db, _: db.queries.unproven(),
    "console": lambda db, run_id: db.reads.glance(run_id, EVERYTHING),
    "run status": lambda db, run_id: db.reads.documents(run_id),
    "run logs": lambda db, run_id: db.reads.job_log(run_id),
    "run files": lambda db, run_id: db.reads.files(run_id),
}
SORTED_IN_MEMORY = {"REST spend", "console", "reservations of a sweep"}
"""The few groups that were added up; the metrics of one run, of which there is a bound; what a wallet has reserved."""


INDEXED = ("IXSCAN", "IDHACK", "EOF", "COUNT_SCAN", "RECORD_STORE_FAST_COUNT")


@pytest.fixture
def profiled_book(own_book: tuple[Book, Any]) -> Any:
    """A history whose database notes the plan of every query."""
    with profiled(own_book[1]):
        yield own_book


def test_every_list_has_an_index(profiled_book: tuple[Book, Any]) -> None:
    book, database = profiled_book
    run_id = book.runs["A"].run_id
    seen = 0
    for name, read in LISTS.items():
        read(book.db, run_id)
        plans = list(database["system.profile"].find(SEEN).sort("$natural", 1))
        for plan in (plan for plan in plans[seen:] if not plan["ns"].endswith("system.profile")):
            summary = plan["planSummary"]
            assert "COLLSCAN" not in summary, f"{name}: {plan['command']}"
            assert summary.startswith(INDEXED), f"{name}: {summary}"
            if name.startswith("runs "):
                assert 0 < plan["command"]["maxTimeMS"] <= run_list.DEADLINE_S * 1000, f"{name}: {plan['command']}"
            assert name in SORTED_IN_MEMORY or not plan.get("hasSortStage"), f"{name}: {plan['command']}"
        seen = len(plans)
    assert seen >= len(LISTS)


def test_what_counts_against_a_day_is_added_up_in_the_index(profiled_book: tuple[Book, Any]) -> None:
    """However many jobs were bought that day, and ever: none of them is read."""
    book, database = profiled_book
    run, at = book.runs["A"], seconds("2026-11-30T00:00")
    caps = replace(book.store.policy(), wallet_per_day=1, vendor_per_day=1)
    read = partial(book.store.usage, run, run.network, (ALPHA, BETA), at, rules=caps)
    for job_id in ("", book.store.new_id()):
        used = read(job_id=job_id)
        assert used.wallet_day > 0 < used.vendor_day[ALPHA]
        (*_, plan) = database["system.profile"].find({"ns": f"{database.name}.policies"}).sort("$natural", 1)
        assert plan["docsExamined"] == 1 + 2, "the policy, and the vendors' records"
        assert plan["keysExamined"] < 1 + 2 + 2 * database.jobs.count_documents({}), "of the wallet, and of each vendor"


def test_pages_of_every_order_show_every_run_once(own_book: tuple[Book, Any]) -> None:
    """Whatever they are sorted by, among them runs that agree in it and one of the original system, which lacks it."""
    book, database = own_book
    for name in ("S1", "S2", "S3"):  # started at one moment
        book.run(name, "eve", "2026-11-05T10:00", "5")
    old = {"userId": "old", "goal": "of the original", "status": "running", "budgetTotal": 5.0}
    database.command("collMod", "runs", validationLevel="off")
    database.runs.insert_one(old)
    all_ids = {str(run["_id"]) for run in book.db.reads.runs(100)}
    assert len(all_ids) == 12
    for field in SortField:
        for ascending in (False, True):
            shown, place = [], ""
            while True:
                page = book.db.reads.run_page(RunFilter(), RunSort(field, ascending), 2, place, counted=True)
                assert page.count == 12
                shown += [str(run["_id"]) for run in page.runs]
                if not (place := page.next):
                    break
            assert (len(shown), set(shown)) == (12, all_ids), (field, ascending)
            from_a_run = book.db.reads.run_page(RunFilter(), RunSort(field, ascending), 100, shown[4]).runs
            assert [str(run["_id"]) for run in from_a_run] == shown[5:], "a run's id is a place too"
    spent = [run["settled"].to_decimal() for run in book.db.reads.run_page(RunFilter(), RunSort(SortField.SPENT)).runs]
    assert spent == sorted(spent, reverse=True)
    for place in ("x", "0" * 23, f"{shown[0]}:much"):
        with pytest.raises(BadInput, match="no place in the list"):
            book.db.reads.run_page(RunFilter(), RunSort(SortField.SPENT), 2, place)


def test_filters_name_runs_alone_and_together(own_book: tuple[Book, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    book, _ = own_book

    def goals(**filters: str) -> str:
        page = book.db.reads.run_page(RunFilter(**filters), counted=True)
        assert page.count == len(page.runs)
        return "".join(sorted(str(run["goal"]).removeprefix("Goal ") for run in page.runs))

    assert goals(user="ada") == "ACEG"
    assert goals(user="ada", status="running") == "E"
    assert goals(phase="WAITING") == goals(status="running", phase="WAITING")
    assert goals(user="ad") == goals(user=".*") == goals(vendor="no_such") == ""
    for few in (run_list.FEW, 0):  # looked up from the vendor's jobs or the words, and from each run
        monkeypatch.setattr(run_list, "FEW", few)
        assert goals(vendor=BETA) == "ADEG"
        assert goals(vendor=BETA, user="bob") == "D"
        assert goals(vendor=BETA, text="goal e") == "E"
        assert goals(text="goal") == "ABCDEFGH"
        assert goals(text="GOAL  b") == "B", "all of the words, case ignored"
        assert goals(text="goa") == goals(text="goal -b x") == goals(text='"') == "", (
            "one at least whole, and no operator"
        )
        assert (goals(text='goal "b'), goals(text="goal.*")) == ("B", "ABCDEFGH"), "no quotes and no pattern either"
    run_id = book.runs["C"].run_id
    assert goals(text=run_id) == goals(text=run_id.upper()) == "C"
    assert "C" in goals(text=run_id[:18])
    assert goals(text="2026111") == "", "digits that begin no run's id are a word"
    book.run("2026111", "eve", "2026-11-05T10:00", "5")
    assert goals(text="2026111") == "2026111"
    for wrong in ({"status": "over"}, {"phase": "waiting"}, {"text": "x" * 201}, {"user": 7}):
        with pytest.raises(BadInput, match=next(iter(wrong))):
            RunFilter(**wrong)  # type: ignore[arg-type]


def test_more_than_a_thousand_are_not_counted_and_a_list_has_its_time(
    own_book: tuple[Book, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    book, _ = own_book
    monkeypatch.setattr(run_list, "COUNT_MAX", 3)
    for where in (RunFilter(), RunFilter(user="ada"), RunFilter(text="goal")):
        assert book.db.reads.run_page(where, counted=True).count == 4
    assert RunPage([], "", 1001).count_text == "more than 1,000"
    assert (RunPage([], "", 1000).count_text, RunPage([]).count_text) == ("1,000", "")
    with monkeypatch.context() as late:
        late.setattr(run_list, "COUNT_S", 1e-9)
        page = book.db.reads.run_page(RunFilter(user="ada"), counted=True)
        assert (len(page.runs), page.count) == (4, None), "a count that takes too long fails no page"
    monkeypatch.setattr(run_list, "DEADLINE_S", 1e-9)
    with pytest.raises(StoreError, match="filter by user, tag or status as well"):
        book.db.reads.run_page()


def test_a_report_sees_in_indexes_alone_which_runs_have_changed(profiled_book: tuple[Book, Any]) -> None:
    book, database = profiled_book
    run_ids = ("0" * 24, "f" * 24)
    with book.db.reads.history() as rows:
        counts = rows.run_counts(report(book.db).scope, *run_ids)
        jobs = rows.job_counts(*run_ids)
        assert len(list(rows.unfinished())) >= 3
    assert sum(runs for runs, _ in counts.values()) == 8
    assert sum(count for count, _ in jobs.values()) == 10
    plans = list(database["system.profile"].find({**SEEN, "command.aggregate": {"$in": ["runs", "jobs"]}}))
    sums = [plan for plan in plans if any("$group" in stage for stage in plan["command"]["pipeline"])]
    covered = [plan for plan in sums if "$substrBytes" in str(plan["command"])]
    assert [plan["docsExamined"] for plan in covered] == [0, 0]
    assert not [plan for plan in plans if plan["ns"].endswith(".jobs") and "COLLSCAN" in plan["planSummary"]]
