"""Killed anywhere, ticked again anywhere: one transfer each, books balanced, every log line once."""

import signal
import subprocess
import sys

import pytest

from gpuagent.errors import ChainMismatch
from gpuagent.model import Reserved, Run, RunStatus, Settled, Voided
from tests.conftest import DATABASE
from tests.ticker import POINTS
from tests.world import World


def tick_until_killed(world: World, run: Run, point: str) -> None:
    """Tick in another process, which dies by SIGKILL at the point."""
    for _ in range(10):
        command = [sys.executable, "-m", "tests.ticker", run.run_id, point, str(world.market.clock.ahead_s)]
        ended = subprocess.run(command, env=world.environment, capture_output=True, text=True, timeout=120, check=False)
        if ended.returncode == -signal.SIGKILL:
            return
        assert ended.returncode == 0, ended.stderr
        world.market.work(600)
    raise AssertionError(f"{point} was never reached")


@pytest.mark.parametrize("point", POINTS)
def test_sigkill(world: World, point: str) -> None:
    run = world.start()
    tick_until_killed(world, run, point)
    run = world.finish(run)
    assert run.status is RunStatus.COMPLETED
    assert len(run.jobs) == 1
    world.assert_balanced(run, transfers=1)
    assert_logs_once(world, run)


def test_nothing_is_sent_before_it_is_stored(world: World) -> None:
    run = world.start()
    tick_until_killed(world, run, "before_store")
    assert world.market.received(world.ports.wallet.address) == []
    run = world.tick(run)
    (payment,) = world.store.documents(run.run_id)["payments"]
    assert set(world.market.received(world.ports.wallet.address)) == {payment["header"]}


def test_logs_appear_once_however_often_polled(world: World) -> None:
    run = world.start()
    for _ in range(3):
        run = world.tick(run)
        run = world.tick(run)
        tick_until_killed(world, run, "after_progress")
    run = world.finish(run)
    assert_logs_once(world, run)


@pytest.mark.parametrize("ticks", [1, 2])
def test_an_older_database_pays_nothing_twice(world: World, ticks: int) -> None:
    """The run is restored as it was before it paid: the job's id and nonce are the same again, and are spent."""
    run = world.start()
    with world.market.restored(DATABASE):
        for _ in range(ticks):
            world.tick(run)
            world.market.work()
        assert len(world.transfers()) == 1
    with pytest.raises(ChainMismatch, match="older database"):
        world.tick(run)
    assert len(world.transfers()) == 1
    assert [type(job) for job in world.store.load(run.run_id).jobs] == [Reserved]


def test_an_older_database_whose_jobs_come_shifted_pays_nothing_twice(world: World) -> None:
    """In the lost timeline the first job was dropped and the second paid; now the first would be paid."""
    run = world.start()
    with world.market.restored(DATABASE):
        world.market.fault("gpu_vendor_1", "raise_price")
        lost = world.tick(run)
        assert [type(job) for job in lost.jobs[-2:]] == [Voided, Settled]
    world.market.heal()
    with pytest.raises(ChainMismatch, match="older database"):
        world.tick(run)
    assert len(world.transfers()) == 1
    assert not world.books(run).balanced


def assert_logs_once(world: World, run: Run) -> None:
    """The stored lines are the vendor's whole list, in order, each once."""
    (job,) = world.store.documents(run.run_id)["jobs"]
    told = world.job_status(job["vendorJobId"])["logs"]
    stored = sorted(world.seen(run, "job_log"), key=lambda one: int(one["position"]))
    assert [one["position"] for one in stored] == list(range(len(told)))
    assert [one["content"] for one in stored] == told
