"""The vendor's clock: wall time with a turnable offset, or standing still."""

import threading
import time
from collections.abc import Callable


class Clock:
    """A turnable clock, in Unix seconds. Quotes expire and jobs advance by it; it is persisted nowhere."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._offset = 0.0
        self._frozen_at: float | None = None
        self._lock = threading.Lock()

    def now(self) -> float:
        with self._lock:
            return self._now()

    def advance(self, seconds: float) -> float:
        """Turn the clock, frozen or not. Returns the new time."""
        with self._lock:
            if self._frozen_at is not None:
                self._frozen_at += seconds
            else:
                self._offset += seconds
            return self._now()

    def freeze(self) -> None:
        with self._lock:
            self._frozen_at = self._now()

    def run(self) -> None:
        """Let the clock go on from where it was frozen."""
        with self._lock:
            if self._frozen_at is not None:
                self._offset = self._frozen_at - self._wall()
                self._frozen_at = None

    def _now(self) -> float:
        return self._wall() + self._offset if self._frozen_at is None else self._frozen_at
