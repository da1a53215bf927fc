"""Summaries as bytes that are kept, and what they hold read again, whichever version of them was written."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from gpuagent.reports.columns import objects
from gpuagent.reports.figures.summary import TABLES, Milliseconds, Summary, dtype_of
from gpuagent.reports.kept import packed, unpacked_parts
from gpuagent.reports.summary_rows import Array

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
        "tables": {
            name: {column: _plain(column, summary.columns[name][column]) for column in columns}
            for name, columns in TABLES.items()
        },
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
        {
            name: {column: _column(column, plain["tables"][name][column], kind) for column, kind in columns.items()}
            for name, columns in TABLES.items()
        },
        plain["counts"],
        Decimal(plain["twice"]),
        _times(plain["times"], numbers),
        **{name: plain[name] for name in ("first", "last", "first_spent")},
    )


def _plain(name: str, column: Array) -> list[Any]:
    return list(map(str, column)) if name == "hours" else list(column.tolist())


def _column(name: str, plain: Sequence[Any], kind: str) -> Array:
    if dtype_of(kind) == "object":
        return objects([Decimal(hours) for hours in plain] if name == "hours" else plain)
    return np.array(plain, "int64")


def _times(plain: Any, numbers: bytes) -> Milliseconds:
    if isinstance(plain, list):
        return np.array(plain, "int64")
    steps = np.frombuffer(numbers, STEP).astype("int64")
    steps[plain["wide"]] = plain["steps"]
    return np.cumsum(steps)
