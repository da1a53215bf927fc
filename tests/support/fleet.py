"""Runs for fleets, and what holds of them when a fleet is done."""

from collections.abc import Sequence
from contextlib import suppress

import psutil

from gpuagent.core.model import RunStatus, Settled
from gpuagent.fleet.dispatcher import Tally
from tests.support.world import World


def start_all(world: World, count: int) -> list[str]:
    return [world.start().run_id for _ in range(count)]


def worker_processes() -> list[int]:
    """The ids of this process's fleet workers, among its children."""
    pids = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile, or is a zombie
            if "spawn_main" in " ".join(child.cmdline()):
                pids.append(child.pid)
    return pids


def check_each_is_paid_once(world: World, run_ids: Sequence[str], tally: Tally) -> None:
    runs = [world.store.load(run_id) for run_id in run_ids]
    assert {run.status for run in runs} == {RunStatus.COMPLETED}, tally
    assert sum(isinstance(job, Settled) for run in runs for job in run.jobs) == len(world.transfers()) == len(run_ids)
    assert tally.problems == {}
