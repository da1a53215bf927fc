"""Frames as the text of one CSV file."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeAlias

from gpuagent.core.text import spreadsheet_text
from gpuagent.reports.frames import Frame

MICROSECONDS = "%Y-%m-%dT%H:%M:%S.%fZ"
SECONDS = "%Y-%m-%dT%H:%M:%SZ"
"""FOCUS has no fractions of seconds."""
CACHED = 10_000
Frames: TypeAlias = Iterator[Frame]


def csv_pieces(batches: Frames, time_format: str = MICROSECONDS) -> Iterator[str]:
    """Frames as one CSV. Untrusted texts are no formulas, whichever separator a spreadsheet's locale expects."""
    for place, frame in enumerate(batches):
        text_columns = [name for name, kind in frame.dtypes.items() if str(kind) in ("str", "object")]
        inert = frame.assign(**{name: frame[name].map(_inert) for name in text_columns})
        yield str(inert.to_csv(index=False, header=not place, lineterminator="\n", date_format=time_format))


def _inert(value: Any) -> Any:
    """A text as spreadsheet_text() has it, and any other value, such as an amount, as it is."""
    return _inert_text(value) if isinstance(value, str) else value


@lru_cache(CACHED)
def _inert_text(text: str) -> str:
    """Accounts, vendors, users and runs come many times."""
    return spreadsheet_text(text)
