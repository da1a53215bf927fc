"""One process of several that buy at once: `python -m benchmarks.worker LIFECYCLES AT_ONCE`, its agent by environment.

It opens its agent, says so in a line, waits for a line, plays, and says its milliseconds of processor time in JSON.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from decimal import Decimal
from statistics import median
from typing import Any

from gpuagent import settings, wiring
from gpuagent.agent.start import Order, start
from gpuagent.core.money import UNIT
from gpuagent.core.transitions import is_over
from gpuagent.tick import tick

LIFECYCLES, AT_ONCE = 64, 16
"""Of all processes together."""


@dataclass(frozen=True)
class Spread:
    """The same purchases by so many processes: lifecycles a second, and processor time of the agents of each, ms."""

    processes: int
    per_s: float
    agent_ms: float


def spread(environment: Mapping[str, str], processes: int) -> Spread:
    """Plays LIFECYCLES in so many processes, AT_ONCE at a time."""
    command = [sys.executable, "-m", "benchmarks.worker", str(LIFECYCLES // processes), str(AT_ONCE // processes)]
    workers = [
        subprocess.Popen(command, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    try:
        for worker in workers:
            assert _lines(worker).readline(), "a worker did not open its agent"
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
    return Spread(processes, LIFECYCLES / wall_s, cpu_ms / LIFECYCLES)


def compared(environment: Mapping[str, str], rounds: int) -> dict[str, Any]:
    """One process beside two, in turn: medians, and the median ratio of lifecycles a second."""
    pairs = [(spread(environment, 1), spread(environment, 2)) for _ in range(rounds)]
    alone, both = (
        Spread(one[0].processes, median(s.per_s for s in one), median(s.agent_ms for s in one))
        for one in zip(*pairs, strict=True)
    )
    ratio = median(two.per_s / one.per_s for one, two in pairs)
    return {"one": asdict(alone), "two": asdict(both), "ratio": ratio, "at_once": AT_ONCE}


def _lines(worker: "subprocess.Popen[str]") -> Any:
    assert worker.stdout
    return worker.stdout


def main(lifecycles: int, at_once: int) -> None:
    with wiring.open_agent(settings.read(dict(os.environ))) as agent, ThreadPoolExecutor(at_once) as pool:

        def live(_: int) -> None:
            run = start(Order(goal="Fine-tune tiny-llm", budget=int(Decimal(5) * UNIT)), agent.ports)
            while not is_over(run):
                run = tick(run.run_id, agent.ports)
            assert run.status == "completed", run.reason

        live(0)
        sys.stdout.write("open\n")
        sys.stdout.flush()
        sys.stdin.readline()
        before = time.process_time()
        list(pool.map(live, range(lifecycles)))
        sys.stdout.write(json.dumps({"cpu_ms": (time.process_time() - before) * 1000}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
