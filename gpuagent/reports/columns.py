"""Tables as arrays by column, and their rows added up: in microseconds, where a frame takes milliseconds. Pure.

A column is an array or Values. Times are milliseconds of Unix time, NO_TIME for none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd

from gpuagent.reports.summary_rows import Array

NO_TIME = -(2**63)
"""In a column of times: none. It is before all others."""
UNITS_MS = {"D": 86_400_000, "h": 3_600_000}
SPAN_MAX = 2**62
"""Numbers that keys are made one number of, at most."""


@dataclass(frozen=True, slots=True)
class Values:
    """A column of few different values. codes: their places among these, -1 for the last one."""

    codes: Array
    values: Array

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Self:
        return type(self)(self.codes[rows], self.values)

    def where(self, test: Callable[[Any], bool]) -> Array:
        """Which of them pass the test."""
        passing: Array = np.array([bool(test(value)) for value in self.values])[self.codes]
        return passing


class Texts(Values):
    """A column of texts, of which those that it may have are different and in ascending order."""

    @classmethod
    def of(cls, codes: Array, names: Iterable[str], missing: str = "") -> "Texts":
        """names: in any order. missing: where the code is -1."""
        coded = [*names, missing]
        ordered = sorted(set(coded))
        places = {name: place for place, name in enumerate(ordered)}
        return cls(np.array([places[name] for name in coded])[codes], objects(ordered))

    def are(self, name: str) -> Array:
        return self.where(lambda each: each == name)

    def mapped(self, change: Callable[[str], str]) -> "Texts":
        return Texts.of(self.codes, map(change, self.values))


Table: TypeAlias = Mapping[str, Any]


def objects(values: Sequence[Any]) -> Array:
    """An array of these, whatever they are."""
    array = np.empty(len(values), "object")
    array[:] = values
    return array


def plain(column: "Array | Values") -> Array:
    return column.values[column.codes] if isinstance(column, Values) else column


def select(table: Table, rows: Array) -> dict[str, Any]:
    """These rows. rows: their places, or whether it is each of them."""
    if rows.dtype == "bool" and rows.all():
        return dict(table)
    places = np.flatnonzero(rows) if rows.dtype == "bool" else rows
    return {name: column[places] for name, column in table.items()}


def floored(times: Array, unit: str) -> Array:
    """Rounded down to the beginning of a day (D) or an hour (h) in UTC."""
    rounded: Array = times // UNITS_MS[unit] * UNITS_MS[unit]
    return rounded


def times_of(milliseconds: Array) -> "pd.Series[Any]":
    """The column of a frame."""
    return pd.Series(milliseconds.view("datetime64[ms]")).dt.tz_localize("UTC")


def edge_ms(moment: pd.Timestamp) -> int:
    """The first millisecond that is not before a moment: all times are whole ones."""
    return -(-int(moment.as_unit("ns").value) // 1_000_000)


def added_up(table: Table, keys: Sequence[str], sums: Sequence[str]) -> dict[str, Any]:
    """One row of all that have the same keys, in the order of these, with sums: exact of integers and of Decimal."""
    groups, count = _groups([table[key] for key in keys])
    rows = np.empty(count, "int64")
    rows[groups] = np.arange(len(groups))
    totals = {name: np.zeros(count, table[name].dtype) for name in sums}
    for name, total in totals.items():
        np.add.at(total, groups, table[name])
    return {**{key: table[key][rows] for key in keys}, **totals}


def _groups(keys: "Sequence[Array | Texts]") -> tuple[Array, int]:
    """The number of the group of each row, in the order of the keys, and of groups in all."""
    codes, span = np.zeros(len(keys[0]), "int64"), 1
    for key in keys:
        own, size = (key.codes, len(key.values)) if isinstance(key, Texts) else ranks(key)
        if span * size > SPAN_MAX:
            codes, span = ranks(codes)
        codes, span = codes * size + own, span * size
    return ranks(codes)


def ranks(values: Array) -> tuple[Array, int]:
    """The rank of each among the different values, and their number."""
    codes, different = pd.factorize(values)
    places = np.empty(len(different), "int64")
    places[np.argsort(different)] = np.arange(len(different))
    return places[codes], len(different)


def first_rows(keys: Sequence[Array], most: int) -> Array:
    """The places of the first rows in the order of the keys, the first key before the second."""
    places = np.arange(len(keys[0]))
    if len(places) > most:
        places = np.flatnonzero(keys[0] <= np.partition(keys[0], most - 1)[most - 1])
    order: Array = places[np.lexsort([key[places] for key in reversed(keys)])][:most]
    return order
