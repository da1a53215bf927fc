"""`make bench-flat N=100000`: what a tick costs with 10 to N runs in the database, and 1 to N observations in its run.

Processor time of agent and database: of a purchase (start and first tick) and of a poll that brings no news. Each size
has a database of its own on one server; all are measured in turn, so that they meet the same machine. Prints figures
and asserts none; draws them.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bson import ObjectId
from matplotlib.figure import Figure
from pymongo import WriteConcern

from benchmarks.lifecycle import OUT
from benchmarks.processes import Processes, machine, processes
from gpuagent.core.model import Run
from gpuagent.core.money import UNIT
from gpuagent.practice import stack
from tests.support import big_history
from tests.support.market import Market
from tests.support.world import World, build_world

SMALLEST, STEP = 10, 100
OBSERVATIONS = (1, 1_000, 100_000)
ROUNDS, PURCHASES, POLLS = 7, 4, 20
"""Of each size in one round."""
SLOW_JOBS = "0.000001"
"""Simulated seconds per second: no poll brings news."""
INSERTED = 10_000


@dataclass(frozen=True)
class Cost:
    """Milliseconds of processor time."""

    agent: float
    mongod: float


@dataclass(frozen=True)
class Point:
    """Medians of the rounds. count: runs in the database, or observations in the run."""

    count: int
    cost: Cost


def sizes(largest: int) -> list[int]:
    """SMALLEST, a hundred times that, and so on, with the largest at the end."""
    counts = [SMALLEST]
    while counts[-1] * STEP < largest:
        counts.append(counts[-1] * STEP)
    return [*counts, largest] if largest > SMALLEST else counts


@contextmanager
def world_of(market: Market, count: int) -> Iterator[World]:
    """An agent whose database has so many runs before, all of its own wallet and of its vendors."""
    with build_world(market, f"flat_{count}", funds=10**6 * UNIT) as world:
        database = world.store.connection.database
        big_history.write(database, count)
        known = [vendor.vendor_id for vendor in market.vendors]
        database.vendors.delete_many({"vendorId": {"$nin": known}})  # nobody is there to be asked
        for name in ("runs", "jobs", "payments"):
            raw = database[name].with_options(write_concern=WriteConcern(w=1))
            raw.update_many({}, {"$set": {"payer": world.ports.wallet.address}})
        for vendor in market.vendors:
            world.store.put_vendor(vendor, market.clock.now())
        world.allow(per_payment=None, wallet_per_day=10**6 * UNIT, vendor_per_day=10**6 * UNIT)
        yield world


def bought(world: World) -> Run:
    run = world.tick(world.start())
    assert run.jobs, run.reason
    assert type(run.jobs[0]).__name__ == "Settled", run.jobs[0]
    return run


def add_observations(world: World, run: Run, count: int) -> None:
    """So many more lines in the run's log."""
    rows = world.store.connection.database.observations.with_options(write_concern=WriteConcern(w=1))
    like = rows.find_one({"runId": ObjectId(run.run_id), "type": "agent_reasoning"}) or {}
    line = {**like, "type": "job_log", "content": "step 1 loss=2.3", "data": {}, "jobId": ObjectId(run.jobs[0].job_id)}
    line.pop("_id")
    for first in range(0, count, INSERTED):
        numbers = range(first, min(first + INSERTED, count))
        rows.insert_many([{**line, "position": 10**6 + number} for number in numbers], ordered=False)


def cost(act: Callable[[], object], times: int, used: Processes) -> Cost:
    before = used.cpu_ms()
    for _ in range(times):
        act()
    after = used.cpu_ms()
    return Cost(*((after[name] - before[name]) / times for name in ("agent", "mongod")))


def curve(acts: dict[int, Callable[[], object]], times: int, used: Processes) -> list[Point]:
    """The cost by count, measured in turn."""
    for act in acts.values():
        act()  # opens what is still closed
    rounds = [{count: cost(act, times, used) for count, act in acts.items()} for _ in range(ROUNDS)]
    return [
        Point(count, Cost(median(r[count].agent for r in rounds), median(r[count].mongod for r in rounds)))
        for count in acts
    ]


def draw(curves: dict[str, list[Point]], file: Path) -> None:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, (title, points) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        counts = [point.count for point in points]
        for name, marker in (("agent", "o"), ("mongod", "s")):
            axes.plot(counts, [getattr(point.cost, name) for point in points], marker=marker, label=name)
        axes.set(xscale="log", ylim=(0, None), title=title, ylabel="ms of processor time")
        axes.set_xlabel("observations in the run" if "observations" in title else "runs in the database")
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flatness", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("largest", type=int, nargs="?", default=100_000, help="runs in the largest database")
    parser.add_argument("--picture", type=Path, default=OUT / "flatness.svg", help="where it is drawn, SVG or PNG")
    options, say = parser.parse_args(), sys.stdout.write
    OUT.mkdir(exist_ok=True)
    with stack.start(PORT="0", MOCK_SPEED=SLOW_JOBS) as running, ExitStack() as opened:
        market = Market(running)
        opened.callback(market.close)
        worlds = {count: opened.enter_context(world_of(market, count)) for count in sizes(options.largest)}
        smallest = worlds[SMALLEST]
        used = processes(smallest.environment["MONGODB_URI"])
        say("".join(f"{name}: {text}\n" for name, text in machine().items()))
        runs = {count: bought(world) for count, world in worlds.items()}
        logged = {count: bought(smallest) for count in OBSERVATIONS}
        for count, run in logged.items():
            add_observations(smallest, run, count)
        curves = {
            "a purchase": curve({n: lambda w=world: bought(w) for n, world in worlds.items()}, PURCHASES, used),
            "a poll": curve({n: lambda w=worlds[n], r=run: w.tick(r) for n, run in runs.items()}, POLLS, used),
            "a poll, by observations": curve(
                {n: lambda r=run: smallest.tick(r) for n, run in logged.items()}, POLLS, used
            ),
        }
        for title, points in curves.items():
            say(f"\n{title:28}{'agent':>9}{'mongod':>9}   CPU ms\n")
            for point in points:
                say(f"{point.count:28,}{point.cost.agent:9.2f}{point.cost.mongod:9.2f}\n")
    report = {"machine": machine(), "curves": {title: list(map(asdict, points)) for title, points in curves.items()}}
    (OUT / "flatness.json").write_text(json.dumps(report, indent=2))
    draw(curves, options.picture)
    say(f"\n{OUT / 'flatness.json'} has these figures, {options.picture} draws them\n")


if __name__ == "__main__":
    main()
