"""A queue of runs and a crew in memory, for dispatchers."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from gpuagent.errors import StoreError
from gpuagent.fleet.crews import Crew, Ticked


@dataclass
class FakeQueue:
    """Runs that are due until they have been ticked `ticks` times. away: looks that the database does not answer."""

    ticks: dict[str, int]
    away: int = 0
    limits: list[int] = field(default_factory=list)

    def due(self, limit: int) -> list[str]:
        if self.away:
            self.away -= 1
            raise StoreError("MongoDB did not do it (AutoReconnect)")
        self.limits.append(limit)
        return [run_id for run_id, left in self.ticks.items() if left][:limit]

    def unfinished(self) -> bool:
        return any(self.ticks.values())

    def tick(self, run_ids: Sequence[str]) -> list[Ticked]:
        """One tick of each."""
        for run_id in run_ids:
            self.ticks[run_id] -= 1
        return [Ticked(run_id, "MONITORING", not self.ticks[run_id], 0.01) for run_id in run_ids]


@dataclass
class FakeExecutor(Executor):
    """Performs a batch when it is given one; failures: raised in its place, in turn. batches: what it was given."""

    failures: list[BaseException] = field(default_factory=list)
    batches: list[Sequence[str]] = field(default_factory=list)

    def submit(self, fn: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        self.batches.append(arguments[0])
        future: Future[Any] = Future()
        if self.failures:
            future.set_exception(self.failures.pop(0))
        else:
            future.set_result(fn(*arguments, **named))
        return future


@dataclass
class Workshop:
    """What a dispatcher is given: executors are opened one after the other, as those before have died."""

    queue: FakeQueue
    executors: list[FakeExecutor] = field(default_factory=lambda: [FakeExecutor()])
    opened: int = 0

    def crew(self, capacity: int = 2, batch: int = 4) -> Crew:
        return Crew(self._open, self.queue.tick, capacity, batch)

    def _open(self) -> FakeExecutor:
        self.opened += 1
        return self.executors[self.opened - 1]
