"""The wait that a busy server asks for: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds, not negative; 0 where nothing is asked that can be read.

    A date counts from the Date of the same answer: how our own clock goes does not matter.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):  # no date, or one of them without a time zone
        return 0
    return max(0.0, wait.total_seconds())
