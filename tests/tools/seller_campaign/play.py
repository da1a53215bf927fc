"""One campaign on a chain of its own: lives and deaths of a seller, quiet, and the audit."""

import multiprocessing
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from mock_vendor.chain import advance_time, free_port, rpc
from mock_vendor.market import PracticeMarket, open_market
from mock_vendor.settings import read_settings
from seller.config import read_config
from seller.database import Database
from seller.runners.job_folder import JobFolder
from tests.support.mock_buyer import Buyer
from tests.tools.seller_campaign.audit import audit
from tests.tools.seller_campaign.buyers import BuyerThread, Order
from tests.tools.seller_campaign.report import Report
from tests.tools.seller_campaign.victim import DEATHS, EVIDENCE, FORGETS, POINTS, POINTS_LEFT, Life, live

AT_RANDOM, PARENT = "at random", "parent of workers"
MAIN_S, DRAIN_S, POINT_S = 1200.0, 240.0, 8.0
"""A campaign that takes longer is stuck; a victim that has not come to its point by then dies where it is."""
EXPIRY_S = 600
"""Longer than any authorization of a buyer lives."""


@dataclass(frozen=True)
class Aims:
    """What a campaign is not over without. points: at each of which a seller dies.

    workers: processes of the seller; of several, one of them dies at each point, and their parent after the last.
    """

    kills: int = 200
    buyers: int = 6
    points: tuple[str, ...] = tuple(POINTS)
    workers: int = 1


@dataclass
class Stage:
    """Where a campaign plays. folder: of everything; config: the seller's."""

    folder: Path
    practice: PracticeMarket
    port: int
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        self.config = self.folder / "seller.yaml"
        (self.folder / EVIDENCE).mkdir()
        self.configure(keep="1h")

    def configure(self, keep: str, gpus: int = 3, queue: int = 8) -> None:
        """Writes the seller's configuration. keep: how long it keeps files."""
        market = self.practice.market
        self.config.write_text(f"""
name: Box
pay_to: "{self.practice.payees[0]}"
network: {market.network}
rpc_url: {market.rpc_url}
token: {{address: "{market.asset}", name: "{market.asset_name}", version: "{market.asset_version}"}}
offers: [{{gpu: A100, count: {gpus}, price_per_hour: 0.01}}]
runner: {{kind: process}}
limits: {{queue: {queue}, per_payer_queue: 1000, requests_per_minute: 10000, keep_files: {keep}}}
listen: 127.0.0.1:{self.port}
metrics: null
folder: {self.folder / "seller"}
""")

    @property
    def environment(self) -> dict[str, str]:
        facilitator = self.practice.market.facilitator
        assert facilitator
        return {"SELLER_PRIVATE_KEY": facilitator.private_key}


