"""A paper market: a scenario behind the ports of the agent, in memory, without a vendor, a chain or a database.

The agent that buys here is the real one: its tick, its transitions, its guard. The market's clock stands still within a
tick of the scenario, every payment settles at once, and a job ends as it was drawn, one job length after it was bought.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import cast

from gpuagent.core.context import PastJob
from gpuagent.core.credits import Credit
from gpuagent.core.indices import tries_max
from gpuagent.core.model import (
    NO_ACCESS,
    Authorization,
    Authorized,
    Challenge,
    JobAccess,
    Observation,
    Quote,
    Reserved,
    Run,
    Settled,
    Settlement,
    Submitted,
    Terms,
    Token,
    Vendor,
)
from gpuagent.core.networks import LOCAL
from gpuagent.core.policy import Policy, Usage
from gpuagent.core.ports import FileStore, Footing, Gas, Head, Open, Outcome, Planner, Ports, Standing, TrackRecord
from gpuagent.core.records import Refund
from gpuagent.core.work import FileEntry, JobReport, JobStatus
from gpuagent.errors import StaleRun, UnknownRun, VendorError
from gpuagent.planbench.scenarios import UNKNOWN_RELIABILITY, Market, cost

RUN_ID, USER = "0" * 24, "planbench"
PAYER, PAYEE, ASSET = ("0x" + digit * 40 for digit in "123")
TOKEN = Token(LOCAL.caip2, ASSET, "USD Coin", "2")
QUOTE_LIFE_S, TIMEOUT_S = 3600.0, 300
NO_CAPS = Policy(version=1, new_vendor=None)
"""A scenario bounds a run by its budget alone."""


@dataclass(frozen=True, slots=True)
class _SoldJob:
    """attempt: how many jobs the vendor was paid for before in this run. tick: of its purchase."""

    vendor_id: str
    attempt: int
    tick: int


@dataclass(slots=True)
class PaperClock:
    """The port Clock over a scenario's ticks. tick: the time, in job lengths from the scenario's beginning."""

    market: Market
    tick: int = 0

    def now(self) -> float:
        return self.market.at(self.tick)


class PaperStore:
    """The port Store of one run. run: as it was saved last."""

    def __init__(self, market: Market, clock: PaperClock, run: Run) -> None:
        self._market, self._clock, self.run = market, clock, run

    def now(self) -> float:
        return self._clock.now()

    def new_id(self) -> str:
        return RUN_ID

    def create(self, run: Run) -> None:
        self.run = run

    def load(self, run_id: str) -> Run:
        if run_id != self.run.run_id:
            raise UnknownRun(f"no run {run_id} in a paper market")
        return self.run

    def footing(self) -> Footing:
        return Footing(self._clock.now(), self.policy, self.vendors)

    def standing(self, run_id: str) -> Standing:
        return Standing(self.load(run_id), self._clock.now(), self.policy, self.vendors)

    def save(self, before: Run, after: Run, observations: Sequence[Observation], at: float) -> Run:
        if before.version != self.run.version:
            raise StaleRun("another tick was faster")
        self.run = replace(after, version=before.version + 1)
        return self.run

    def policy(self) -> Policy:
        return NO_CAPS

    def usage(
        self,
        run: Run,
        network: str,
        vendor_ids: Sequence[str],
        at: float,
        job_id: str = "",
        rules: Policy | None = None,
    ) -> Usage:
        return Usage()

    def halt_payee(self, vendor: Vendor, why: str, at: float) -> bool:
        return False

    def vendors(self) -> Sequence[Vendor]:
        """The sellers at the prices of this tick."""
        return [
            Vendor(
                vendor_id=seller.vendor_id,
                name=seller.vendor_id,
                endpoint="",
                pay_to=PAYEE,
                network=TOKEN.network,
                asset=ASSET,
                secret_env="",
                base_price_per_hour=self._market.price(seller, self._clock.tick),
                reliability=UNKNOWN_RELIABILITY if seller.reliability is None else seller.reliability,
                gpu_types=seller.gpu_types,
            )
            for seller in sorted(self._market.sellers, key=lambda seller: seller.vendor_id)
        ]

    def past_jobs(self, run: Run, network: str, vendor_ids: Sequence[str], limit: int) -> Sequence[PastJob]:
        counts = Counter[str]()
        newest = []
        for job in reversed(self._market.past):
            counts[job.vendor_id] += 1
            if job.vendor_id in vendor_ids and counts[job.vendor_id] <= limit:
                newest.append(job)
        return newest[::-1]

    def track_record(
        self,
        run: Run,
        network: str,
        vendor_ids: Sequence[str],
        at: float,
        limit: int,
        rules: Policy | None = None,
    ) -> TrackRecord:
        return TrackRecord(Usage(), self.past_jobs(run, network, vendor_ids, limit))

    def book_credit(self, credit: Credit, at: float) -> bool:
        return False

    def book_refund(self, refund: Refund, at: float) -> bool:
        return False


class PaperPayments:
    """The ports Wallet and Chain: more money than the budget, and each payment final once it is sent."""

    address, token = PAYER, TOKEN

    def __init__(self, market: Market, clock: PaperClock) -> None:
        self._clock, self._balance = clock, 10 * market.budget
        self._settled: set[str] = set()

    def settle(self, authorization: Authorization) -> bool:
        """Whether this settles the authorization: False where it is settled already."""
        if authorization.nonce in self._settled:
            return False
        self._settled.add(authorization.nonce)
        return True

    def sign(self, authorization: Authorization, terms: Terms, identifier: str) -> str:
        return f"paper {authorization.nonce}"

    def cancel(self, authorization: Authorization, gas: Gas) -> str:
        return f"paper {authorization.nonce}"

    def head(self, address: str, nonces: Sequence[str] = ()) -> Head:
        return Head(self._clock.tick, int(self._clock.now()), self._balance, tuple(self.spent(address, nonces)))

    def spent(self, payer: str, nonces: Sequence[str]) -> Sequence[str]:
        return [nonce for nonce in nonces if nonce in self._settled]

    def outcome(self, authorization: Authorization, transaction: str = "") -> Outcome:
        if authorization.nonce in self._settled:
            return Settlement("0x" + "0" * 64, self._clock.tick, int(self._clock.now()))
        return Open(int(self._clock.now()), used=False)

    def gas(self, address: str) -> Gas:
        return Gas(0, 1, 1, 10**18)

    def send(self, transaction: str) -> str:
        return "0x" + "0" * 64


class PaperVendors:
    """The port VendorApi: the scenario's sellers, with one replicate of their drawn outcomes."""

    def __init__(self, market: Market, clock: PaperClock, payments: PaperPayments, replicate: int) -> None:
        self._market, self._clock, self._payments, self._replicate = market, clock, payments, replicate
        self._sold: dict[str, _SoldJob] = {}

    def quote(self, vendor: Vendor, goal: str, gpu_type: str, max_hours: Decimal, order: str = "") -> Quote:
        amount = cost(vendor.base_price_per_hour, max_hours)
        terms = (vendor.pay_to, vendor.network, vendor.asset, self._clock.now() + QUOTE_LIFE_S, self._market.job_s)
        return Quote(vendor.vendor_id, f"paper {self._clock.tick}", amount, *terms, gpu_type, max_hours, order)

    def input_received(self, vendor: Vendor, job: Reserved, file: FileEntry) -> int:
        raise VendorError(f"{vendor.vendor_id} takes no files on paper ({job.job_id}, {file.path})")

    def send_input(self, vendor: Vendor, job: Reserved, file: FileEntry, start: int, parts: Iterable[bytes]) -> int:
        raise VendorError(f"{vendor.vendor_id} takes no files on paper ({job.job_id}, {file.path})")

    def challenge(self, vendor: Vendor, job: Reserved) -> Challenge:
        extra = {"name": TOKEN.name, "version": TOKEN.version}
        amount = str(job.quote.amount)
        return Challenge((Terms("exact", vendor.network, vendor.asset, amount, vendor.pay_to, TIMEOUT_S, extra),))

    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        """Sells a job, once for a payment, as one more attempt at this vendor."""
        if self._payments.settle(job.authorization):
            attempt = sum(sold.vendor_id == vendor.vendor_id for sold in self._sold.values())
            self._sold[job.job_id] = _SoldJob(vendor.vendor_id, attempt, self._clock.tick)
        return Submitted(job.job_id)

    def status(
        self,
        vendor: Vendor,
        vendor_job_id: str,
        after: str = "",
        secrets: Sequence[str] = (),
        access: JobAccess = NO_ACCESS,
    ) -> JobReport:
        job = self._sold.get(vendor_job_id)
        if job is None:
            raise VendorError(f"{vendor.vendor_id} has sold no job {vendor_job_id}")
        if self._clock.tick <= job.tick:
            return JobReport(JobStatus.RUNNING, 0.0, (), {}, "", "")
        succeeds = self._market.outcome(job.vendor_id, job.attempt, job.tick, self._replicate)
        return JobReport(JobStatus.COMPLETED if succeeds else JobStatus.FAILED, 1.0, (), {}, "", "")

    def read_file(
        self,
        vendor: Vendor,
        vendor_job_id: str,
        file: FileEntry,
        start: int,
        seconds: float,
        checkpoint: str = "",
        secrets: Sequence[str] = (),
        access: JobAccess = NO_ACCESS,
    ) -> Iterator[bytes]:
        raise VendorError(f"{vendor.vendor_id} returns no files on paper ({vendor_job_id}, {file.path})")

    def cancel(
        self, vendor: Vendor, vendor_job_id: str, secrets: Sequence[str] = (), access: JobAccess = NO_ACCESS
    ) -> str:
        return "paper jobs are not cancelled"


