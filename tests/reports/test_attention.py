"""The payments that a report says need attention: late, held, or recorded in two ways."""

from typing import Any

from tests.support import report_history
from tests.support.report_history import ALPHA, GAMMA


def test_what_needs_attention(book: report_history.Book) -> None:
    table = report_history.report(book.db).attention[["kind", "vendorId", "amount", "runId"]]
    late_run, held_run = (book.runs[name].run_id for name in ("H", "D"))
    expected = [("late", ALPHA, 1_400_000, late_run), ("held", ALPHA, 1_400_000, held_run)]
    assert [tuple(row) for row in table.itertuples(index=False)] == expected
    later = report_history.report(book.db, now="2026-12-24T12:00").attention
    assert later[["kind", "what"]].to_numpy().tolist() == [
        ["late", "paid, and not done in twice the paid hours"],
        ["late", "signed, and past its time: the next tick asks the chain"],
        ["late", "reserved, and the quote has expired: the next tick releases it"],
    ]


def test_two_records_that_contradict_each_other(own_book: tuple[report_history.Book, Any]) -> None:
    book, database = own_book
    stray = database.payments.find_one({"vendorId": GAMMA})
    database.jobs.delete_one({"_id": stray["jobId"]})
    database.jobs.update_one({"vendorJobId": "b1"}, {"$set": {"state": "voided", "cause": "vendor"}})
    table = report_history.report(book.db).attention
    assert table[table.kind == "unmatched"].what.tolist() == [
        "a payment is recorded as completed, and no job goes with it",
        "the job is voided, its payment completed",
    ]
