"""`make bench`: what one purchase costs (start, plan, sign, pay, poll, done), beside a floor, in the same run.

The floor makes the calls and writes that any buyer must, and nothing else. Both play in turn, on the same mongod, chain
and vendors; every figure is the median of the repetitions, every ratio the median of those of one pair. The trips of
the agent are counted apart, as counting costs time. Prints figures and asserts none: tests/test_trips.py bounds those
that do not depend on the machine.
"""

import argparse
import cProfile
import json
import pstats
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import worker
from benchmarks.floor import Floor
from benchmarks.large_file import MEGABYTES, large_file
from benchmarks.parts import LIFECYCLES, parts
from benchmarks.processes import Processes, machine, processes
from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.core.money import UNIT
from gpuagent.core.steps import is_over
from gpuagent.practice import stack
from tests.support import factories
from tests.support.factories import TERMS, TOKEN
from tests.support.market import Market
from tests.support.trips import counted_trips
from tests.support.world import World, build_world

LEVELS = {1: 12, 8: 48, 32: 96}
"""Concurrent runs, and how many lifecycles one round makes."""
ROUNDS = 5
QUICK_JOBS = "1000000000"
"""Simulated seconds per second: every job is done when it is first asked about."""
PROFILED = 60
OUT = Path(__file__).parent / "out"
Say = Callable[[str], Any]


@dataclass(frozen=True)
class Round:
    """One round: lifecycles a second, and milliseconds of processor time of one lifecycle, by process."""

    per_s: float
    cpu_ms: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """The agent beside its floor, at so many lifecycles at once: medians, and ratios of the agent to the floor."""

    concurrent: int
    agent: Round
    floor: Round
    ratios: dict[str, float]


def measure(lifecycle: Callable[[int], None], concurrent: int, lifecycles: int, used: Processes) -> Round:
    """Plays so many lifecycles, so many at a time."""
    with ThreadPoolExecutor(concurrent) as pool:
        began, before = time.perf_counter(), used.cpu_ms()
        list(pool.map(lifecycle, range(lifecycles)))
        wall_s, after = time.perf_counter() - began, used.cpu_ms()
    return Round(lifecycles / wall_s, {name: (after[name] - before[name]) / lifecycles for name in after})


def agent_lifecycle(world: World) -> Callable[[int], None]:
    def live(_: int) -> None:
        run = world.start()
        while not is_over(run):
            run = world.tick(run)
        assert run.status == "completed", run.reason

    return live


def compare(
    agent: Callable[[int], None], floor: Callable[[int], None], concurrent: int, rounds: int, used: Processes
) -> Comparison:
    """Plays the two in turn, so that both meet the same machine."""
    count = LEVELS[concurrent]
    pairs = [(measure(agent, concurrent, count, used), measure(floor, concurrent, count, used)) for _ in range(rounds)]
    agents, floors = zip(*pairs, strict=True)
    ratios = {"per_s": median(a.per_s / f.per_s for a, f in pairs)}
    ratios |= {name: median(a.cpu_ms[name] / (f.cpu_ms[name] or 1) for a, f in pairs) for name in agents[0].cpu_ms}
    return Comparison(concurrent, _median(agents), _median(floors), ratios)


def _median(rounds: Sequence[Round]) -> Round:
    cpu_ms = {name: median(r.cpu_ms[name] for r in rounds) for name in rounds[0].cpu_ms}
    return Round(median(r.per_s for r in rounds), cpu_ms)


def trips_of(market: Market) -> dict[str, Any]:
    """The trips of one lifecycle, by kind, from start to done, and those of a poll that brings no news."""
    with counted_trips() as trips, build_world(market, "bench_trips", funds=1000 * UNIT) as world:
        world.finish(world.start())  # opens the connections
        trips.reset()
        world.finish(world.start())
        return {"counts": trips.counts, "commands": dict(trips.commands), "chain": dict(trips.chain)}


def signing_ms() -> float:
    """One EIP-712 signature with its header, in milliseconds."""
    wallet = LocalWallet("0x" + "11" * 32, TOKEN)
    payment = factories.authorization(payer=wallet.address)
    times: list[float] = []
    for _ in range(300):
        started_at = time.perf_counter()
        wallet.sign(payment, TERMS, "")
        times.append(time.perf_counter() - started_at)
    return median(times) * 1000


