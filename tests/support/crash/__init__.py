"""Ticks that die in the middle, and what must be true of a run that such a tick has left behind."""

import signal
from pathlib import Path
from tempfile import TemporaryDirectory

from gpuagent.core.model import Run
from tests.support.crash.forks import forks
from tests.support.crash.ticker import tick_and_die
from tests.support.world import World

WITHIN_S = 300


def tick_until_killed(world: World, run: Run, point: str) -> Run:
    """The run as a tick left it that died by SIGKILL at the point, in another process."""
    with TemporaryDirectory() as folder:
        errors = Path(folder) / "stderr"
        errors.touch()
        for _ in range(10):
            ahead_s = world.market.clock.ahead_s
            arguments = (world.environment, run.run_id, point, ahead_s, errors)
            process = forks().Process(target=tick_and_die, args=arguments)
            process.start()
            process.join(WITHIN_S)
            if process.exitcode is None:
                process.kill()
                process.join()
                raise AssertionError(f"{point}: the tick is not over after {WITHIN_S} s")
            if process.exitcode == -signal.SIGKILL:
                return world.store.load(run.run_id)
            assert process.exitcode == 0, errors.read_text()
            world.market.work(600)
    raise AssertionError(f"{point} was never reached")


def assert_logs_once(world: World, run: Run) -> None:
    """The stored log lines are the vendor's whole list, in order, each once."""
    (job,) = world.reads.documents(run.run_id)["jobs"]
    lines = world.job_status(job["vendorJobId"])["logs"]
    stored = sorted(world.observations(run, "job_log"), key=lambda log: int(log["position"]))
    assert [log["position"] for log in stored] == list(range(len(lines)))
    assert [log["content"] for log in stored] == lines
