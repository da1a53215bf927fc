"""Waiting for what other processes and threads do: look again under a deadline, never sleep and hope."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], deadline_s: float = 10, otherwise: str = "not in time") -> Found:
    """Look until there is something, and return it. Raises AssertionError at the deadline: otherwise, in words."""
    ends_at = time.monotonic() + deadline_s
    while not (found := look()):
        assert time.monotonic() < ends_at, otherwise
        time.sleep(0.01)
    return found
