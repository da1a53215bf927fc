"""The exports of a report: CSV, Parquet, the journal, FOCUS columns. Every file is read back by another program."""

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pandas as pd
import pytest
from pyarrow import parquet

from gpuagent.adapters.mongo import report_rows
from gpuagent.errors import BadInput, StoreError
from gpuagent.reports import exports
from gpuagent.reports.exports import files, focus
from gpuagent.reports.exports.journal import journal
from gpuagent.reports.figures import spend
from gpuagent.reports.report import Report
from tests.support import big_history, report_history
from tests.support.factories import PAYER
from tests.support.report_history import ALPHA, BETA, GAMMA

ZERO = Decimal(0)
# November, every account: USD, debit less credit, by hand.
ACCOUNTS = {
    f"assets:wallet:{PAYER}": "-11.40",  # 12.40 paid, 1.00 came back
    f"assets:prepaid:{BETA}": "1.80",  # E is under way
    f"assets:prepaid:{ALPHA}": "0",
    f"assets:prepaid:{GAMMA}": "0",
    f"expenses:gpu:{ALPHA}": "2.60",
    f"expenses:gpu:{BETA}": "3.60",
    f"expenses:failed jobs:{ALPHA}": "1.40",
    f"expenses:failed jobs:{GAMMA}": "2.00",
    f"expenses:planner:{report_history.MODEL}": "0.03",
    f"liabilities:planner:{report_history.MODEL}": "-0.03",
}


@pytest.fixture
def november(book: report_history.Book) -> Report:
    return report_history.report(book.db)


def read_csv(text: str, **options: Any) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), **options)


def test_the_journal_balances(november: Report) -> None:
    table = journal(november)
    assert table.groupby("transactionId").amount.sum().map(lambda amount: amount == ZERO).all()
    assert table.amount.sum() == ZERO
    assert (table.debit.sum(), len(table)) == (table.credit.sum(), 2 * (6 + 5 + 1 + 2))
    assert table.groupby("account").amount.sum().to_dict() == {
        name: Decimal(amount) for name, amount in ACCOUNTS.items()
    }
    assert table.transactionId.value_counts().eq(2).all()


def test_two_months_of_journal_are_the_journal_of_both(book: report_history.Book) -> None:
    apart = [journal(report_history.report(book.db, period)) for period in ("2026-10", "2026-11")]
    pd.testing.assert_frame_equal(
        pd.concat(apart, ignore_index=True), journal(report_history.report(book.db, "2026-10-01..2026-11-30"))
    )


def test_the_journal_opens_in_pandas_and_still_balances(november: Report) -> None:
    amounts = dict.fromkeys(("debit", "credit", "amount"), Decimal)
    table = read_csv(exports.text(november, "journal"), converters=amounts, parse_dates=["date"])
    assert table.amount.sum() == ZERO
    assert str(table.date.dtype).startswith("datetime64")
    assert {amount.as_tuple().exponent for amount in table.amount} == {-6}


def test_csv_opens_in_pandas_with_the_right_types(november: Report, tmp_path: Path) -> None:
    paths = {path.stem: path for path in exports.write(november, "csv", tmp_path / "made")}
    assert list(paths) == ["purchases", "runs", "planner", "vendors", "attention"]
    times = ["createdAt", "settledAt", "completedAt"]
    purchases = pd.read_csv(paths["purchases"], parse_dates=times)
    assert {str(purchases[name].dtype) for name in ("paid", "refunded", "cost", "hours")} == {"float64"}
    assert all(str(purchases[name].dtype).startswith("datetime64") for name in times)
    assert str(purchases.ordinal.dtype) == "int64"
    exact = pd.read_csv(paths["purchases"], converters={"paid": Decimal, "cost": Decimal})
    assert (exact.paid.sum(), exact.cost.sum()) == (Decimal("12.40"), Decimal("11.40"))
    assert len(purchases) == 9  # A two, B, C, D two, E, G by its settlement, H
    planner = pd.read_csv(paths["planner"])
    assert planner[["promptTokens", "completionTokens", "latencyMs"]].sum().tolist() == [2000, 100, 3000]
    assert pd.read_csv(paths["runs"]).tags.dropna().tolist() == ["x", "x y"]


def test_parquet_keeps_decimals(november: Report, tmp_path: Path) -> None:
    paths = {path.stem: path for path in exports.write(november, "parquet", tmp_path)}
    table = parquet.read_table(paths["purchases"])
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (kinds["cost"], kinds["settledAt"], kinds["ordinal"]) == (
        "decimal128(20, 6)",
        "timestamp[us, tz=UTC]",
        "int64",
    )
    assert sum(table.column("cost").to_pylist()) == Decimal("11.40")


