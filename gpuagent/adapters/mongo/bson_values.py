"""Values of many BSON documents as numpy columns, read from where bson_columns.py has found them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import Enum, auto
from typing import Any, TypeAlias

import bson
import numpy as np
import pandas as pd
from bson import Decimal128

from gpuagent.adapters.mongo.bson_batches import (
    ARRAY,
    DATE,
    DECIMAL128,
    DOUBLE,
    INT32,
    INT64,
    OBJECT_ID,
    STRING,
)
from gpuagent.adapters.mongo.bson_texts import MASKS, Array, codes_of
from gpuagent.core.money import DECIMALS, UNIT
from gpuagent.errors import StoreError

ID = np.dtype([("high", ">u8"), ("low", ">u4")])
"""An ObjectId, whose bytes are in its order."""
NO_TIME = -(2**63)
"""In a column of times: none."""
EXACT = Context(prec=60)
_EXPONENT_BIAS = 6176


class ColumnKind(Enum):
    """What becomes of a field. A missing one and one of another type count as null."""

    ID = auto()
    """An array of ID."""
    TIME = auto()
    """Milliseconds of Unix time, or NO_TIME."""
    AMOUNT = auto()
    """Atomic units of an amount in USD, cut off behind them; 0 for null."""
    NUMBER = auto()
    """A float; NaN for null."""
    FILLED = auto()
    """Whether it is a text that is not empty."""
    TEXT = auto()
    """Codes and the texts that they stand for; -1 for null."""
    LIST = auto()
    """Codes and the lists that they stand for; -1 for null."""


Coded: TypeAlias = tuple[Array, list[Any]]
"""Codes and what they stand for; -1: nothing."""
Column: TypeAlias = Array | Coded


@dataclass
class FieldPlaces:
    """Where the value of a field is in each document, -1 for nowhere, and its type."""

    at: Array
    types: Array


class FieldValues:
    """Decodes values in the bytes of documents. chunks: eight bytes of the data from each place on."""

    def __init__(self, data: Array, chunks: Array) -> None:
        self._data, self._chunks = data, chunks

    def column(self, places: FieldPlaces, kind: ColumnKind) -> Column:
        match kind:
            case ColumnKind.ID:
                return self._ids(places)
            case ColumnKind.TIME:
                return self._whole(places, (DATE,), NO_TIME)
            case ColumnKind.AMOUNT:
                return self._amounts(places)
            case ColumnKind.NUMBER:
                return self._numbers(places)
            case ColumnKind.FILLED:
                filled = np.zeros(len(places.at), "bool")
                texts = np.flatnonzero(places.types == STRING)
                filled[texts] = sizes_at(self._chunks, places.at[texts]) > 1
                return filled
            case ColumnKind.TEXT:
                return self._coded(places, STRING)
        return self._coded(places, ARRAY)

    def _ids(self, places: FieldPlaces) -> Array:
        ids = np.zeros(len(places.at), ID)
        some = np.flatnonzero(places.types == OBJECT_ID)
        at = places.at[some]
        ids["high"][some] = self._chunks[at].byteswap()
        ids["low"][some] = (self._chunks[at + 4] >> np.uint64(32)).astype("<u4").byteswap()
        return ids

    def _whole(self, places: FieldPlaces, types: Sequence[int], missing: int) -> Array:
        values = np.full(len(places.at), missing, "int64")
        for kind in types:
            some = np.flatnonzero(places.types == kind)
            chunks = self._chunks[places.at[some]]
            values[some] = chunks.astype("<u4").view("<i4") if kind == INT32 else chunks.view("<i8")
        return values

    def _numbers(self, places: FieldPlaces) -> Array:
        values = np.full(len(places.at), np.nan)
        some = np.flatnonzero(places.types == DOUBLE)
        values[some] = self._chunks[places.at[some]].view("<f8")
        whole = np.flatnonzero(np.isin(places.types, (INT32, INT64)))
        values[whole] = self._whole(FieldPlaces(places.at[whole], places.types[whole]), (INT32, INT64), 0)
        for row in np.flatnonzero(places.types == DECIMAL128):
            values[row] = float(self._decimal(int(places.at[row])))
        return values

    def _amounts(self, places: FieldPlaces) -> Array:
        values = np.zeros(len(places.at), "int64")
        some = np.flatnonzero(places.types == DECIMAL128)
        at = places.at[some]
        low, high = self._chunks[at], self._chunks[at + 8]
        for pattern in pd.unique(high):
            rows = np.flatnonzero(high == pattern)
            values[some[rows]] = self._scaled(int(pattern), low[rows], at[rows])
        for row in np.flatnonzero(np.isin(places.types, (DOUBLE, INT32, INT64))):
            number = self._numbers(FieldPlaces(places.at[row : row + 1], places.types[row : row + 1]))
            values[row] = _atomic(Decimal(float(number[0])))
        return values

    def _scaled(self, high: int, low: Array, at: Array) -> Any:
        """Atomic units of decimals with the same upper half: sign, exponent, upper digits."""
        shift = (high >> 49 & 0x3FFF) - _EXPONENT_BIAS + DECIMALS
        negative, special, upper_digits = high >> 63, high >> 61 & 3 == 3, high & (1 << 49) - 1
        plain = not (negative or special or upper_digits) and abs(shift) <= 18
        if plain and shift >= 0 and int(low.max()) <= (2**63 - 1) // 10**shift:
            return low.astype("int64") * 10**shift
        if plain and shift < 0 and int(low.max()) < 2**63:
            return low.astype("int64") // 10**-shift
        return np.array([_atomic(self._decimal(int(place))) for place in at], "int64")

    def _decimal(self, place: int) -> Decimal:
        return Decimal128.from_bid(self._data[place : place + 16].tobytes()).to_decimal()

    def _coded(self, places: FieldPlaces, kind: int) -> Coded:
        codes = np.full(len(places.at), -1, "int64")
        some = np.flatnonzero(places.types == kind)
        at = places.at[some]
        sizes = sizes_at(self._chunks, at)
        # A text is counted with the zero byte at its end, an array with its own size.
        at, sizes = (at + 4, sizes - 1) if kind == STRING else (at, sizes)
        codes[some], values = codes_of(self._data, self._chunks, at, sizes)
        decode = bytes.decode if kind == STRING else _list
        return codes, [decode(value) for value in values]


def sizes_at(chunks: Array, at: Array) -> Array:
    """The four bytes at each place, by which texts, arrays and documents begin with their size."""
    sizes: Array = (chunks[at] & MASKS[4]).astype("int64")
    return sizes


def _list(value: bytes) -> list[Any]:
    return list(bson.decode(value).values())


def _atomic(value: Decimal) -> int:
    """Atomic units as $toLong cuts them off. Raises StoreError for what is no number that it can hold."""
    try:
        units = int(EXACT.multiply(value, Decimal(UNIT)))
    except (ValueError, OverflowError):
        units = 2**63
    if not -(2**63) <= units < 2**63:
        raise StoreError(f"the amount {value} in MongoDB is no amount of USD: repair the document")
    return units
