"""Ticks that die in the middle."""

import signal
import subprocess
import sys

from gpuagent.core.model import Run
from tests.support.world import World


def tick_until_killed(world: World, run: Run, point: str) -> Run:
    """Tick in another process, which dies by SIGKILL at the point. The run as it was left."""
    for _ in range(10):
        command = [sys.executable, "-m", "tests.support.ticker", run.run_id, point, str(world.market.clock.ahead_s)]
        ended = subprocess.run(command, env=world.environment, capture_output=True, text=True, timeout=120, check=False)
        if ended.returncode == -signal.SIGKILL:
            return world.store.load(run.run_id)
        assert ended.returncode == 0, ended.stderr
        world.market.work(600)
    raise AssertionError(f"{point} was never reached")


def assert_logs_once(world: World, run: Run) -> None:
    """The stored lines are the vendor's whole list, in order, each once."""
    (job,) = world.reads.documents(run.run_id)["jobs"]
    told = world.job_status(job["vendorJobId"])["logs"]
    stored = sorted(world.seen(run, "job_log"), key=lambda one: int(one["position"]))
    assert [one["position"] for one in stored] == list(range(len(told)))
    assert [one["content"] for one in stored] == told