def test_an_empty_report_has_every_column(book: report_history.Book, tmp_path: Path) -> None:
    full, empty = (report_history.report(book.db, period) for period in ("2026-11", "2020"))
    for form in ("csv", "parquet"):
        read = pd.read_csv if form == "csv" else pd.read_parquet
        full_files = exports.write(full, form, tmp_path / "full")
        empty_files = exports.write(empty, form, tmp_path / "empty")
        for full_file, empty_file in zip(full_files, empty_files, strict=True):
            assert list(read(empty_file).columns) == list(read(full_file).columns)
    schemas = [parquet.read_schema(tmp_path / name / "purchases.parquet") for name in ("full", "empty")]
    assert schemas[0].equals(schemas[1])
    assert (len(journal(empty)), len(focus.focus(empty))) == (0, 0)


class HeldRows:
    """The rows of a history in batches of `size`, and how many batches were held at most at one time."""

    def __init__(self, rows: Any) -> None:
        self._rows, self.most, self.batches = rows, 0, 0
        self._held: WeakSet[HeldBatch] = WeakSet()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._rows, name)
        return (lambda *given: self._watched(method(*given))) if name in STREAMS else method

    def _watched(self, batches: Iterator[list[Any]]) -> Iterator[Any]:
        for batch in map(HeldBatch, batches):
            self._held.add(batch)
            self.batches += 1
            self.most = max(self.most, len(self._held))
            yield batch
            del batch


class HeldBatch(list[Any]):
    """A list that can be watched."""

    __hash__ = object.__hash__


STREAMS = ("settled", "purchases", "started", "answers")


def test_exports_hold_a_few_batches_however_many_rows(
    own_book: tuple[report_history.Book, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    book, database = own_book
    big_history.write(database, 60)
    whole = report_history.report(book.db, "all")
    monkeypatch.setattr(report_rows, "BATCH", 5)
    monkeypatch.setattr(files, "ROWS", 5)
    for form, most in (("journal", 6), ("focus", 4), ("csv", 2), ("parquet", 2)):
        with whole.open_rows() as rows:
            held = HeldRows(rows)
            watched = replace(whole, open_rows=lambda held=held: nullcontext(held))
            watched.__dict__["attention"] = whole.attention
            exports.write(watched, form, tmp_path / form)
        assert held.batches > 3 * most, form
        assert held.most <= most, form
    monkeypatch.undo()
    exports.write(whole, "journal", tmp_path / "at once")
    assert (tmp_path / "at once").read_bytes() == (tmp_path / "journal").read_bytes()


MANDATORY = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
]
NULLABLE = {"BillingAccountName", "ChargeClass", "ChargeDescription", "PricingQuantity", "PricingUnit"}
"""As FOCUS 1.2 has it: https://focus.finops.org/focus-specification/v1-2/"""


def test_focus_has_the_mandatory_columns(november: Report) -> None:
    table = focus.focus(november)
    assert set(MANDATORY) <= set(table.columns)
    assert table[[name for name in MANDATORY if name not in NULLABLE]].notna().all(axis=None)
    assert table[["BillingAccountName", "ChargeClass", "InvoiceId"]].isna().all(axis=None)
    for name in ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "PricingQuantity"):
        assert table[name].map(lambda value: isinstance(value, Decimal)).all(), name
    for name in ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"):
        assert str(table[name].dtype) == "datetime64[us, UTC]", name
    assert (table.ChargePeriodEnd > table.ChargePeriodStart).all()
    assert set(table.ChargeCategory) == {"Usage"}
    assert set(table.ServiceCategory) == {"Compute", "AI and Machine Learning"}
    assert [name for name in table.columns if name not in focus.MANDATORY and not name.startswith("x_")] == [
        *("ChargeFrequency", "InvoiceId", "ResourceId", "ResourceType", "ServiceSubcategory", "SubAccountId", "Tags")
    ]


