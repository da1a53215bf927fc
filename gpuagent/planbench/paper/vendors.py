"""Vendors of a paper market: they sell at the scenario's prices, and a job ends as it was drawn, and when."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from decimal import Decimal

from gpuagent.core.model import (
    Authorized,
    Challenge,
    Quote,
    Reserved,
    Settled,
    Submitted,
    Terms,
    Vendor,
)
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import FileEntry, JobReport, JobStatus
from gpuagent.errors import VendorError
from gpuagent.planbench.paper.payments import TOKEN, PaperClock, PaperPayments
from gpuagent.planbench.scenarios import Market, cost

QUOTE_LIFE_S, TIMEOUT_S = 3600.0, 300


@dataclass(frozen=True, slots=True)
class _SoldJob:
    """attempt: how many jobs the vendor was paid for before in this run. tick: of its purchase."""

    vendor_id: str
    attempt: int
    tick: int


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

    def status(self, vendor: Vendor, job: VendorJob, after: str = "") -> JobReport:
        sold = self._sold.get(job.job_id)
        if sold is None:
            raise VendorError(f"{vendor.vendor_id} has sold no job {job.job_id}")
        ticks = self._market.ticks_of(sold.vendor_id, sold.attempt, sold.tick, self._replicate)
        if self._clock.tick < sold.tick + ticks:
            return JobReport(JobStatus.RUNNING, 0.0, (), {}, "", "")
        succeeds = self._market.outcome(sold.vendor_id, sold.attempt, sold.tick, self._replicate)
        return JobReport(JobStatus.COMPLETED if succeeds else JobStatus.FAILED, 1.0, (), {}, "", "")

    def read_file(
        self, vendor: Vendor, job: VendorJob, file: FileEntry, start: int, seconds: float, checkpoint: str = ""
    ) -> Generator[bytes, None, None]:
        raise VendorError(f"{vendor.vendor_id} returns no files on paper ({job.job_id}, {file.path})")

    def cancel(self, vendor: Vendor, job: VendorJob) -> str:
        return "paper jobs are not cancelled"
