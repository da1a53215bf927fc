"""A worker: runs ticked at once under leases. All that work on one database share its runs.

A lease saves work that two would do twice; nothing about money rests on it, and the lease of a dead worker ends.
"""

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread

from gpuagent.agent.tick_store import Reading
from gpuagent.core import budget
from gpuagent.core.indices import is_open
from gpuagent.core.model import Run
from gpuagent.core.ports import Ports
from gpuagent.core.transitions import is_over
from gpuagent.errors import GpuAgentError, StoreError
from gpuagent.tick import tick
from gpuagent.wiring import Database

log = logging.getLogger(__name__)
UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, GpuAgentError)
"""What a run raises that this version cannot read."""
LOOK_S = 60.0
"""A run that waits is looked at so often: what it waits for may be taken away, by a readmission or an adoption."""


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
        # Also where this fails: what makes it fail goes to the end of the queue, not to its head.
        rests: dict[str, float | None] = dict.fromkeys(claimed, self._leasing.rest_s)
        with self._leased(name):
            try:
                readings, unreadable = self._read(claimed)
                turns = [
                    turn for turn in self._pool.map(lambda reading: self._tick(reading, ends_at), readings) if turn
                ]
                there = {reading.standing.run.run_id for reading in readings}
                rests = dict.fromkeys(set(claimed) - there)  # no run any more
                rests |= dict.fromkeys(unreadable, max(self._leasing.rest_s, LOOK_S))
                rests |= {turn.run.run_id: self._rest(turn.run) for turn in turns}
            finally:
                self._leases.release(name, rests)
        return turns

    def _read(self, run_ids: Sequence[str]) -> tuple[list[Reading], list[str]]:
        """The runs as they are read together, and the ids of those that cannot be: damaged, or a newer version's."""
        at = self._ports.clock.now()
        try:
            return [Reading(standing, at) for standing in self._store.standings(run_ids)], []
        except UNREADABLE as error:
            if isinstance(error, StoreError):
                self._store.now()  # raises where the database is away; else it is one run that it cannot give
            if len(run_ids) == 1:
                log.warning("run %s cannot be read, and is not ticked: %r", run_ids[0], error)
                return [], list(run_ids)
        alone = [self._read([run_id]) for run_id in run_ids]
        return [reading for readings, _ in alone for reading in readings], [name for _, bad in alone for name in bad]

    def _rest(self, run: Run) -> float | None:
        if is_over(run):
            return None
        if budget.held(run) or any(map(is_open, run.jobs)):
            return self._leasing.rest_s
        wait_s = min(run.wait_until - self._ports.clock.now(), LOOK_S)
        return max(self._leasing.rest_s, wait_s)

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
