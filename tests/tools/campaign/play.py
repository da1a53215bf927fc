"""One campaign on a stack of its own: trouble, healing, and the audit of every run and transfer."""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gpuagent.books.sweep import sweep
from gpuagent.core.indices import has_completed
from gpuagent.core.model import Job, Reserved, Run, RunStatus, Settled, Transfer
from gpuagent.core.steps import is_over
from gpuagent.errors import StoreError
from tests.support.crash.file_points import FILE_POINTS
from tests.support.crash.long_ticker import FLEET_SAVES, OVERTAKEN
from tests.support.crash.points import LATER_POINTS, POINTS
from tests.support.crash.ticker_pool import TickerPool
from tests.tools.campaign.hedged import HEDGE_AFTER_S, hedge_and_die
from tests.tools.campaign.hedged import POINTS as HEDGE_POINTS
from tests.tools.campaign.later import LAST_SECONDS, LATER_KILLED, LATER_MODES, NO_GAS
from tests.tools.campaign.report import Report
from tests.tools.campaign.stage import LATER, Stage, open_stage
from tests.tools.campaign.troubles import FAULTS, VENDORS_KILLED, WORK_FAULTS, Timer, Troubles
from tests.tools.campaign.works import audit_files, start_command, start_work

RUNS_MAX = 1000
TICKERS = 6
OPEN_RUNS, OPEN_COMMANDS = 12, 3
"""Runs that are kept open, and of these those of commands: the rarest cases are theirs."""
BUDGET_USD = 25
OUTAGES_MIN = 2
MAIN_S, DRAIN_S = 1200, 600
"""A campaign that takes longer than that has got stuck."""


@dataclass(frozen=True)
class Aims:
    """What a campaign is not over without. works: of the runs that are started, the share that has a job file.

    fleet: how many of the tickers are a fleet's, which takes what is due by leases; the others go through all runs.
    everything: every point, fault and outage as well, not only so many purchases and kills.
    """

    purchases: int = 60
    kills: int = 200
    works: float = 0.5
    fleet: int = TICKERS // 2
    everything: bool = True


