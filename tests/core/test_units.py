"""Durations and sizes as readers see them, and as options give them; those of job files are in test_workload.py."""

import pytest

from gpuagent.core.units import parse_delay, parse_duration, parse_interval, show_duration, show_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (64_000, "64.0 kB"),
        (1_250_000, "1.2 MB"),
        (10**9, "1.0 GB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_a_size_is_short(size: int, text: str) -> None:
    assert show_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (3_599, "1 h 00 min"),
        (11_100, "3 h 05 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


def test_a_number_without_a_unit_is_asked_for_one() -> None:
    for text in ("15", " 1.5 ", "0"):
        with pytest.raises(ValueError, match=rf"say the unit: {text.strip()}s, {text.strip()}m or {text.strip()}h"):
            parse_duration(text)
    assert (parse_delay(" 0 "), parse_delay("15m")) == (0, 900)
    with pytest.raises(ValueError, match="say the unit: 15s"):
        parse_delay("15")


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("0.1", 0.1), ("0", 0), ("5m", 300), ("1h30m", 5400)])
def test_an_interval_is_a_duration_or_seconds(text: str, seconds: float) -> None:
    assert parse_interval(text) == seconds


@pytest.mark.parametrize("text", ["", "nan", "inf", "-1", "1e3", "5x", "soon"])
def test_no_intervals(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_interval(text)
