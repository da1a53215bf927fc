"""Summaries as bytes that are kept, and what they hold read again, whichever version of them was written."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from gpuagent.reports.figures.summary import TABLES, Milliseconds, Summary
from gpuagent.reports.frames import TIME, Frame
from gpuagent.reports.kept import packed, unpacked_parts

FORMAT = 4
"""Of what is kept: raise it whenever a figure comes to mean something else, and all is made anew."""
ALIKE = (3,)
"""Earlier formats of the same figures, which are read as well. 3: times are a list of numbers."""

STEP = np.dtype("<u2")
STEP_MAX = 0xFFFF
"""The times are kept as the steps between them, two bytes each, and the few that are longer beside them."""


def encoded(summary: Summary) -> bytes:
    """The summary to be kept, with its format and a hash by which a part of it is not believed."""
    steps = np.diff(summary.times, prepend=0)
    wide = np.flatnonzero((steps < 0) | (steps > STEP_MAX))
    content = {
        "tables": {name: _columns(summary.tables[name], columns) for name, columns in TABLES.items()},
        "counts": dict(summary.counts),
        "twice": str(summary.twice),
        "times": {"wide": wide.tolist(), "steps": steps[wide].tolist()},
        **{name: getattr(summary, name) for name in ("first", "last", "first_spent")},
    }
    return packed(content, FORMAT, steps.astype(STEP).tobytes())


def decoded(content: bytes) -> Summary | None:
    """The summary that was kept; None for one of another format, or of which only a part was written."""
    parts = next(filter(None, (unpacked_parts(content, form) for form in (FORMAT, *ALIKE))), None)
    if parts is None:
        return None
    plain, numbers = parts
    return Summary(
        {name: _table(plain["tables"][name], columns) for name, columns in TABLES.items()},
        plain["counts"],
        Decimal(plain["twice"]),
        _times(plain["times"], numbers),
        **{name: plain[name] for name in ("first", "last", "first_spent")},
    )


def _columns(table: Frame, columns: Mapping[str, str]) -> dict[str, list[Any]]:
    return {name: _plain(table[name], kind) for name, kind in columns.items()}


def _plain(values: "pd.Series[Any]", kind: str) -> list[Any]:
    if kind == TIME:
        return list(values.dt.as_unit("ms").astype("int64").tolist())
    plain = values.tolist()
    return [str(value) if isinstance(value, Decimal) else value for value in plain] if kind == "object" else plain


def _table(plain: Mapping[str, Sequence[Any]], columns: Mapping[str, str]) -> Frame:
    table = {name: _column(name, plain[name], kind) for name, kind in columns.items()}
    return pd.DataFrame(table, copy=False)


def _column(name: str, plain: Sequence[Any], kind: str) -> "pd.Series[Any]":
    if kind == TIME:
        return pd.Series(np.array(plain, "int64").astype("datetime64[ms]")).dt.tz_localize("UTC").astype(TIME)
    values = [Decimal(hours) for hours in plain] if name == "hours" else plain
    return pd.Series(values, dtype=kind)


def _times(plain: Any, numbers: bytes) -> Milliseconds:
    if isinstance(plain, list):
        return np.array(plain, "int64")
    steps = np.frombuffer(numbers, STEP).astype("int64")
    steps[plain["wide"]] = plain["steps"]
    return np.cumsum(steps)
