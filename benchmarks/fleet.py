"""`make bench-fleet`: open runs, each polled every so many seconds by `gpuagent fleet`'s own crews.

Vendors are one process that answers cheaply, and nothing has news: what is measured is the fleet and its database. Says
how many polls a second were reached of those that were wanted, how late they came, and what each cost by process.
Prints figures and asserts none: tests/test_trips.py bounds the commands of a batch.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from threading import Timer
from typing import Any

import psutil
from matplotlib.figure import Figure

from benchmarks.lifecycle import OUT
from benchmarks.open_runs import Bought
from benchmarks.processes import machine
from gpuagent.core.money import UNIT
from gpuagent.fleet.crews import Crew, Ticked, process_crew
from gpuagent.fleet.dispatcher import Dispatcher
from gpuagent.fleet.worker import Leasing
from gpuagent.practice import stack
from tests.support.market import Market
from tests.support.world import build_world

SLOW_JOBS = "0.001"
"""Simulated seconds per second: no job ends while it is measured."""
LIFE_S = 120.0
WARM = 32
"""Runs that open a crew's processes and connections before anything counts."""


@dataclass(frozen=True)
class Polled:
    """polls: in `seconds`. late_s: by quantile, of when a poll was heard of against when its run was due.

    cpu_ms: processor time a poll, by process. operations: by MongoDB's own count, a poll; each claim counts.
    """

    runs: int
    every_s: float
    processes: int
    threads: int
    wanted_per_s: float
    per_s: float
    polls: int
    failed: int
    seconds: float
    late_s: dict[str, float]
    cpu_ms: dict[str, float]
    operations: float
    load: float


class Lateness:
    """What a dispatcher hears, and how late. due: when each run is due for the first time, Unix seconds."""

    def __init__(self, due: dict[str, float], every_s: float) -> None:
        self._due, self._every_s = due, every_s
        self.late: list[float] = []
        self.failed = 0

    def hear(self, turns: Sequence[Ticked], _under_way: int) -> None:
        now = time.time()
        for turn in turns:
            self.failed += bool(turn.problem)
            self.late.append(max(0.0, now - self._due.get(turn.run_id, now)))
            self._due[turn.run_id] = now + self._every_s