def test_focus_adds_up_to_what_was_spent(november: Report) -> None:
    table = focus.focus(november)
    assert table.BilledCost.sum() == Decimal("11.43")
    assert sorted(table.BilledCost)[0] == Decimal("-1")  # the refund
    assert table[table.PricingUnit == "Hours"].PricingQuantity.sum() == Decimal(7)
    assert table[table.PricingUnit == "Tokens"].PricingQuantity.tolist() == [Decimal(1050)] * 2
    assert set(table.ProviderName) == {"Vendor 1", "Vendor 2", "Vendor 3", "fireworks_ai"}
    tags = table[table.x_RunId == table.x_RunId.mode()[0]].Tags.map(json.loads)
    assert all(isinstance(value, dict) for value in tags)
    assert {"x": True, "y": True} in [json.loads(text) for text in table.Tags]


def test_focus_as_csv_writes_times_and_nulls_as_the_specification_wants(november: Report) -> None:
    table = read_csv(exports.text(november, "focus"), dtype=str, keep_default_na=False)
    assert table.BillingPeriodStart.unique().tolist() == ["2026-11-01T00:00:00Z"]
    assert set(table.BillingCurrency) == {"USD"}
    assert set(table.ChargeClass) == {""}


def test_a_spreadsheet_takes_no_text_for_a_formula(own_book: tuple[report_history.Book, Any], tmp_path: Path) -> None:
    """Nor part of a text, where the locale's separator is another; and amounts stay numbers."""
    book, database = own_book
    database.runs.update_many({}, {"$set": {"goal": "=HYPERLINK(1);=A1\t@B1", "tags": ["x;=1", "-y"]}})
    database.jobs.update_many({"status": "failed"}, {"$set": {"errorMessage": "@SUM(A1)\n+A1"}})
    report = report_history.report(book.db)
    texts = [path.read_text() for path in exports.write(report, "csv", tmp_path)]
    assert "'=HYPERLINK(1);'=A1\t'@B1" in texts[0]
    assert "'@SUM(A1)\n'+A1" in texts[0]
    for text in (*texts, exports.text(report, "focus"), exports.text(report, "journal")):
        for separator in ",;\t|":
            for cell in (cell for row in csv.reader(io.StringIO(text), delimiter=separator) for cell in row):
                assert not re.match(r"[=+@]|-(?![0-9]+\.[0-9]{6}(?:,|$))", cell), cell
    assert read_csv(exports.text(report, "journal"), converters={"amount": Decimal}).amount.min() < ZERO


def test_every_export_says_which_protocol_a_purchase_went_by(own_book: tuple[report_history.Book, Any]) -> None:
    """As it was stored with the quote; jobs of before there were several went by ours."""
    book, database = own_book
    first, *_ = list(database.jobs.find({"vendorId": BETA, "state": "settled"}).sort("createdAt", -1))
    database.jobs.update_one({"_id": first["_id"]}, {"$set": {"quote.protocol": "prism"}})
    database.jobs.update_many({"vendorId": ALPHA}, {"$unset": {"quote.protocol": ""}})
    database.vendors.update_many({}, {"$set": {"protocol": "hypercli"}})
    report, job_id = report_history.report(book.db), str(first["_id"])
    purchases = exports.tables(report)["purchases"].set_index("jobId").protocol
    assert purchases[job_id] == "prism"
    assert set(purchases.drop(job_id)) == {"gpuagent/1"}
    lines = journal(report)
    assert set(lines[lines.jobId == job_id].protocol) == {"prism"}
    assert set(lines[lines.jobId == ""].protocol) == {""}
    charges = focus.focus(report)
    assert charges[charges.x_JobId == job_id].x_Protocol.tolist() == ["prism"]
    by_vendor = spend.by_vendor(report.paid).set_index("vendorId").protocol
    assert by_vendor.to_dict() == {ALPHA: "gpuagent/1", BETA: "gpuagent/1, prism", GAMMA: "gpuagent/1"}


def test_a_file_that_cannot_be_written_is_named(november: Report, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there are: html, focus"):
        exports.write(november, "xlsx", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        exports.write(november, "html", tmp_path / "file" / "below.html")
    assert exports.write_all(november, "") == []


@pytest.mark.parametrize("form", ["journal", "focus", "csv", "parquet"])
def test_a_report_that_fails_half_way_leaves_the_last_one(november: Report, tmp_path: Path, form: str) -> None:
    """A table that ends early is not to be told from a whole one, nor tables of two moments from those of one."""

    def contents() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    exports.write(november, form, tmp_path / "report")
    before = contents()
    counts: list[int] = []

    def fails_late(rows: int) -> None:
        counts.append(rows)
        if len(counts) == (2 if form in files.FOLDERS else 1):
            raise StoreError("the database is gone")

    with pytest.raises(StoreError, match="gone"):
        exports.write(november, form, tmp_path / "report", fails_late)
    assert contents() == before
