"""The time that three clocks agree on, and what is said where they do not."""

import pytest

from gpuagent.core.clocks import APART_MAX_S, agreed
from gpuagent.errors import ClocksDiffer

NOON = 1_800_000_000.0
DAY_S = 86_400


@pytest.mark.parametrize(
    ("database", "chain", "now"),
    [
        (0, 0, 0),
        (-1, 0, -1),
        (0, -3, -3),
        (1, 2, 0),
        (0, -APART_MAX_S, -APART_MAX_S),
        (APART_MAX_S, 5, 0),
        (-7, None, -7),
    ],
)
def test_the_earliest_of_clocks_that_agree_is_now(database: float, chain: float | None, now: float) -> None:
    """By the earliest, nothing that any of them still counts has fallen out of a day."""
    assert agreed(NOON, NOON + database, None if chain is None else NOON + chain) == NOON + now


@pytest.mark.parametrize(
    ("own", "database", "chain", "advice"),
    [
        (DAY_S, 0, 0, "set the clock of this machine by NTP"),
        (-DAY_S, 0, 0, "set the clock of this machine by NTP"),
        (APART_MAX_S + 1, 0, 0, "set the clock of this machine by NTP"),
        (0, DAY_S, 0, "set the clock of the database's server"),
        (0, -DAY_S, 5, "set the clock of the database's server"),
        (0, 0, -APART_MAX_S - 1, "the node has stopped or lags"),
        (0, 0, DAY_S, "the node has stopped or lags"),
        (0, DAY_S, None, "of this machine by NTP; or set the clock of the database"),
        (0, 3600, 7200, "of this machine by NTP; or set the clock of the database's server by NTP; or the node"),
        (0, 0, 10.0**20, "100000000000000000000 s"),
    ],
)
def test_a_clock_that_is_alone_is_named(own: float, database: float, chain: float | None, advice: str) -> None:
    with pytest.raises(ClocksDiffer) as refusal:
        agreed(NOON + own, NOON + database, None if chain is None else NOON + chain)
    text = str(refusal.value)
    assert advice in text
    assert "this machine 2027-01-1" in text
    assert "the database 2027-01-1" in text
