"""The crash campaign: `python -m tests.tools.campaign --seed N --purchases M`.

Up to six tickers buy from faulty vendors, and are killed at every named point and at random moments, while mongod is
killed, the wire to the chain is cut, and everybody's clocks run on. Then all heals, and every cent must be where the
ledger says. A seed fixes what is drawn; what the drawn falls upon, the machine's own timing decides.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from gpuagent.adapters.mongo.embedded import last_server
from gpuagent.books.sweep import sweep
from gpuagent.core.model import Run, RunStatus, Settled, Transfer
from gpuagent.core.money import UNIT
from gpuagent.core.transitions import is_over
from gpuagent.errors import StoreError
from gpuagent.practice import stack
from tests.support.tcp_proxy import TcpProxy
from tests.support.ticker import POINTS
from tests.support.troupe import Troupe
from tests.support.world import Market, World, build_world

WALLET_DAY = 500 * UNIT
"""The owner's cap: a campaign spends some 200 USD, and every reservation is held against it."""
RUNS_MAX = 1000
TICKERS = 6
OPEN_RUNS = 12
BUDGET_USD = 25
FAULTS = (
    "error_after_settle",
    "drop_after_settle",
    "reject_after_settle",
    "redirect_after_settle",
    "hang_after_settle",
    "drip_after_settle",
    "conflict_after_settle",
    "always_402",
    "facilitator_down",
    "receipt_rejects_after_settle",
    "bogus_receipt",
    "no_receipt",
    "receipt_says_failed",
    "settle_late",
    "never_settle",
    "no_job_id",
    "foreign_job_id",
    "down",
    "slow",
    "drip",
    "raise_price",
    "swap_payee",
    "status_down",
    "status_garbage",
    "stuck",
)
OUTAGES_MIN = 2
MAIN_S, DRAIN_S = 300, 120
"""A campaign that takes longer than that has got stuck."""


@dataclass
class Report:
    """What happened. Amounts in atomic units."""

    seed: int
    purchases: int = 0
    transfers: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    outages: Counter[str] = field(default_factory=Counter)
    seconds: float = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = {"runs": self.runs, "kills": self.kills, "faults": self.faults, "outages": self.outages}
        counts = "; ".join(
            f"{sum(counter.values())} {name} ({', '.join(f'{key} {count}' for key, count in sorted(counter.items()))})"
            for name, counter in told.items()
        )
        return (
            f"seed {self.seed}: {self.purchases} purchases, {self.transfers} transfers, {self.seconds:.0f} s; {counts}"
            + "".join(f"\nPROBLEM {problem}" for problem in self.problems)
        )


class Timer:
    """Does something again and again, after a while drawn between two bounds (seconds)."""

    def __init__(self, dice: random.Random, low_s: float, high_s: float, act: Callable[[], None]) -> None:
        self._dice, self._bounds, self._act = dice, (low_s, high_s), act
        self._next = time.monotonic() + dice.uniform(*self._bounds)

    def poll(self) -> None:
        if time.monotonic() >= self._next:
            self._act()
            self._next = time.monotonic() + self._dice.uniform(*self._bounds)


