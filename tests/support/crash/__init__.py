"""Ticks that die in the middle, and what must be true of a run that such a tick has left behind."""

import signal
import subprocess
import sys

from gpuagent.core.model import Run
from tests.support.world import World


def tick_until_killed(world: World, run: Run, point: str) -> Run:
    """The run as a tick left it that died by SIGKILL at the point, in another process."""
    for _ in range(10):
        arguments = [run.run_id, point, str(world.market.clock.ahead_s)]
        process = subprocess.run(
            [sys.executable, "-m", "tests.support.crash.ticker", *arguments],
            env=world.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if process.returncode == -signal.SIGKILL:
            return world.store.load(run.run_id)
        assert process.returncode == 0, process.stderr
        world.market.work(600)
    raise AssertionError(f"{point} was never reached")


def assert_logs_once(world: World, run: Run) -> None:
    """The stored log lines are the vendor's whole list, in order, each once."""
    (job,) = world.reads.documents(run.run_id)["jobs"]
    lines = world.job_status(job["vendorJobId"])["logs"]
    stored = sorted(world.observations(run, "job_log"), key=lambda log: int(log["position"]))
    assert [log["position"] for log in stored] == list(range(len(lines)))
    assert [log["content"] for log in stored] == lines
