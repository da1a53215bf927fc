"""How long counts what one tick has read, of the database and of the chain alike."""

READING_S = 5.0
"""A reading counts for so long."""


def is_fresh(at: float, now: float) -> bool:
    """Whether a reading that was asked for at `at` counts now: not where it is old, or our clock was set back since."""
    return 0 <= now - at <= READING_S
