"""How long a tick uses what it has read of the database or the chain."""

READING_S = 5.0
"""Seconds for which a reading is used."""


def is_fresh(at: float, now: float) -> bool:
    """Whether a reading that was requested at `at` may be used: it is not old, and our clock was not set back since."""
    return 0 <= now - at <= READING_S
