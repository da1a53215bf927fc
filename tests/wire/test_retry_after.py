"""The wait that a busy server asks for."""

import pytest

from gpuagent.wire.retry_after import retry_after_s

DATE = "Sat, 28 Nov 2026 08:00:00 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("9" * 400, 999_999_999),
        ("", 0),
        ("-7", 0),
        ("7.5", 0),
        ("٧", 0),
        ("soon", 0),
        ("Sat, 28 Nov 2026 08:00:30 GMT", 30),
        ("Saturday, 28-Nov-26 08:00:30 GMT", 30),
        ("Sat, 28 Nov 2026 07:59:00 GMT", 0),
        ("Sat, 28 Nov 2026 08:00:30", 0),
    ],
)
def test_seconds_or_a_date(text: str, seconds: float) -> None:
    assert retry_after_s({"Retry-After": text, "Date": DATE}) == seconds


def test_a_date_counts_from_the_server_s_clock_alone() -> None:
    assert retry_after_s({"Retry-After": DATE}) == 0
    assert retry_after_s({}) == 0
