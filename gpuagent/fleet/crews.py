"""Crews: who takes batches of runs. Threads of this process, processes of this machine; cluster.py has Dask's."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Thread

from gpuagent import settings, wiring
from gpuagent.core.run_state import phase
from gpuagent.core.steps import is_over
from gpuagent.errors import ConfigError
from gpuagent.fleet.worker import Leasing, Turn, Worker

QUEUED = 1.5
"""Batches that a crew is given, for each that it can be at: one lies ready when another ends."""
SPREAD = 4
"""Runs of a batch, for each thread that ticks it: one slow vendor holds up few."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a dispatcher hears of one run's turn. over: it ended the run. problem: why the tick failed, "" where it
    did not.
    """

    run_id: str
    phase: str
    over: bool
    seconds: float
    problem: str = ""


TickBatch = Callable[[Sequence[str]], list[Ticked]]


@dataclass(frozen=True, slots=True)
class Crew:
    """open: an executor of its workers, anew where those of the one before have died. tick: what that is given, a
    batch of run ids at a time. capacity: batches that it can be at. batch: runs in each.
    """

    open: Callable[[], Executor]
    tick: TickBatch
    capacity: int
    batch: int


def tick_batch(worker: Worker, run_ids: Sequence[str]) -> list[Ticked]:
    return list(map(ticked, worker.tick_all(run_ids)))


def ticked(turn: Turn) -> Ticked:
    problem = f"{type(turn.error).__name__}: {turn.error}" if turn.error else ""
    ended = is_over(turn.run) and not is_over(turn.before)
    return Ticked(turn.run.run_id, phase(turn.run).value, ended, turn.seconds, problem)


@contextmanager
def thread_crew(agent: wiring.Agent, threads: int, leasing: Leasing) -> Iterator[Crew]:
    """Threads of this process, which share its agent."""
    worker = Worker(agent.ports, agent.database, threads, leasing)
    try:
        yield Crew(partial(ThreadPoolExecutor, 2), partial(tick_batch, worker), 2, threads * SPREAD)
    finally:
        worker.close()


def process_crew(environ: Mapping[str, str], processes: int, threads: int, leasing: Leasing) -> Crew:
    """Processes of this machine, each with an agent of its own and so many threads. They end with this process."""

    def start() -> Executor:
        # Spawned: neither database clients nor threads live on in a fork.
        spawning = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(processes, spawning, initializer=_begin, initargs=(dict(environ), threads, leasing))

    return Crew(start, _tick_here, processes, threads * SPREAD)


class OwnAgent:
    """The agent of a worker's own process, opened when the first batch comes: what is wrong is that batch's error.

    It stays open for as long as the process lives.
    """

    def __init__(self, environ: Mapping[str, str], threads: int, leasing: Leasing) -> None:
        self._environ, self._threads, self._leasing = environ, threads, leasing
        self._worker: Worker | None = None

    def tick(self, run_ids: Sequence[str]) -> list[Ticked]:
        """Raises ConfigError where the process's environment names no agent."""
        if self._worker is None:
            with ExitStack() as opening:  # a database that goes away meanwhile leaves nothing open
                agent = opening.enter_context(wiring.open_agent(settings.read(self._environ)))
                self._worker = Worker(agent.ports, agent.database, self._threads, self._leasing)
                self._open = opening.pop_all()
        return tick_batch(self._worker, run_ids)


_own: OwnAgent | None = None


def _begin(environ: dict[str, str], threads: int, leasing: Leasing) -> None:
    """What a process of the crew does first. Ctrl+C is for its parent alone, and without that it ends."""
    global _own
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _own = OwnAgent(environ, threads, leasing)
    if parent := multiprocessing.parent_process():
        Thread(target=_end_with, args=(parent.join,), daemon=True).start()


def _end_with(ended: Callable[[], object]) -> None:
    ended()
    os._exit(1)  # no worse than any kill


def _tick_here(run_ids: Sequence[str]) -> list[Ticked]:
    if _own is None:
        raise ConfigError("this process is of no crew")
    return _own.tick(run_ids)
