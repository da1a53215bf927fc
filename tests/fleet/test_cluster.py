"""The fleet on a real Dask cluster: a scheduler and worker processes on this machine."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from distributed import LocalCluster

from gpuagent.errors import ConfigError
from gpuagent.fleet import cluster as cluster_module
from gpuagent.fleet.cluster import dask_crew
from gpuagent.fleet.dispatcher import Dispatcher
from gpuagent.fleet.worker import Leasing
from tests.support.fleet import check_each_is_paid_once, start_all
from tests.support.world import World


@pytest.fixture
def cluster(quick: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Its workers have the environment of their machine, which is where they find the agent."""
    for name, value in quick.environment.items():
        monkeypatch.setenv(name, value)
    options: dict[str, Any] = {"host": "127.0.0.1", "dashboard_address": None, "silence_logs": 50}
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **options) as cluster:
        yield cluster


def test_the_runs_of_a_killed_worker_are_finished_by_another(quick: World, cluster: Any) -> None:
    run_ids = start_all(quick, 4)
    killed: list[int] = []
    with dask_crew(cluster.scheduler_address, 2, Leasing(2, 0.1)) as crew:
        fleet = Dispatcher(quick.database.queries.leases, crew)

        def kill_one(_turns: object, _under_way: int) -> None:
            if not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        fleet.heard = kill_one
        tally = fleet.run(until_done=True)
    check_each_is_paid_once(quick, run_ids, tally)
    assert killed


def test_without_a_scheduler_it_says_what_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_S", 0.5)
    with pytest.raises(ConfigError, match="dask scheduler"), dask_crew("tcp://127.0.0.1:1", 1, Leasing()):
        pass
