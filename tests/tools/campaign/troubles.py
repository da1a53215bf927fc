"""What goes wrong during a campaign, as the dice draw it: faults of vendors, outages, and clocks that run on."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import pymongo
from pymongo.errors import PyMongoError

from gpuagent.adapters.mongo.embedded import last_server
from tests.support.crash.long_ticker import SAVES
from tests.tools.campaign.later import LAST_SECONDS, LaterTroubles
from tests.tools.campaign.report import Report
from tests.tools.campaign.stage import Stage

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
WORK_FAULTS = (
    "node_lost",
    "altered_content",
    "missing_output",
    "cut_file",
    "file_gone",
    "foreign_file",
    "manifest_changes",
    "html_file",
    "no_checkpoint",
    "empty_success",
)
"""Faults of vendors that run job files."""
VENDORS_KILLED = ("vendors killed", "vendors killed while files were fetched")


CUT_S = (1.5, 3)
"""While the chain is away nobody buys, and what comes after is the same however long that was."""
PATIENCE = 6
"""The times a timer's longest while, after which it acts though little was done."""


class Timer:
    """An action that is repeated, each time after a while drawn between two bounds (seconds)."""

    def __init__(self, dice: random.Random, low_s: float, high_s: float, act: Callable[[], None]) -> None:
        self._dice, self._bounds, self._act = dice, (low_s, high_s), act
        self._next = time.monotonic() + dice.uniform(*self._bounds)
        self._may: Callable[[], bool] = lambda: True
        self._worked: Callable[[], int] = lambda: 0
        self._least = self._before = 0

    def only_while(self, may: Callable[[], bool]) -> Self:
        self._may = may
        return self

    def after_work(self, saves: Callable[[], int], least: int) -> Self:
        """Only once so many runs were saved since the last time: on a slow machine no more goes wrong for each."""
        self._worked, self._least = saves, least
        return self

    def poll(self) -> None:
        late = time.monotonic() - self._next
        idle = self._worked() - self._before < self._least and late < PATIENCE * self._bounds[1]
        if late >= 0 and not idle and self._may():
            self._act()
            self._before = self._worked()
            self._next = time.monotonic() + self._dice.uniform(*self._bounds)