class Campaign:
    """One seed's campaign."""

    def __init__(self, seed: int, aims: Aims, stage: Stage, say: Callable[[str], object]) -> None:
        self.report, self._say = Report(seed), say
        self._aims, self._stage = aims, stage
        self._world, self._market = stage.world, stage.world.market
        self._dice = random.Random(seed)
        environment = {**stage.world.environment, "CHAIN_RPC_URL": stage.proxy.url}
        self._tickers = TickerPool(TICKERS, aims.fleet, environment, stage.folder, self._dice)
        self._troubles = Troubles(stage, self._dice, self.report)
        self.report.kills = self._tickers.kills
        self._over: dict[str, Run] = {}
        self._commands: set[str] = set()
        self._started = self._works = 0
        self._hedged = ""

    def run(self) -> Report:
        started_at = time.monotonic()
        self._troubles.turn_clocks(0)
        try:
            self._hedged = hedge_and_die(self._world, BUDGET_USD, self._troubles.turn_clocks).run_id
            self.report.hedge_kills.update(HEDGE_POINTS)
            self._buy_under_trouble()
            self._troubles.heal()
            self._drain()
            self._audit()
        finally:
            self._tickers.end()
            self._troubles.later.close()
        self.report.seconds = time.monotonic() - started_at
        return self.report

    def _buy_under_trouble(self) -> None:
        timers = [
            Timer(self._dice, 0.7, 1.5, self._tickers.kill_one).after_work(self._troubles.saves, 12),
            *self._troubles.timers(),
            Timer(self._dice, 0.5, 0.5, self._keep_runs_open),
            Timer(self._dice, 1, 3, self._resume_vendors),
            Timer(self._dice, 20, 20, lambda: self._tell(time.monotonic() - began)),
        ]
        began = time.monotonic()
        ends_at = began + MAIN_S
        while not self._has_enough():
            assert time.monotonic() < ends_at, f"the campaign does not get on: {self.report}"
            self._tickers.keep_up(dying=True)
            for timer in timers:
                timer.poll()
            time.sleep(0.02)

    def _tell(self, seconds: float) -> None:
        self._say(f"{seconds:.0f} s: {self.report}\nlacks {', '.join(self._lacks())}\n")

    def _has_enough(self) -> bool:
        return not self._lacks()

    def _lacks(self) -> list[str]:
        """What a campaign must have and this one has not yet: purchases, kills, faults, outages."""
        report, outages = self.report, self.report.outages
        vendors_killed = sum(outages[name] for name in VENDORS_KILLED)
        enough = {
            "purchases": report.purchases >= self._aims.purchases,
            "kills": report.kills.total() >= self._aims.kills,
        }
        everything = {
            "mongod killed": outages["mongod killed"] >= OUTAGES_MIN,
            "vendors killed": vendors_killed >= OUTAGES_MIN,
            **{name: outages[name] > 0 for name in (LATER_KILLED, LAST_SECONDS, NO_GAS)},
            **{f"chain {mode}": outages[f"chain {mode}"] >= OUTAGES_MIN / 2 for mode in ("refuse", "hang")},
            **{point: report.kills[point] > 0 for point in (*POINTS, *LATER_POINTS, *FILE_POINTS)},
            **{fault: report.faults[fault] > 0 for fault in (*FAULTS, *WORK_FAULTS, *LATER_MODES)},
        }
        wanted = enough | (everything if self._aims.everything else {})
        return [name for name, there in wanted.items() if not there]

    def _drain(self) -> None:
        """Without more trouble, let time pass until the tickers have brought every run to its end."""
        clock_timer = Timer(self._dice, 2, 2, lambda: self._troubles.turn_clocks(130))
        ends_at = time.monotonic() + DRAIN_S
        while self._live_runs():
            assert time.monotonic() < ends_at, f"runs that do not end: {self._live_runs()}; {self.report}"
            self._tickers.keep_up(dying=False)
            clock_timer.poll()
            time.sleep(0.2)

    def _keep_runs_open(self) -> None:
        """Count the purchases by the chain, and start runs in the place of those that are over."""
        self.report.purchases, self.report.saves = len(self._world.transfers()), self._troubles.saves()
        with suppress(StoreError):  # mongod is being killed
            while self._lacks_runs() and not self._has_enough():
                self._started += 1
                if self._started % 3 == 0 or self._lacks_commands():
                    run = start_command(self._world, self._dice, self._started)
                    self._commands.add(run.run_id)
                elif self._started * self._aims.works > self._works:
                    self._works += 1
                    start_work(self._world, self._dice, BUDGET_USD, self._started)
                else:
                    open_max = self._dice.choice([1, 1, 2])
                    hedge_after = HEDGE_AFTER_S if open_max == 1 else None
                    self._world.start(BUDGET_USD, jobs_open_max=open_max, hedge_after=hedge_after)

    def _lacks_runs(self) -> bool:
        return len(self._live_runs()) < OPEN_RUNS or self._lacks_commands()

    def _lacks_commands(self) -> bool:
        return len(self._commands - self._over.keys()) < OPEN_COMMANDS

    def _resume_vendors(self) -> None:
        """What an operator does who has looked at a vendor that named another payee, and was halted for it."""
        with suppress(StoreError):  # mongod is being killed
            halts = self._world.store.policy().vendor_halts
            self.report.outages["vendors halted"] += len(halts)
            if halts:
                self._world.allow(halts=())

    def _live_runs(self) -> list[str]:
        for run_id in self._run_ids():
            if run_id not in self._over and is_over(run := self._world.store.load(run_id)):
                self._over[run_id] = run
        return [run_id for run_id in self._run_ids() if run_id not in self._over]

    def _run_ids(self) -> list[str]:
        return [str(run["_id"]) for run in self._world.reads.runs(RUNS_MAX)]

    def _audit(self) -> None:
        report, runs = self.report, list(self._over.values())
        transfers = self._world.transfers()
        jobs = [job for run in runs for job in run.jobs if isinstance(job, Settled)]
        report.purchases, report.transfers = len(jobs), len(transfers)
        report.runs = Counter(run.status.value for run in runs)
        purchases = [Transfer(job.settlement.transaction, job.quote.pay_to.lower(), job.quote.amount) for job in jobs]
        report.check(Counter(purchases) == Counter(transfers), "jobs and transfers differ")
        report.problems += [finding.text for finding in sweep(self._world.chain, self._world.database.ledgers).findings]
        payees = {vendor.vendor_id: vendor.pay_to for vendor in (*self._market.vendors, self._stage.later_vendor)}
        report.check(
            all(payees[job.quote.vendor_id] == job.quote.pay_to for job in jobs),
            "another payee than the vendor was paid",
        )
        for run in runs:
            books = self._world.books(run)
            report.check(books.balanced and books.ledger.held == 0, f"run {run.run_id}: {books}")
            report.check(run.status is not RunStatus.RUNNING, f"run {run.run_id} has not ended")
        self._check_one_signature_per_job(runs)
        self._audit_later(runs)
        self._audit_hedges(runs)
        audit_files(runs, self._world, self._stage.jobs, report)
        overtaken = self._stage.folder / OVERTAKEN
        report.saves = self._troubles.saves()
        report.overtaken = overtaken.stat().st_size if overtaken.exists() else 0
        by_fleet = self._stage.folder / FLEET_SAVES
        report.fleet_saves = by_fleet.stat().st_size if by_fleet.exists() else 0
        report.fleet_kills = self._tickers.fleet_kills

    def _audit_later(self, runs: list[Run]) -> None:
        """What became of each job that was to be paid after the work: paid or void, and its work done or not."""
        for job in (job for run in runs for job in run.jobs if job.quote.vendor_id == LATER):
            self.report.later[_fate(job)] += 1

    def _audit_hedges(self, runs: list[Run]) -> None:
        """A hedge is of a job of its own run, at another vendor, one for a job; one job of a hedged run completes.

        That hedge which ticks died over was paid before they did, and is booked as paid.
        """
        for run in (run for run in runs if run.hedging.after_s):
            jobs = {job.job_id: job for job in run.jobs}
            hedges = [job for job in run.jobs if job.quote.hedges]
            hedged = [jobs.get(job.quote.hedges) for job in hedges]
            self.report.hedges.update(_fate(job) for job in hedges)
            if run.run_id == self._hedged:
                paid = [job for job in hedges if isinstance(job, Settled)]
                self.report.check(bool(paid), f"the hedge of run {run.run_id} was not survived: {run.jobs}")
            self.report.check(
                len({job.quote.hedges for job in hedges}) == len(hedges)
                and all(
                    job and job.quote.vendor_id != hedge.quote.vendor_id
                    for job, hedge in zip(hedged, hedges, strict=True)
                ),
                f"run {run.run_id} has hedges that are none: {run.jobs}",
            )
            self.report.check(sum(map(has_completed, run.jobs)) <= 1, f"run {run.run_id} was completed twice")

    def _check_one_signature_per_job(self, runs: list[Run]) -> None:
        headers: dict[tuple[str, str], set[str]] = {}
        self._troubles.note_received()
        self._troubles.later.note_received()
        for payment in self._troubles.received:
            headers.setdefault((payment["vendorId"], payment["key"]), set()).add(payment["header"])
        self.report.check(all(len(distinct) == 1 for distinct in headers.values()), "two signatures for one job")
        received = self._troubles.later.received
        self.report.check(all(len(headers) == 1 for headers in received.values()), "two signatures under one nonce")
        nonces = {getattr(job, "authorization", None) and job.authorization.nonce for run in runs for job in run.jobs}
        self.report.check(set(received) <= nonces, "a vendor has a payment of no job")


def _fate(job: Job) -> str:
    """What became of a job: of its payment, and of its work."""
    work = "" if isinstance(job, Reserved) or job.work is None else type(job.work).__name__.lower()
    return f"{type(job).__name__.lower()} {work}".rstrip()


def campaign(seed: int, aims: Aims, say: Callable[[str], object] = lambda _: None) -> Report:
    """Play it whole. say: takes a line now and then.

    Raises AssertionError when it gets stuck or a ticker meets what none may meet.
    """
    with open_stage() as stage:
        return Campaign(seed, aims, stage, say).run()
