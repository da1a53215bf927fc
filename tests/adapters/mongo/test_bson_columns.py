"""Columns decoded from BSON: the same as a dict of each document says, whatever its fields, their order and types."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import bson
import numpy as np
import pytest
from bson import Decimal128, Int64, ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuagent.adapters.mongo.bson_batches import Batches
from gpuagent.adapters.mongo.bson_columns import BsonColumns
from gpuagent.adapters.mongo.bson_values import NO_TIME, ColumnKind
from gpuagent.errors import StoreError

KINDS = {
    "_id": ColumnKind.ID,
    "at": ColumnKind.TIME,
    "cost": ColumnKind.AMOUNT,
    "hours": ColumnKind.NUMBER,
    "version": ColumnKind.NUMBER,
    "hash": ColumnKind.FILLED,
    "vendorJobId": ColumnKind.TEXT,
    "vendorJobTemplate": ColumnKind.TEXT,
    "tags": ColumnKind.LIST,
    "quote.protocol": ColumnKind.TEXT,
    "quote.paid": ColumnKind.AMOUNT,
}
"""Among them names of seven bytes and more, of which one begins like another."""
TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["A100", "A100\0", "é" * 60, "x" * 96, "x" * 97, ""]))
AMOUNTS = st.one_of(
    st.decimals(0, 10**9, places=6).map(Decimal128),
    st.sampled_from(["0", "1.5", "-2", "1E+3", "0.0000019", "9007199254740.993123", "1E-30"]).map(Decimal128),
    st.integers(-5, 10**6),
    st.integers(-5, 10**6).map(lambda whole: whole / 8),
)
VALUES = {
    ColumnKind.ID: st.binary(min_size=12, max_size=12).filter(any).map(ObjectId),
    ColumnKind.TIME: st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1)).map(
        lambda at: at.replace(microsecond=7000)
    ),
    ColumnKind.AMOUNT: AMOUNTS,
    ColumnKind.NUMBER: st.one_of(st.floats(allow_nan=False), st.integers(-9, 9), st.integers(-9, 9).map(Int64)),
    ColumnKind.FILLED: TEXTS,
    ColumnKind.TEXT: TEXTS,
    ColumnKind.LIST: st.lists(TEXTS, max_size=3),
}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Fields in any order, some missing, some null."""
    document: dict[str, Any] = {}
    for path in draw(st.permutations(list(KINDS))):
        outer, _, name = path.rpartition(".")
        inner = document.setdefault(outer, {}) if outer and draw(st.booleans()) else document
        present = draw(st.sampled_from(["value", "value", "null", "missing"]))
        if present != "missing" and (inner is not document or not outer):
            inner[name] = draw(VALUES[KINDS[path]]) if present == "value" else None
    return document


def decoded(*batches: list[dict[str, Any]]) -> dict[str, Any]:
    """Columns of documents that come in these batches."""
    answers = Batches()
    for place, batch in enumerate(batches):
        cursor = {"nextBatch" if place else "firstBatch": batch, "id": Int64(len(batches) - place - 1), "ns": "a.jobs"}
        assert answers.add(memoryview(bson.encode(cursor))) == len(batches) - place - 1
    return dict(BsonColumns(answers, {path: (path, kind) for path, kind in KINDS.items()}))


def expected(document: dict[str, Any], path: str) -> Any:
    value: Any = document
    for name in path.split("."):
        value = (value or {}).get(name)
    match KINDS[path]:
        case ColumnKind.TIME:
            return NO_TIME if value is None else round(value.replace(tzinfo=UTC).timestamp() * 1000)
        case ColumnKind.AMOUNT:
            amount = value.to_decimal() if isinstance(value, Decimal128) else Decimal(value or 0)
            return int(amount * 10**6)
        case ColumnKind.NUMBER:
            return None if value is None else float(value)
        case ColumnKind.FILLED:
            return bool(value)
    return value


def actual(column: Any, kind: ColumnKind, row: int) -> Any:
    match kind:
        case ColumnKind.ID:
            return ObjectId(column[row].tobytes()) if column[row].tobytes() != bytes(12) else None
        case ColumnKind.NUMBER:
            return None if np.isnan(column[row]) else float(column[row])
        case ColumnKind.TEXT | ColumnKind.LIST:
            codes, values = column
            return None if codes[row] < 0 else values[codes[row]]
    return column[row]


@settings(max_examples=60)
@given(st.lists(documents(), max_size=8), st.integers(0, 8))
def test_columns_say_what_the_documents_do(rows: list[dict[str, Any]], cut: int) -> None:
    table = decoded(rows[:cut], rows[cut:])
    for path, kind in KINDS.items():
        for row, document in enumerate(rows):
            assert actual(table[path], kind, row) == expected(document, path), (path, document)
        if kind in (ColumnKind.TEXT, ColumnKind.LIST):
            codes = table[path][0]
            assert len(set(codes[codes >= 0])) == len(table[path][1]), "a code for each, and none besides"


def test_texts_are_told_apart_where_they_are_many() -> None:
    """More than are looked for in turn, some of which begin alike, and of any length."""
    texts = [f"{'x' * (row % 40)}{row % 30}" for row in range(200)]
    codes, values = decoded([{"vendorJobId": text} for text in texts])["vendorJobId"]
    assert [values[code] for code in codes] == texts
    assert len(values) == len(set(texts))


def test_more_documents_than_ten_or_a_hundred_are_found_in_a_batch() -> None:
    """Their places, which are names in the answer, have more digits."""
    for count in (0, 1, 9, 10, 11, 100, 101, 1_001):
        table = decoded([{"version": row} for row in range(count)])
        assert table["version"].tolist() == list(range(count))


def test_what_is_no_column_is_refused() -> None:
    with pytest.raises(StoreError, match="BSON type 0xb"):
        decoded([{"version": 1}, {"version": bson.Regex("a")}])
    with pytest.raises(StoreError, match="not asked for"):
        decoded([{"version": 1}, {"versions": 1}])
    for amount in ("NaN", "Infinity", "1E+20"):
        with pytest.raises(StoreError, match="no amount of USD"):
            decoded([{"cost": Decimal128(amount)}])