class Campaign:
    """One seed's campaign."""

    def __init__(self, seed: int, aims: Aims, stage: Stage, say: Callable[[str], object]) -> None:
        self.report, self._say, self._aims, self._stage = Report(seed), say, aims, stage
        self._dice = random.Random(seed)
        # Forks of one process that has imported everything: some seconds saved for each.
        self._forks = multiprocessing.get_context("forkserver")
        self._forks.set_forkserver_preload(["tests.tools.seller_campaign.victim"])
        self._orders: list[Order] = []
        self._points: list[str] = []
        self._quiet = False

    def run(self) -> Report:
        began = time.monotonic()
        buyers = [self._buyer(number) for number in range(self._aims.buyers)]
        try:
            if self._aims.workers == 1:
                self._lives(began)
            else:
                self._deaths_of_workers(began)
        finally:
            self._quiet = True
        victim = self._start("", "1h")
        try:
            for buyer in buyers:
                buyer.end()
            self._settle_down(victim)
            audit(self._stage.folder, read_config(self._stage.config), self._stage.practice, self._orders, self.report)
            (self._stage.folder / "seller" / "drain").touch()
            victim.join(DRAIN_S)
            self.report.check(victim.exitcode == 0, f"a drained seller ended with {victim.exitcode}")
        finally:
            victim.kill()
            victim.join()
        self.report.seconds = time.monotonic() - began
        return self.report

    def _buyer(self, number: int) -> BuyerThread:
        stage, market = self._stage, self._stage.practice.market
        payer = stage.practice.payer
        assert payer
        chain = {
            "rpcUrl": market.rpc_url,
            "asset": market.asset,
            "payer": {"address": payer.address, "privateKey": payer.private_key},
        }
        buyer = Buyer({"url": f"http://127.0.0.1:{stage.port}", "secret": "none is asked for", "chain": chain}, "")
        if self._aims.workers > 1:
            buyer.http.headers["Connection"] = "close"  # else all may stay at the one that is not to die of a sale
        return BuyerThread(buyer, self._orders, self.report, f"{self.report.seed}:{number}", lambda: self._quiet)

    def _lives(self, began: float) -> None:
        while self.report.kills.total() < self._aims.kills or set(self._aims.points) - set(self.report.kills):
            assert time.monotonic() < began + MAIN_S, f"the campaign does not get on: {self.report}"
            # Now and then a transfer stays pending for a while, so that a seller dies and returns in between.
            automine = self._dice.random() < 0.7
            rpc(self._stage.practice.market.rpc_url, "evm_setAutomine", automine)
            point = self._next_point()
            victim = self._start(point, "1s" if point in FORGETS else "1h")
            victim.join(POINT_S if point else self._dice.uniform(0.3, 2.0))
            name = point or AT_RANDOM
            if victim.exitcode is None:
                victim.kill()
                victim.join()
                name = AT_RANDOM
            self._check_killed(victim)
            self.report.kills[name] += 1
            if self.report.kills.total() % 20 == 0:
                self._say(f"{time.monotonic() - began:.0f} s: {self.report}\n")
        rpc(self._stage.practice.market.rpc_url, "evm_setAutomine", True)

    def _deaths_of_workers(self, began: float) -> None:
        """In each life workers die until all points have had a death, and then their parent dies."""
        folder = self._stage.folder
        while self.report.kills.total() < self._aims.kills:
            for forgets in (False, True):
                points = [point for point in self._aims.points if (point in FORGETS) is forgets]
                if points:
                    self._dice.shuffle(points)
                    (folder / POINTS_LEFT).write_text("\n".join(points))
                    (folder / DEATHS).write_text("")
                    self._one_parent(began, points, "1s" if forgets else "1h")

    def _one_parent(self, began: float, points: list[str], keep: str) -> None:
        deaths = self._stage.folder / DEATHS
        victim = self._start("", keep)
        while len(deaths.read_text().splitlines()) < len(points):
            assert victim.is_alive(), f"the parent ended with {victim.exitcode}"
            assert time.monotonic() < began + MAIN_S, f"of {points} only {deaths.read_text().split()}: {self.report}"
            time.sleep(0.02)
        workers = psutil.Process(victim.pid).children()
        victim.kill()
        victim.join()
        self._check_killed(victim)
        _, left = psutil.wait_procs(workers, timeout=DRAIN_S)
        self.report.check(not left, f"workers outlive their parent: {left}")
        for worker in left:
            worker.kill()
        self.report.kills.update([*deaths.read_text().splitlines(), PARENT])

    def _next_point(self) -> str:
        """Each point in turn, in drawn order, and now and then none."""
        if not self._points:
            missing = [point for point in self._aims.points if not self.report.kills[point]]
            self._points = [*self._aims.points, *missing] if self.report.kills else list(self._aims.points)
            self._points += [""] * (len(self._points) // 4)
            self._dice.shuffle(self._points)
        return self._points.pop()

    def _start(self, point: str, keep: str) -> ForkServerProcess:
        self._stage.configure(keep)
        passes = self._dice.choice([0, 0, 1, 2])
        life = Life(self._stage.config, self._stage.environment, self._stage.folder, point, passes, self._aims.workers)
        victim = self._forks.Process(target=live, args=(life,), daemon=True)
        victim.start()
        return victim

    def _check_killed(self, victim: ForkServerProcess) -> None:
        if victim.exitcode != -signal.SIGKILL:
            log = (self._stage.folder / f"{victim.pid}.log").read_text()[-2000:]
            raise AssertionError(f"a seller ended with {victim.exitcode}: {log}")

    def _settle_down(self, victim: ForkServerProcess) -> None:
        """Waits until nothing is settling, waiting or running. What was never settled expires."""
        advance_time(self._stage.practice.market.rpc_url, EXPIRY_S)
        ends_at = time.monotonic() + DRAIN_S
        with closing(Database(self._stage.folder / "seller" / "seller.sqlite3")) as database:
            while database.settling() or database.jobs_with_work("waiting", "started"):
                assert victim.exitcode is None, f"the last seller ended with {victim.exitcode}"
                left = [*database.settling(), *database.jobs_with_work("waiting", "started")]
                assert time.monotonic() < ends_at, f"what does not end: {left}; {self.report}"
                time.sleep(0.05)


@contextmanager
def open_stage() -> Iterator[Stage]:
    with (
        TemporaryDirectory(prefix="gpuagent-seller-campaign-") as scratch,
        open_market(read_settings({"MOCK_VENDORS": "1"})) as practice,
    ):
        try:
            yield Stage(Path(scratch), practice, free_port())
        finally:
            _wait_for_jobs(Path(scratch) / "seller" / "jobs")


def _wait_for_jobs(jobs: Path) -> None:
    ends_at = time.monotonic() + DRAIN_S
    with suppress(FileNotFoundError):
        while any(JobFolder(path).is_held() for path in jobs.iterdir()) and time.monotonic() < ends_at:
            time.sleep(0.05)


def campaign(seed: int, aims: Aims, say: Callable[[str], object] = lambda _: None) -> Report:
    """Play it whole. say: takes a line now and then. Raises AssertionError when it gets stuck."""
    with open_stage() as stage:
        return Campaign(seed, aims, stage, say).run()
