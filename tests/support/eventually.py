"""Waiting for what other processes and threads do: look again under a deadline, never sleep and hope."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
DEADLINE_S = 90.0
"""Reached only where something is broken: a machine may be busy with other things for long."""


def eventually(
    look: Callable[[], Result | None], deadline_s: float = DEADLINE_S, otherwise: str = "not in time"
) -> Result:
    """The first result of look() that is true.

    Raises AssertionError with the text of otherwise, and the last result, at the deadline.
    """
    ends_at = time.monotonic() + deadline_s
    while not (result := look()):
        assert time.monotonic() < ends_at, f"{otherwise}: after {deadline_s:g} s still {result!r}"
        time.sleep(0.01)
    return result
