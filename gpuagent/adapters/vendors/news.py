"""What a vendor's answer says of a job beyond its state: phase, exit code, metrics, cursor. What is odd is left out."""

from collections.abc import Mapping
from decimal import Decimal
from math import inf, isfinite, nan
from typing import Any

from gpuagent.core.text import clean

METRICS_MAX = 32
"""Names in one metric."""
ROWS_MAX = 1_000
"""Metrics of one answer: the newest count."""
NAME_MAX, TEXT_MAX = 64, 200
CURSOR_MAX = 200
WORD_MAX = 64
"""Characters of a vendor's word for a job's state or phase."""
SIGNALS = 64
EXACT_MAX = 2**53
"""Whole numbers up to here are the same as floats, and fit every store."""


def read_phase(value: object) -> str:
    return clean(value, WORD_MAX).strip() if isinstance(value, str) else ""


def read_exit_code(value: object) -> int | None:
    """0 to 255. The end by a signal is 128 and its number, as in a shell; some send it as a negative number."""
    if type(value) is not int:
        return None
    code = 128 - value if -SIGNALS <= value < 0 else value
    return code if 0 <= code <= 255 else None


def read_cursor(value: object) -> str:
    """The mark of the news, "" for none that can be kept and sent back."""
    text = str(value) if type(value) is int and abs(value) < 10**18 else value
    return text if isinstance(text, str) and len(text) <= CURSOR_MAX and text.isprintable() else ""


def read_rows(value: object) -> tuple[Mapping[str, object], ...]:
    """New metrics, oldest first: of each its numbers and short texts by name. A boolean is no metric."""
    rows = value[-ROWS_MAX:] if isinstance(value, list) else []
    return tuple(row for item in rows if isinstance(item, dict) and (row := _row(item)))


def metric_name(name: object) -> str:
    """A leading $ would make a database reference or an operator of it."""
    return clean(str(name), NAME_MAX).lstrip("$")


def metric_value(value: object) -> object:
    """A finite number: a whole one as an int, as a step is read and shown, else as a float.

    Whatever else as text, so that NaN is seen and passes no test of a number.
    """
    try:
        number = float(value) if isinstance(value, int | Decimal) else nan
    except OverflowError:  # an integer beyond every float
        number = inf
    if not isfinite(number):
        return clean(str(value), TEXT_MAX)
    return int(number) if number.is_integer() and abs(number) <= EXACT_MAX else number


def _row(item: Mapping[str, Any]) -> dict[str, object]:
    values = ((metric_name(name), value) for name, value in item.items())
    numbers = [
        (name, metric_value(value))
        for name, value in values
        if name.strip() and isinstance(value, int | Decimal | str) and not isinstance(value, bool)
    ]
    return dict(numbers[:METRICS_MAX])