class Campaign:
    """One seed's campaign, on a stack of its own."""

    def __init__(self, seed: int, purchases: int, world: World, proxy: TcpProxy, folder: Path) -> None:
        self.report = Report(seed)
        self._wanted = purchases
        self._world, self._market, self._proxy, self._folder = world, world.market, proxy, folder
        self._dice = random.Random(seed)
        self._troupe = Troupe(TICKERS, {**world.environment, "CHAIN_RPC_URL": proxy.url}, folder, self._dice)
        self.report.kills = self._troupe.kills
        self._faults: list[str] = []
        self._over: dict[str, Run] = {}

    def run(self) -> Report:
        began = time.monotonic()
        self._turn_clocks(0)
        try:
            self._trouble()
            self._heal()
            self._drain()
            self._audit()
        finally:
            self._troupe.end()
        self.report.seconds = time.monotonic() - began
        return self.report

    def _trouble(self) -> None:
        every = Timer
        timers = [
            every(self._dice, 0.3, 1.0, self._troupe.kill_one),
            every(self._dice, 1, 3, self._switch_fault),
            every(self._dice, 4, 6, lambda: self._turn_clocks(self._dice.randint(20, 160))),
            every(self._dice, 14, 22, self._kill_mongod),
            every(self._dice, 9, 14, self._cut_chain),
            every(self._dice, 5, 8, self._settle_held),
            every(self._dice, 5, 8, self._doom),
            every(self._dice, 0.5, 0.5, self._keep_runs_open),
        ]
        ends_at = time.monotonic() + MAIN_S
        while not self._saw_enough():
            assert time.monotonic() < ends_at, f"the campaign does not get on: {self.report}"
            self._troupe.keep_up(dying=True)
            for timer in timers:
                timer.poll()
            time.sleep(0.02)

    def _saw_enough(self) -> bool:
        return (
            self.report.purchases >= self._wanted
            and set(self.report.kills) >= {*POINTS}
            and set(self.report.faults) >= {*FAULTS}
            and self.report.outages["mongod killed"] >= OUTAGES_MIN
            and min(self.report.outages[f"chain {mode}"] for mode in ("refuse", "hang")) >= OUTAGES_MIN / 2
        )

    def _heal(self) -> None:
        self._proxy.mode = "up"
        self._market.heal()

    def _drain(self) -> None:
        """No more trouble: time passes, and whoever is alive brings every run to its end."""
        turning = Timer(self._dice, 2, 2, lambda: self._turn_clocks(130))
        ends_at = time.monotonic() + DRAIN_S
        while self._live():
            assert time.monotonic() < ends_at, f"runs that do not end: {self._live()}; {self.report}"
            self._troupe.keep_up(dying=False)
            turning.poll()
            time.sleep(0.2)

    # Trouble.

    def _switch_fault(self) -> None:
        """One fault per vendor at most, and one vendor without any: there is something to buy at any time."""
        if not self._faults:
            self._faults = [*FAULTS]
            self._dice.shuffle(self._faults)
        name = self._faults.pop()
        vendors = [vendor.vendor_id for vendor in self._market.vendors[:-1]]
        vendor_id = self._dice.choice(vendors)
        for on in self._market.control("GET", "faults")["on"]:
            if on["vendorId"] == vendor_id:
                self._market.control("DELETE", "faults", **on)
        self._market.fault(vendor_id, name)
        self.report.faults[name] += 1

    def _turn_clocks(self, seconds: int) -> None:
        """Everybody's; the tickers read theirs from a file."""
        self._market.pass_time(seconds)
        new = self._folder / "ahead.new"
        new.write_text(str(self._market.clock.ahead_s))
        new.replace(self._folder / "ahead")

    def _kill_mongod(self) -> None:
        """Its supervisor starts it again, on the same port and folder."""
        if server := last_server(self._folder / "stack" / "mongod"):
            os.kill(server["pid"], signal.SIGKILL)
            self.report.outages["mongod killed"] += 1

    def _cut_chain(self) -> None:
        self._proxy.mode = "up" if self._proxy.mode != "up" else self._dice.choice(["refuse", "hang"])
        if self._proxy.mode != "up":
            self.report.outages[f"chain {self._proxy.mode}"] += 1

    def _settle_held(self) -> None:
        self._market.control("POST", "settle")

    def _doom(self) -> None:
        """Some of the next jobs fail."""
        vendor = self._dice.choice(self._market.vendors)
        self._market.outcomes(vendor.vendor_id, "".join(self._dice.choices("01", k=4)))

    # What is bought.

    def _keep_runs_open(self) -> None:
        self._look()
        with suppress(StoreError):  # mongod is being killed
            while len(self._live()) < OPEN_RUNS and not self._saw_enough():
                self._world.start(BUDGET_USD, jobs_open_max=self._dice.choice([1, 1, 2]))

    def _look(self) -> None:
        """Count purchases by the chain."""
        self.report.purchases = len(self._world.transfers())

    def _live(self) -> list[str]:
        for run_id in self._run_ids():
            if run_id not in self._over and is_over(run := self._world.store.load(run_id)):
                self._over[run_id] = run
        return [run_id for run_id in self._run_ids() if run_id not in self._over]

    def _run_ids(self) -> list[str]:
        return [str(run["_id"]) for run in self._world.reads.runs(RUNS_MAX)]

    # The reckoning.

    def _audit(self) -> None:
        report, runs = self.report, list(self._over.values())
        transfers = self._world.transfers()
        jobs = [job for run in runs for job in run.jobs if isinstance(job, Settled)]
        report.purchases, report.transfers = len(jobs), len(transfers)
        report.runs = Counter(run.status.value for run in runs)
        bought = [Transfer(job.settlement.transaction, job.quote.pay_to.lower(), job.quote.amount) for job in jobs]
        self._check(Counter(bought) == Counter(transfers), "jobs and transfers differ")
        report.problems += [found.text for found in sweep(self._world.chain, self._world.database.ledgers).findings]
        payees = {vendor.vendor_id: vendor.pay_to for vendor in self._market.vendors}
        self._check(all(payees[job.quote.vendor_id] == job.quote.pay_to for job in jobs), "somebody else was paid")
        for run in runs:
            books = self._world.books(run)
            self._check(books.balanced and books.ledger.held == 0, f"run {run.run_id}: {books}")
            self._check(run.status is not RunStatus.RUNNING, f"run {run.run_id} has not ended")
        sent: dict[tuple[str, str], set[str]] = {}
        for one in self._market.control("GET", "purchases")["received"]:
            sent.setdefault((one["vendorId"], one["key"]), set()).add(one["header"])
        self._check(all(len(headers) == 1 for headers in sent.values()), "two signatures for one job")

    def _check(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.report.problems.append(otherwise)


def campaign(seed: int, purchases: int) -> Report:
    """Run it whole. Raises AssertionError when it gets stuck or a ticker meets what none may meet."""
    with _stage() as (world, proxy, folder):
        return Campaign(seed, purchases, world, proxy, folder).run()


@contextmanager
def _stage() -> Iterator[tuple[World, TcpProxy, Path]]:
    with (
        TemporaryDirectory(prefix="gpuagent-campaign-") as scratch,
        stack.start(Path(scratch) / "stack", PORT="0", MOCK_SPEED="40", MOCK_SLOW_S="60", MOCK_VENDORS="4") as running,
        TcpProxy(running.environment["CHAIN_RPC_URL"]) as proxy,
    ):
        market = Market(running)
        try:
            with build_world(market, "campaign", funds=100_000 * UNIT) as world:
                world.allow(wallet_per_day=WALLET_DAY)
                yield world, proxy, Path(scratch)
        finally:
            market.close()


def main() -> None:
    words = argparse.ArgumentParser(description="the crash campaign")
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--purchases", type=int, default=60)
    asked = words.parse_args()
    report = campaign(asked.seed, asked.purchases)
    sys.stdout.write(f"{report}\n")
    if report.problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
