"""The leases of one batch of runs: renewed until the last of them is released, each as soon as its run is done."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Protocol

from gpuagent.errors import StoreError

HANGS_S = 900.0
"""A tick that takes longer hangs: its lease ends then, and another may tick the run, which is safe."""


class Leases(Protocol):
    """As MongoLeases has them."""

    def renew(self, worker: str, seconds: float) -> None: ...

    def release(self, worker: str, rests: Mapping[str, float | None], keep: Sequence[str] = ()) -> None: ...


class BatchLease:
    """Leases on runs under one name that is used once, as long as slow vendors, chain and planner take.

    life_s: seconds that they last when this process dies.
    """

    def __init__(self, leases: Leases, name: str, run_ids: Sequence[str], life_s: float) -> None:
        self._leases, self._name, self._life_s = leases, name, life_s
        self._held, self._lock, self._over = set(run_ids), Lock(), Event()
        self._ends_at = time.monotonic() + HANGS_S
        Thread(target=self._renew, daemon=True).start()

    def release(self, rests: Mapping[str, float | None], keep: Sequence[str] = ()) -> None:
        """Release all leases but those to keep. rests: as MongoLeases.release() takes them. Raises StoreError."""
        with self._lock:
            self._release(rests, self._held.intersection(keep))

    def release_late(self, run_id: str, rest_s: float | None) -> None:
        """Release one of them. Where the database is away, it ends by itself."""
        with self._lock, suppress(StoreError):
            self._release({run_id: rest_s}, self._held - {run_id})

    def _release(self, rests: Mapping[str, float | None], held: set[str]) -> None:
        self._held = held
        if not held:
            self._over.set()
        self._leases.release(self._name, rests, sorted(held))

    def _renew(self) -> None:
        while not self._over.wait(self._life_s / 3) and time.monotonic() < self._ends_at:
            with suppress(StoreError):  # the next try is before the leases end
                self._leases.renew(self._name, self._life_s)
