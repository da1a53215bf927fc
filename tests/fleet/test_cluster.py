"""The fleet on a real Dask cluster: a scheduler and worker processes on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gpuagent.cli import app
from gpuagent.errors import ConfigError
from gpuagent.fleet import cluster as cluster_module
from gpuagent.fleet.cluster import dask_crew
from gpuagent.fleet.crews import thread_crew
from gpuagent.fleet.dispatcher import Dispatcher
from gpuagent.fleet.worker import Leasing
from tests.support.dask_machine import READY_S, DaskMachine
from tests.support.fleet import check_each_is_paid_once, start_all
from tests.support.world import World


@pytest.fixture
def cluster(quick: World, tmp_path: Path) -> Iterator[DaskMachine]:
    with DaskMachine(quick.environment, 2, tmp_path) as machine:
        yield machine


def test_the_runs_of_a_killed_worker_and_of_a_killed_scheduler_are_finished_by_others(
    quick: World, cluster: DaskMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_S", READY_S)
    run_ids, leases = start_all(quick, 4), quick.database.queries.leases
    with dask_crew(cluster.address, 2, Leasing(2, 0.1)) as crew:
        fleet = Dispatcher(leases, crew, lambda _turns, _under_way: cluster.workers[0].kill())
        tally = fleet.run(until_done=True)
        check_each_is_paid_once(quick, run_ids, tally)
        assert cluster.workers[0].wait(), "killed"
        check_planners_are_played_there(cluster.address)

        run_ids += start_all(quick, 4)
        fleet = Dispatcher(leases, crew, lambda _turns, _under_way: cluster.scheduler.kill())
        monkeypatch.setattr(cluster_module, "CONNECT_S", 2)
        with pytest.raises(ConfigError, match="no Dask scheduler answers"):
            fleet.run(until_done=True)
    with thread_crew(quick.agent, 4, Leasing(2, 0.1)) as crew:
        tally = Dispatcher(leases, crew).run(until_done=True)
    check_each_is_paid_once(quick, run_ids, tally)


def check_planners_are_played_there(scheduler: str) -> None:
    """With the result that they have here, but for the times that they took."""
    arguments = ["planners", "compare", "--planners", "stub,cheapest", "--json"]
    here, there = (CliRunner().invoke(app, [*arguments, *more]) for more in ([], ["--scheduler", scheduler]))
    assert (here.exit_code, there.exit_code) == (0, 0), there.output
    assert without_times(json.loads(there.stdout)) == without_times(json.loads(here.stdout))


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(part) for name, part in value.items() if "ms" not in name.lower()}
    return list(map(without_times, value)) if isinstance(value, list) else value


def test_without_a_scheduler_it_says_what_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_S", 0.5)
    with pytest.raises(ConfigError, match="dask scheduler"), dask_crew("tcp://127.0.0.1:1", 1, Leasing()):
        pass
