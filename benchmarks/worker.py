"""One process of several that buy at once: `python -m benchmarks.worker LIFECYCLES AT_ONCE SHARE`.

It opens the agent that its environment names, says so in a line, waits for a line, plays, and says its milliseconds of
processor time in JSON.

Two processes are held against one in two ways. As they are, they share this machine's processors with vendor, chain and
database, and what one leaves is all that the second can use. With a SHARE of one processor for each of them, by a
control group, the agents are what is slow and all others have room: that shows whether two processes hinder each
other, at their database above all. It does not show what a machine with more processors would do.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from decimal import Decimal
from statistics import median
from typing import Any

from gpuagent import settings, wiring
from gpuagent.agent.start import Order, start
from gpuagent.core.money import UNIT
from gpuagent.core.steps import is_over
from gpuagent.tick import tick
from seller.runners import Limits, cgroup

LIFECYCLES, AT_ONCE = 48, 16
"""Of all processes together."""
SHARE = 0.1
"""Of a processor, for each process, where the agents are to be what is slow."""


@dataclass(frozen=True)
class Spread:
    """The same purchases by so many processes: lifecycles a second, and processor time of the agents of each, ms."""

    processes: int
    per_s: float
    agent_ms: float


class NoShares(Exception):
    """This user may make no control group here, or the kernel has none for processor time."""


def spread(environment: Mapping[str, str], processes: int, share: float = 0.0) -> Spread:
    """Plays LIFECYCLES in so many processes, AT_ONCE at a time. share: of a processor, for each; 0: all of them.

    Raises NoShares.
    """
    numbers = (LIFECYCLES // processes, AT_ONCE // processes, share)
    command = [sys.executable, "-m", "benchmarks.worker", *map(str, numbers)]
    workers = [
        subprocess.Popen(command, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    try:
        for worker in workers:
            word = _lines(worker).readline()
            assert word, "a worker did not open its agent"
            if "no share" in word:
                raise NoShares
        began = time.perf_counter()
        for worker in workers:
            assert worker.stdin
            worker.stdin.write("go\n")
            worker.stdin.flush()
        cpu_ms = sum(json.loads(_lines(worker).readline())["cpu_ms"] for worker in workers)
        wall_s = time.perf_counter() - began
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()
            cgroup.of(_group(worker.pid)).remove()
    return Spread(processes, LIFECYCLES / wall_s, cpu_ms / LIFECYCLES)


def compared(environment: Mapping[str, str], rounds: int, share: float = 0.0) -> dict[str, Any]:
    """One process beside two, in turn: medians, and the median ratio of lifecycles a second. Raises NoShares."""
    pairs = [(spread(environment, 1, share), spread(environment, 2, share)) for _ in range(rounds)]
    alone, both = (
        Spread(rounds[0].processes, median(s.per_s for s in rounds), median(s.agent_ms for s in rounds))
        for rounds in zip(*pairs, strict=True)
    )
    ratio = median(double.per_s / single.per_s for single, double in pairs)
    return {"one": asdict(alone), "two": asdict(both), "ratio": ratio, "at_once": AT_ONCE, "share": share}


def show_spread(environment: Mapping[str, str], rounds: int, say: Callable[[str], Any]) -> list[dict[str, Any]]:
    """One process of the agent beside two: on the same processors as all others, and with a share for each of them."""
    say(f"\n{'processes':>10} {'':6}{'per s':>8}{'agent':>9}   CPU ms per lifecycle, {AT_ONCE} at once\n")
    figures = []
    for share in (0.0, SHARE):
        say(f"each with {share:.0%} of a processor:\n" if share else "all on the processors of this machine:\n")
        try:
            figures.append(comparison := compared(environment, rounds, share))
        except NoShares:
            say("not measured: this user may make no control group here\n")
            continue
        for name in ("one", "two"):
            say(f"{name:>10} {'':6}{comparison[name]['per_s']:8.1f}{comparison[name]['agent_ms']:9.1f}\n")
        say(f"{'':10} {'ratio':6}{comparison['ratio']:8.2f}\n")
    return figures


def _group(process: int) -> str:
    return f"bench-{process}"


def _lines(worker: "subprocess.Popen[str]") -> Any:
    assert worker.stdout
    return worker.stdout


def main(lifecycles: int, at_once: int, share: float) -> None:
    with wiring.open_agent(settings.read(dict(os.environ))) as agent, ThreadPoolExecutor(at_once) as pool:

        def live(_: int) -> None:
            run = start(Order(goal="Fine-tune tiny-llm", budget=int(Decimal(5) * UNIT)), agent.ports)
            while not is_over(run):
                run = tick(run.run_id, agent.ports)
            assert run.status == "completed", run.reason

        live(0)
        group = cgroup.make(_group(os.getpid()), Limits(cpus=share, pids=0))
        if may_share := group.bounds("cpu"):
            group.enter()
        sys.stdout.write("open\n" if may_share or not share else "no share\n")
        sys.stdout.flush()
        sys.stdin.readline()
        before = time.process_time()
        list(pool.map(live, range(lifecycles)))
        sys.stdout.write(json.dumps({"cpu_ms": (time.process_time() - before) * 1000}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
