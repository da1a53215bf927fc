"""A worker: runs ticked at once under leases. All that work on one database share its runs.

A lease saves work that two would do twice; nothing about money rests on it, and the lease of a dead worker ends.
"""

import logging
import math
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

from gpuagent.agent.tick_store import Reading
from gpuagent.core import budget
from gpuagent.core.indices import is_open
from gpuagent.core.model import Run
from gpuagent.core.ports import Ports
from gpuagent.core.steps import is_over
from gpuagent.errors import GpuAgentError, StoreError
from gpuagent.fleet.batch_lease import BatchLease
from gpuagent.tick import tick
from gpuagent.wiring.database import Database

log = logging.getLogger(__name__)
UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, GpuAgentError)
"""What a run raises that this version cannot read."""
LOOK_S = 60.0
"""A run that waits is looked at so often: what it waits for may be taken away, by a readmission or an adoption."""


@dataclass(frozen=True, slots=True)
class Leasing:
    """Seconds. life_s: of a lease that is not renewed, after which the runs of a dead worker are due again. rest_s:
    from one tick of a run to its next. batch_s: that a batch waits for its slowest ticks; those go on under their
    leases, and what has not begun is due again.
    """

    life_s: float = 60.0
    rest_s: float = 0.0
    batch_s: float = 10.0


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
        self._late: list[Turn] = []

    def close(self) -> None:
        self._pool.shutdown()

    def tick_all(self, run_ids: Sequence[str], ends_at: float = float("inf")) -> list[Turn]:
        """One tick of each run that no other worker has. ends_at: of time.monotonic(); after it no tick begins.

        With the turns that a batch before did not wait for, and that are done by now; without those of its own that
        it does not wait for. Raises StoreError where the leases or the runs cannot be had; the leases end by
        themselves then.
        """
        name = secrets.token_hex(8)
        if not (claimed := self._leases.claim(run_ids, name, self._leasing.life_s)):
            return self._late_turns()
        # Also where this fails: what makes it fail goes to the end of the queue, not to its head.
        rests: dict[str, float | None] = dict.fromkeys(claimed, self._leasing.rest_s)
        ticking: dict[Future[Turn | None], str] = {}
        slow: set[Future[Turn | None]] = set()
        late: set[str] = set()
        lease = BatchLease(self._leases, name, claimed, self._leasing.life_s)
        try:
            readings, unreadable = self._read(claimed)
            # The longest due begins first: else what a full pool does not come to is left out each time.
            readings.sort(key=lambda reading: claimed.index(reading.standing.run.run_id))
            ticking = {self._pool.submit(self._tick, each, ends_at): each.standing.run.run_id for each in readings}
            batch_s = self._leasing.batch_s
            done, slow = wait(ticking, None if math.isinf(batch_s) else batch_s)
            slow = {future for future in slow if not future.cancel()}
            late = {ticking[future] for future in slow}
            turns = [turn for future in done if (turn := future.result())]
            rests = dict.fromkeys(set(claimed) - set(ticking.values()))  # no run any more
            rests |= dict.fromkeys(unreadable, max(self._leasing.rest_s, LOOK_S))
            rests |= {turn.run.run_id: self._rest(turn.run) for turn in turns}
        finally:
            for future in slow:
                future.add_done_callback(partial(self._end_late, lease, ticking[future]))
            lease.release({run_id: rest_s for run_id, rest_s in rests.items() if run_id not in late}, sorted(late))
        return [*self._late_turns(), *turns]

    def _end_late(self, lease: BatchLease, run_id: str, future: "Future[Turn | None]") -> None:
        """Release the lease of a tick that its batch did not wait for, and keep its turn for the next."""
        rest_s: float | None = self._leasing.rest_s
        try:
            if turn := future.result():
                rest_s = self._rest(turn.run)
                self._late.append(turn)
        finally:  # a bug is logged by the pool
            lease.release_late(run_id, rest_s)

    def _late_turns(self) -> list[Turn]:
        late, self._late = self._late, []
        return late

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
