"""A crew on a Dask cluster: each worker process has an agent of its own, from its own machine's environment.

No key and no address goes through the scheduler, which has no login: keep it on a loopback or behind TLS.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from typing import Any

from gpuagent.errors import ConfigError
from gpuagent.fleet.crews import SPREAD, Crew, OwnAgent, Ticked
from gpuagent.fleet.worker import Leasing

PLUGIN = "gpuagent-fleet"
CONNECT_S = 10.0

try:
    from distributed import Client, WorkerPlugin, get_worker
except ImportError as error:
    raise ConfigError("--scheduler needs an extra: pip install 'gpuagent[fleet]'") from error


class AgentPlugin(WorkerPlugin):  # type: ignore[misc]
    """Gives a worker process its agent."""

    name = PLUGIN

    def __init__(self, threads: int, leasing: Leasing) -> None:
        self._threads, self._leasing = threads, leasing

    def setup(self, worker: object) -> None:
        worker.gpuagent = OwnAgent(os.environ, self._threads, self._leasing)  # type: ignore[attr-defined]


def _tick_there(run_ids: Sequence[str]) -> list[Ticked]:
    own: OwnAgent = get_worker().gpuagent
    return own.tick(run_ids)


class ClusterExecutor(Executor):
    """A scheduler's workers. Broken once the scheduler is gone: a new one knows nothing of them.

    agents: gives each worker process its agent, where it is to tick.
    Raises ConfigError where no scheduler answers, or it has no worker.
    """

    def __init__(self, scheduler: str, agents: AgentPlugin | None = None) -> None:
        try:
            self._client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConfigError(f"no Dask scheduler answers at {scheduler}: start one with `dask scheduler`") from error
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError as error:
            self._client.close()
            start = f"start some with `dask worker {scheduler}`"
            raise ConfigError(f"the scheduler at {scheduler} has no worker: {start}") from error
        if agents:
            self._client.register_plugin(agents)
        # A worker that dies is the scheduler's to replace: it gives the batch to another.
        self._executor = self._client.get_executor(pure=False, retries=0)

    @property
    def workers(self) -> int:
        """The threads of all its workers."""
        return sum(self._client.nthreads().values())

    def submit(self, fn: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        if self._client.status != "running":  # what it is given now would never be done
            raise BrokenExecutor("the Dask scheduler is gone")
        future: Future[Any] = self._executor.submit(fn, *arguments, **named)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        self._client.close()


@contextmanager
def dask_crew(scheduler: str, threads: int, leasing: Leasing) -> Iterator[Crew]:
    """The workers of a scheduler, such as tcp://127.0.0.1:8786. threads: that tick in each worker process.

    Raises as ClusterExecutor does.
    """
    agents = AgentPlugin(threads, leasing)
    with ClusterExecutor(scheduler, agents) as first:
        waiting = [first]

        def start() -> Executor:
            return waiting.pop() if waiting else ClusterExecutor(scheduler, agents)

        yield Crew(start, _tick_there, first.workers, threads * SPREAD)
