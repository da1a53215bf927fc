"""Durations and sizes as readers see them; how they are read is tested with the job file (test_workload.py)."""

import pytest

from gpuagent.core.units import show_duration, show_size


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