class Lent(Executor):
    """Another executor, which stays open when the dispatcher is done with it."""

    def __init__(self, lender: Executor) -> None:
        self._lender = lender

    def submit(self, fn: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        return self._lender.submit(fn, *arguments, **named)


def cpu_s(processes: dict[str, list[psutil.Process]]) -> dict[str, float]:
    return {
        name: sum(sum(process.cpu_times()[:2]) for process in several if process.is_running())
        for name, several in processes.items()
    }


def poll(bought: Bought, count: int, options: argparse.Namespace, processes: int) -> Polled:
    """Polls so many open runs with so many worker processes, in a database that holds no other open run."""
    world, database = bought.world, bought.database
    opened = process_crew(world.environment, processes, options.threads, Leasing(LIFE_S, options.every))
    with opened.open() as executor, bought.cheap_vendor() as vendor:
        crew = Crew(lambda: Lent(executor), opened.tick, opened.capacity, opened.batch)
        list(executor.map(opened.tick, [list(bought.copy(WARM, options.every)) for _ in range(2 * processes)]))
        bought.remove_copies()
        lateness = Lateness(bought.copy(count, options.every), options.every)
        status = database.client.admin.command("serverStatus")
        own = psutil.Process()
        workers = [child for child in own.children() if "spawn_main" in " ".join(child.cmdline())]
        used = {
            "dispatcher": [own],
            "workers": workers,
            "mongod": [psutil.Process(status["pid"])],
            "vendor": [psutil.Process(vendor.pid)],
        }
        fleet = Dispatcher(world.database.queries.leases, crew, lateness.hear)
        before, began = cpu_s(used), time.perf_counter()
        stop = Timer(options.seconds, fleet.stopping.set)
        stop.start()
        tally = fleet.run()
        seconds, after = time.perf_counter() - began, cpu_s(used)
        opcounters = database.client.admin.command("serverStatus")["opcounters"]
    done = sum(opcounters[name] - status["opcounters"][name] for name in opcounters)
    cuts = quantiles(lateness.late, n=100) if len(lateness.late) > 1 else [0.0] * 99
    return Polled(
        count,
        options.every,
        processes,
        options.threads,
        count / options.every,
        tally.ticks / seconds,
        tally.ticks,
        lateness.failed,
        seconds,
        {name: cuts[place - 1] for name, place in (("p50", 50), ("p95", 95), ("p99", 99))},
        {name: (after[name] - before[name]) / max(1, tally.ticks) * 1000 for name in used},
        done / max(1, tally.ticks),
        psutil.getloadavg()[0],
    )


def show(polled: Polled) -> None:
    late = " ".join(f"{seconds:6.2f}" for seconds in polled.late_s.values())
    cpu = " ".join(f"{ms:10.2f}" for ms in polled.cpu_ms.values())
    sys.stdout.write(
        f"{polled.runs:7,} {polled.processes:9} {polled.wanted_per_s:8.1f} {polled.per_s:8.1f} {late} {cpu} "
        f"{polled.operations:10.2f} {polled.failed:6} {polled.load:6.1f}\n"
    )


def draw(results: Sequence[Polled], file: Path) -> None:
    """Polls a second by open runs: wanted, and reached by so many processes."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    runs = sorted({polled.runs for polled in results})
    every_s = results[0].every_s
    axes.plot(runs, [count / every_s for count in runs], "--", color="grey", label=f"wanted: each every {every_s:g} s")
    for processes in sorted({polled.processes for polled in results}):
        points = sorted((each.runs, each.per_s) for each in results if each.processes == processes)
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{processes} worker process{'es' * (processes > 1)}")
    axes.set(xlabel="open runs", ylabel="polls a second", xlim=(0, None), ylim=(0, None))
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, nargs="*", default=[500, 1000, 2000], help="open runs")
    parser.add_argument("--every", type=float, default=12.0, help="seconds from one poll of a run to its next")
    parser.add_argument("--seconds", type=float, default=30.0, help="that each measurement takes")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2], help="worker processes")
    parser.add_argument("--threads", type=int, default=8, help="of each")
    parser.add_argument("--picture", type=Path, default=OUT / "fleet.svg", help="where it is drawn, SVG or PNG")
    options = parser.parse_args()
    with stack.start(PORT="0", MOCK_SPEED=SLOW_JOBS) as running:
        market = Market(running)
        with build_world(market, "bench_fleet", funds=1000 * UNIT) as world:
            bought = Bought(world, world.tick(world.start()))
            sys.stdout.write("".join(f"{name}: {text}\n" for name, text in machine().items()))
            cpu = " ".join(f"{name:>10}" for name in ("dispatcher", "workers", "mongod", "vendor"))
            sys.stdout.write(f"CPU in ms a poll, lateness in seconds, each run every {options.every:g} s\n")
            head = (
                f"{'runs':>7} {'processes':>9} {'wanted/s':>8} {'polls/s':>8} {'p50':>6} {'p95':>6} {'p99':>6} {cpu} "
            )
            sys.stdout.write(f"{head}{'commands':>8} {'failed':>6} {'load':>6}\n")
            results = []
            for count in options.runs:
                for processes in options.processes:
                    results.append(poll(bought, count, options, processes))
                    show(results[-1])
        market.close()
    OUT.mkdir(exist_ok=True)
    report = {"machine": machine(), "results": [asdict(polled) for polled in results]}
    (OUT / "fleet.json").write_text(json.dumps(report, indent=2))
    draw(results, options.picture)
    sys.stdout.write(f"\n{OUT / 'fleet.json'} has these figures, {options.picture} draws them\n")


if __name__ == "__main__":
    main()