def show(comparison: Comparison, say: Say) -> None:
    for name, played in (("agent", comparison.agent), ("floor", comparison.floor)):
        times = "".join(f"{played.cpu_ms[process]:9.1f}" for process in played.cpu_ms)
        say(f"{comparison.concurrent:10} {name:6}{played.per_s:8.1f}{times}\n")
    ratios = "".join(f"{ratio:9.2f}" for name, ratio in comparison.ratios.items() if name != "per_s")
    say(f"{'':10} {'ratio':6}{comparison.ratios['per_s']:8.2f}{ratios}\n")


def show_parts(agent: Mapping[str, float], floor: Mapping[str, float], say: Say) -> None:
    names = "".join(f"{name:>18}" for name in agent)
    say(f"\n{'one after the other':>20}{names}   CPU ms per lifecycle, by library, sampled\n")
    for title, played in (("agent", agent), ("floor", floor)):
        say(f"{title:>20}" + "".join(f"{ms:18.1f}" for ms in played.values()) + "\n")


def profile(lifecycle: Callable[[int], None], say: Say) -> None:
    """Where the agent's time goes, of lifecycles one after the other, by time within each function and beneath it."""
    profiler = cProfile.Profile(time.process_time)
    profiler.enable()
    for number in range(PROFILED):
        lifecycle(number)
    profiler.disable()
    OUT.mkdir(exist_ok=True)
    profiler.dump_stats(OUT / "lifecycle.prof")
    for order in ("tottime", "cumulative"):
        pstats.Stats(profiler, stream=sys.stdout).sort_stats(order).print_stats(45)
    say(f"of {PROFILED} lifecycles; {OUT / 'lifecycle.prof'} has all of it\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lifecycle", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="repetitions of each pair")
    parser.add_argument("--at-once", type=int, nargs="*", choices=list(LEVELS), default=list(LEVELS))
    parser.add_argument("--megabytes", type=int, default=MEGABYTES, help="of the large file; 0 leaves it out")
    parser.add_argument("--profile", action="store_true", help="says where the agent's time goes, and nothing else")
    options, say = parser.parse_args(), sys.stdout.write
    with stack.start(PORT="0", MOCK_SPEED=QUICK_JOBS) as running:
        market = Market(running)
        with build_world(market, "bench", funds=10**6 * UNIT) as world:
            world.allow(per_payment=None, wallet_per_day=10**6 * UNIT)  # the day's sum is asked for, and never reached
            agent, used = agent_lifecycle(world), processes(world.environment["MONGODB_URI"])
            if options.profile:
                agent(0)
                profile(agent, say)
            else:
                floor = Floor(world, options.rounds * sum(LEVELS[count] for count in options.at_once) + 4 + LIFECYCLES)
                for warm in (floor.live, agent):
                    measure(warm, 2, 4, used)
                report = {"machine": machine(), "signing_ms": signing_ms(), "trips": trips_of(market)}
                say("".join(f"{name}: {text}\n" for name, text in machine().items()))
                say(f"EIP-712 signature and header: {report['signing_ms']:.2f} ms\n")
                say("".join(f"{name} per lifecycle: {count}\n" for name, count in report["trips"]["counts"].items()))
                names = "".join(f"{name:>9}" for name in used.cpu_ms())
                say(f"\n{'at once':>10} {'':6}{'per s':>8}{names}   CPU ms per lifecycle\n")
                comparisons = [
                    compare(agent, floor.live, concurrent, options.rounds, used) for concurrent in options.at_once
                ]
                for comparison in comparisons:
                    show(comparison, say)
                report["comparisons"] = [asdict(comparison) for comparison in comparisons]
                made_of = {"agent": parts(agent), "floor": parts(floor.live)}
                show_parts(made_of["agent"], made_of["floor"], say)
                report["parts"] = made_of
                report["processes"] = worker.show_spread(world.environment, options.rounds, say)
                OUT.mkdir(exist_ok=True)
                (OUT / "lifecycle.json").write_text(json.dumps(report, indent=2))
                say(f"\n{OUT / 'lifecycle.json'} has these figures\n")
                if options.megabytes:
                    large_file(world, options.megabytes, say)
        market.close()


if __name__ == "__main__":
    main()
