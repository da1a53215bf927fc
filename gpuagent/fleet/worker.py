"""A worker: runs ticked at once under leases. All that work on one database share its runs.

A lease saves work that two would do twice; nothing about money rests on it, and the lease of a dead worker ends.
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread

from gpuagent.agent.tick_store import Reading
from gpuagent.core import budget
from gpuagent.core.model import Run
from gpuagent.core.ports import Ports
from gpuagent.core.transitions import is_open, is_over
from gpuagent.errors import GpuAgentError, StoreError
from gpuagent.tick import tick
from gpuagent.wiring import Database


@dataclass(frozen=True, slots=True)
class Leasing:
    """Seconds. life_s: of a lease that is not renewed, after which the runs of a dead worker are due again. rest_s:
    from one tick of a run to its next.
    """

    life_s: float = 60.0
    rest_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One run's turn. run: as its tick left it, or as it was before, where error says why that failed.

    seconds: what the tick took.
    """

    before: Run
    run: Run
    seconds: float
    error: GpuAgentError | None = None


class Worker:
    """Ticks runs, as many at once as it has threads. Close it when done."""

    def __init__(self, ports: Ports, database: Database, threads: int, leasing: Leasing = Leasing()) -> None:
        self._leasing = leasing
        self._ports, self._store, self._leases = ports, database.store, database.queries.leases
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fleet")

    def close(self) -> None:
        self._pool.shutdown()

    def tick_all(self, run_ids: Sequence[str], ends_at: float = float("inf")) -> list[Turn]:
        """One tick of each run that no other worker has. ends_at: of time.monotonic(); after it no tick begins.

        Raises StoreError where the leases or the runs cannot be had; the leases end by themselves then.
        """
        name = secrets.token_hex(8)
        if not (claimed := self._leases.claim(run_ids, name, self._leasing.life_s)):
            return []
        rests: dict[str, float | None] = {}
        with self._leased(name):
            try:
                at = self._ports.clock.now()
                readings = [Reading(standing, at) for standing in self._store.standings(claimed)]
                turns = [
                    turn for turn in self._pool.map(lambda reading: self._tick(reading, ends_at), readings) if turn
                ]
                there = {reading.standing.run.run_id for reading in readings}
                rests = dict.fromkeys(set(claimed) - there)  # no run any more
                rests |= {turn.run.run_id: self._rest(turn.run) for turn in turns}
            finally:
                self._leases.release(name, rests)
        return turns

    def _rest(self, run: Run) -> float | None:
        if is_over(run):
            return None
        if budget.held(run) or any(map(is_open, run.jobs)):
            return self._leasing.rest_s
        return max(self._leasing.rest_s, run.wait_until - self._ports.clock.now())

    def _tick(self, reading: Reading, ends_at: float) -> Turn | None:
        run, began = reading.standing.run, time.monotonic()
        if began >= ends_at:
            return None
        try:
            after = run if is_over(run) else tick(run.run_id, self._ports, reading)
        except GpuAgentError as error:  # of this run alone: the others go on
            return Turn(run, run, time.monotonic() - began, error)
        return Turn(run, after, time.monotonic() - began)

    @contextmanager
    def _leased(self, name: str) -> Iterator[None]:
        """Renew the leases until the block ends, however slow vendors, chain and planner are."""
        over = Event()

        def renew() -> None:
            while not over.wait(self._leasing.life_s / 3):
                with suppress(StoreError):  # the next try is before the leases end
                    self._leases.renew(name, self._leasing.life_s)

        renewal = Thread(target=renew, daemon=True)
        renewal.start()
        try:
            yield
        finally:
            over.set()
            renewal.join()
