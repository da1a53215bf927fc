"""A crew on a Dask cluster: each worker process has an agent of its own, from its own machine's environment.

No key and no address goes through the scheduler, which has no login: keep it on a loopback or behind TLS.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

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


@contextmanager
def dask_crew(scheduler: str, threads: int, leasing: Leasing) -> Iterator[Crew]:
    """The workers of a scheduler, such as tcp://127.0.0.1:8786. threads: that tick in each worker process.

    Raises ConfigError where no scheduler answers, or it has no worker.
    """
    try:
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no Dask scheduler answers at {scheduler}: start one with `dask scheduler`") from error
    with client:
        workers = sum(client.nthreads().values())
        if not workers:
            raise ConfigError(f"the scheduler at {scheduler} has no worker: start some with `dask worker {scheduler}`")
        client.register_plugin(AgentPlugin(threads, leasing))

        def start() -> Executor:
            # A worker that dies is the scheduler's to replace: it gives the batch to another.
            executor: Executor = client.get_executor(pure=False, retries=0)
            return executor

        yield Crew(start, _tick_there, workers, threads * SPREAD)
