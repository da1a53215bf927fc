"""The dispatcher: it looks what is due, gives it to a crew in batches, and never more than that can take.

It holds nothing: stop it, kill it, start two of it. What it had given out is due again when the leases end.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil
from threading import Event
from typing import Protocol

from gpuagent.errors import ConfigError, GpuAgentError, StoreError
from gpuagent.fleet.crews import QUEUED, Crew, Ticked

log = logging.getLogger(__name__)
IDLE_S = 0.5
"""Between two looks where nothing was due."""
AWAY_S = 5.0
"""Until the database is asked again that did not answer."""


class Queue(Protocol):
    """The runs that are due, as MongoLeases has them."""

    def due(self, limit: int) -> list[str]: ...

    def unfinished(self) -> bool: ...


@dataclass
class Tally:
    """What a fleet has done. lost: batches whose worker died, whose runs come again. away: looks in vain for what is
    due.
    """

    ticks: int = 0
    failed: int = 0
    over: int = 0
    lost: int = 0
    away: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    """Why the last tick of a run failed, by run."""

    def count(self, turns: Sequence[Ticked]) -> None:
        for turn in turns:
            self.ticks += 1
            self.over += turn.over
            self.failed += bool(turn.problem)
            self.problems.pop(turn.run_id, None)
            if turn.problem:
                self.problems[turn.run_id] = turn.problem


@dataclass
class Dispatcher:
    """heard: is called with what each batch came to, and with the number of runs under way."""

    queue: Queue
    crew: Crew
    heard: Callable[[Sequence[Ticked], int], object] = lambda _turns, _under_way: None
    stopping: Event = field(default_factory=Event)
    tally: Tally = field(default_factory=Tally)
    _under_way: "dict[Future[list[Ticked]], Sequence[str]]" = field(default_factory=dict)
    _broken: bool = False

    def run(self, until_done: bool = False) -> Tally:
        """Dispatch until `stopping` is set, or until all runs are over if until_done; then let the batches end.

        Raises ConfigError where a worker has no agent to tick with.
        """
        with ExitStack() as closing:
            executor = closing.enter_context(self.crew.open())
            while not self.stopping.is_set():
                runs = self._look(executor)
                if not runs and not self._under_way and until_done and self._is_done():
                    break
                self._collect(IDLE_S)
                if self._broken:
                    executor, self._broken = closing.enter_context(self.crew.open()), False
            self._collect(None)
        return self.tally

    def _look(self, executor: Executor) -> int:
        """Give the crew what it has room for. Returns how many runs that is."""
        room = ceil(self.crew.capacity * QUEUED) - len(self._under_way)
        if room <= 0:
            return 0
        busy = {run_id for batch in self._under_way.values() for run_id in batch}
        try:
            queued = self.queue.due(room * self.crew.batch + len(busy))
        except StoreError as error:
            self.tally.away += 1
            log.warning("the database does not say what is due, and is asked again: %s", error)
            self.stopping.wait(AWAY_S)
            return 0
        run_ids = [run_id for run_id in queued if run_id not in busy][: room * self.crew.batch]
        size = max(1, min(self.crew.batch, ceil(len(run_ids) / room)))
        for first in range(0, len(run_ids), size):
            batch = run_ids[first : first + size]
            try:
                self._under_way[executor.submit(self.crew.tick, batch)] = batch
            except BrokenExecutor:
                self._broken = True
                break
        return len(run_ids)

    def _is_done(self) -> bool:
        try:
            return not self.queue.unfinished()
        except StoreError:
            return False

    def _collect(self, timeout_s: float | None) -> None:
        """Hear what batches came to; wait for that, or for what is due next."""
        if not self._under_way:
            self.stopping.wait(timeout_s or 0)
            return
        ended, _ = wait(self._under_way, timeout_s, FIRST_COMPLETED if timeout_s else ALL_COMPLETED)
        for future in ended:
            batch = self._under_way.pop(future)
            try:
                turns = future.result()
            except ConfigError:
                raise  # no batch of that worker will fare better
            except GpuAgentError as error:
                self.tally.away += 1
                log.warning("%d runs were not ticked, and come again: %s", len(batch), error)
                continue
            except (BrokenExecutor, CancelledError) as error:
                self.tally.lost += 1
                log.warning("a worker died with %d runs, which come again: %s", len(batch), error)
                self._broken = self._broken or isinstance(error, BrokenExecutor)
                continue
            except Exception:
                self.tally.lost += 1
                log.exception("a bug: %d runs were not all ticked, and come again", len(batch))
                continue
            self.tally.count(turns)
            self.heard(turns, sum(map(len, self._under_way.values())))