class PaperMarket:
    """One run on one market, with one replicate of its outcomes, behind the ports of an agent."""

    def __init__(self, market: Market, replicate: int, planner: str) -> None:
        self._clock = PaperClock(market)
        self._store = PaperStore(market, self._clock, _run(market, planner, self._clock.now()))
        self._payments = PaperPayments(market, self._clock)
        self._vendors = PaperVendors(market, self._clock, self._payments, replicate)

    @property
    def run(self) -> Run:
        return self._store.run

    def turn_to(self, tick: int) -> None:
        """Sets every clock to the beginning of a tick of the scenario."""
        self._clock.tick = tick

    def ports(self, planners: Mapping[str, Planner]) -> Ports:
        """The ports of an agent with these planners."""
        no_files = cast("FileStore", None)  # a run without a workload has none
        return Ports(self._store, planners, self._payments, self._payments, self._vendors, self._clock, no_files)


def _run(market: Market, planner: str, at: float) -> Run:
    return Run(
        run_id=RUN_ID,
        user_id=USER,
        goal=market.goal,
        budget=market.budget,
        gpu_type=market.gpu_type,
        max_hours=market.hours,
        planner=planner,
        payer=PAYER,
        created_at=at,
        network=TOKEN.network,
        count=market.count,
        jobs_open_max=market.at_once,
        jobs_max=tries_max(market.count),
    )