class Troubles:
    """The troubles of one campaign; each is counted in the report. folder: of mongod and the tickers' clock.

    received: every payment that reached a vendor, of those that were killed too.
    """

    def __init__(self, stage: Stage, dice: random.Random, report: Report) -> None:
        self._market, self._proxy, self._folder = stage.world.market, stage.proxy, stage.folder
        self._vendors, self._dice, self._report = stage.vendors, dice, report
        self._database = stage.world.database.name
        self._faults: list[str] = []
        self._starts_at = self._mends_at = 0.0
        self.later = LaterTroubles(stage, dice, report)
        self.received: list[dict[str, str]] = []

    def timers(self) -> list[Timer]:
        of_vendors = [
            Timer(self._dice, 0.5, 1.1, self.switch_fault).after_work(self.saves, 6),
            Timer(self._dice, 4, 6, lambda: self.turn_clocks(self._dice.randint(20, 160))).after_work(self.saves, 25),
            Timer(self._dice, 5, 8, self.settle_held_payments),
            Timer(self._dice, 5, 8, self.fail_jobs).after_work(self.saves, 25),
            Timer(self._dice, 12, 18, self.kill_vendors).after_work(self.saves, 60),
        ]
        of_later = [
            (Timer(self._dice, 0.8, 1.5, self.later.switch_modes).after_work(self.saves, 6), lambda: self.later.is_up),
            (Timer(self._dice, 10, 16, self.later.kill).after_work(self.saves, 40), lambda: self.later.is_busy),
        ]
        return [
            *(timer.only_while(lambda: self._vendors.is_up) for timer in of_vendors),
            Timer(self._dice, 0.5, 0.5, self.settle_at_last).only_while(self._awaits_last_seconds),
            Timer(self._dice, 9, 14, self.kill_mongod).after_work(self.saves, 60),
            Timer(self._dice, 5, 9, self.cut_chain),
            Timer(self._dice, 0.1, 0.1, self.mend_chain),
            Timer(self._dice, 0.1, 0.1, self.start_vendors),
            Timer(self._dice, 0.1, 0.1, self.later.start_again),
            Timer(self._dice, 2, 4, self.later.turn_gas).after_work(self.saves, 20),
            *(timer.only_while(may) for timer, may in of_later),
        ]

    def saves(self) -> int:
        """How often tickers have saved a run."""
        file = self._folder / SAVES
        return file.stat().st_size if file.exists() else 0

    def switch_fault(self) -> None:
        """Put the next fault on a vendor: one per vendor at most, and the last vendor sells without any."""
        if not self._faults:
            self._faults = [*FAULTS, *WORK_FAULTS]
            self._dice.shuffle(self._faults)
        name = self._faults.pop()
        vendor_id = self._dice.choice([vendor.vendor_id for vendor in self._market.vendors[:-1]])
        for fault in self._market.control("GET", "faults")["on"]:
            if fault["vendorId"] == vendor_id:
                self._market.control("DELETE", "faults", **fault)
        self._market.fault(vendor_id, name)
        self._report.faults[name] += 1

    def turn_clocks(self, seconds: int) -> None:
        """Turn all clocks; where a vendor has kept a payment, until that has a few seconds left: it settles it then."""
        if not self.settle_at_last():
            self._turn(seconds)

    def _awaits_last_seconds(self) -> bool:
        return self._vendors.is_up and not self._report.outages[LAST_SECONDS]

    def settle_at_last(self) -> bool:
        """Where a vendor has kept a payment, turn all clocks to its last seconds, and have it settled."""
        left = self.later.last_moment()
        if left is None:
            return False
        self._turn(left)
        self.later.settle_kept()
        return True

    def _turn(self, seconds: int) -> None:
        """Turn all clocks; the tickers read theirs from a file."""
        self._market.pass_time(seconds)
        self.later.pass_time(seconds)
        new = self._folder / "ahead.new"
        new.write_text(str(self._market.clock.ahead_s))
        new.replace(self._folder / "ahead")

    def kill_mongod(self) -> None:
        """Kill the database; its supervisor starts it again, on the same port and folder."""
        if server := last_server(self._folder / "mongod"):
            os.kill(server["pid"], signal.SIGKILL)
            self._report.outages["mongod killed"] += 1

    def cut_chain(self) -> None:
        """Cut the connection to the chain for some seconds: one way after the other."""
        self._proxy.mode = (
            "hang" if self._report.outages["chain refuse"] > self._report.outages["chain hang"] else "refuse"
        )
        self._report.outages[f"chain {self._proxy.mode}"] += 1
        self._mends_at = time.monotonic() + self._dice.uniform(*CUT_S)

    def mend_chain(self) -> None:
        if time.monotonic() >= self._mends_at:
            self._proxy.mode = "up"

    def settle_held_payments(self) -> None:
        """Let the vendors settle the payments that they hold back."""
        self._market.control("POST", "settle")

    def fail_jobs(self) -> None:
        """Let some of a vendor's next jobs fail."""
        vendor = self._dice.choice(self._market.vendors)
        self._market.outcomes(vendor.vendor_id, "".join(self._dice.choices("01", k=4)))

    def kill_vendors(self) -> None:
        """Kill all vendors at once, whatever they send at the moment. Their jobs run on."""
        self.note_received()
        outage = VENDORS_KILLED[self._world_collects()]
        self._vendors.kill()
        self._report.outages[outage] += 1
        self._starts_at = time.monotonic() + self._dice.uniform(0, 1)

    def _world_collects(self) -> bool:
        """Whether files of some job are being fetched."""
        jobs = self._market.database(self._database).jobs
        with pymongo.timeout(1), suppress(PyMongoError):  # mongod may be dead
            return jobs.find_one({"status": "running", "collecting": {"$ne": None}}) is not None
        return False

    def start_vendors(self) -> None:
        """Start killed vendors again after a moment, and set their clock once they are there."""
        if self._starts_at:
            if time.monotonic() >= self._starts_at:
                self._vendors.start()
                self._starts_at = 0
        elif self._vendors.poll():
            self._market.work(self._market.clock.ahead_s)

    def note_received(self) -> None:
        """Keep what payments they received: a killed vendor forgets them."""
        self.received += self._market.control("GET", "purchases")["received"]

    def heal(self) -> None:
        while not self._vendors.is_up:
            self.start_vendors()
        self.later.heal()
        self._proxy.mode = "up"
        self._market.heal()
