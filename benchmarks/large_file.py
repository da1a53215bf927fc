"""What a large result costs a tick: `python -m benchmarks.large_file [MB]`, also a part of `make bench`.

A practice vendor really writes the file, and the agent collects it over HTTP into GridFS. The floors, in the same run:
a tick that polls a job of which no file is due, and a plain copy of as many bytes to disk. Prints figures, asserts
none but that the file came.
"""

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from gpuagent.agent.start import Order, prepare
from gpuagent.core.model import Run, RunStatus, Settled
from gpuagent.core.money import UNIT
from gpuagent.core.steps import is_over
from gpuagent.core.work import Collecting
from gpuagent.core.workload import Workload
from gpuagent.practice import stack
from gpuagent.render.saving import save
from tests.support.market import Market
from tests.support.world import World, build_world

MEGABYTES = 1_000
TICK_MAX_S = 2.0
POLL_S = 0.05


def large_file(world: World, megabytes: int, say: Callable[[str], Any]) -> None:
    """Has a run collect one file of so many megabytes, and says what its ticks took."""
    size, before = megabytes * 10**6, peak_memory()
    world.allow(file_max=2 * size, run_files_max=4 * size)
    run, polls, shares = start(world, size), list[float](), list[float]()
    while not is_over(run):
        collecting = is_collecting(run)
        began = time.perf_counter()
        run = world.tick(run)
        seconds = time.perf_counter() - began
        if collecting:
            shares.append(seconds)
        else:
            polls.append(seconds)
            time.sleep(POLL_S)
    assert run.status is RunStatus.COMPLETED, run.reason
    (file,) = [file for job in run.jobs if isinstance(job, Settled) for file in job.files]
    with TemporaryDirectory() as scratch:
        save(Path(scratch) / "model.bin", file, world.ports.files)
    copied_s, poll_s = copy_seconds(size), median(polls)
    say(
        f"file of {megabytes} MB: {len(shares)} ticks, the longest {max(shares):.2f} s (bound {TICK_MAX_S:.0f} s), "
        f"the median {median(shares):.2f} s, {median(shares) / poll_s:.0f} times a tick without files "
        f"({poll_s * 1000:.1f} ms)\n"
        f"collected at {megabytes / sum(shares):.0f} MB/s, {copied_s / sum(shares):.2f} of a plain copy to disk "
        f"({megabytes / copied_s:.0f} MB/s)\n"
        f"the process took {(peak_memory() - before) / 1e6:.0f} MB more of memory, to collect it and to save it\n"
    )


def start(world: World, size: int) -> Run:
    workload = Workload.model_validate(
        {
            "name": "large-file",
            "command": f"head -c {size} /dev/urandom > model.bin; sleep 1",
            "outputs": [{"path": "model.bin", "max_bytes": size}],
        }
    )
    order = Order("Write a large file", 100 * UNIT, max_hours=Decimal(1))
    run = replace(prepare(order, world.ports), workload=workload.canonical)
    world.store.create(run)
    return run


def peak_memory() -> int:
    """Bytes that this process had of memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def is_collecting(run: Run) -> bool:
    return any(isinstance(job, Settled) and isinstance(job.work, Collecting) for job in run.jobs)


def copy_seconds(size: int) -> float:
    """A plain copy of a file, with its bytes on disk at the end."""
    with TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "source", Path(scratch) / "target"
        with source.open("wb") as file:
            block = os.urandom(10**6)
            for _ in range(size // len(block)):
                file.write(block)
        began = time.perf_counter()
        shutil.copyfile(source, target)
        with target.open("rb+") as file:
            os.fsync(file.fileno())
        return time.perf_counter() - began


def main(megabytes: int) -> None:
    with stack.start(PORT="0") as running:
        market = Market(running)
        with build_world(market, "bench", funds=1000 * UNIT) as world:
            large_file(world, megabytes, sys.stdout.write)
        market.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES)
