"""Runs with several jobs in memory: sellers whose jobs know their numbers, and what such a run has bought."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gpuagent.core.indices import tries_max
from gpuagent.core.model import Quote, Run, Vendor
from gpuagent.core.work import JobReport, JobStatus
from tests.support.workshop import HOUR_PRICE, Script, Seller, SoldJob, Workshop, report


def numbered(job: SoldJob) -> JobReport:
    """Done at the second look, with its number as a result."""
    if job.asked < 2:
        return report()
    job.files = {"model.npz": f"model {index_of(job)}".encode()}
    return report(JobStatus.COMPLETED, exit_code=0, files=job.manifest)


def index_of(job: SoldJob) -> int:
    return int(json.loads(job.order)["workload"]["env"]["GPUAGENT_JOB_INDEX"])


def only(index: int, script: Script, others: Script = numbered) -> Script:
    """Another script for the jobs of one index."""
    return lambda job: script(job) if index_of(job) == index else others(job)


def sweep(count: int = 3, at_once: int = 2, jobs: int = 6, work: dict[str, Any] | None = None, **s: Seller) -> Workshop:
    """jobs: what the budget pays for."""
    world = Workshop(work or {}, **s)
    world.run = replace(
        world.run, count=count, jobs_open_max=at_once, jobs_max=tries_max(count), budget=jobs * HOUR_PRICE
    )
    return world


def bought(run: Run) -> list[tuple[int, str]]:
    return [(job.quote.index, job.quote.vendor_id) for job in run.jobs]


class OtherPrices:
    """A market whose prices the test sets. price: of a vendor's quote; raises VendorError for none."""

    def __init__(self, vendor_api: Any, price: Callable[[Vendor, Quote], int]) -> None:
        self._vendor_api, self._price = vendor_api, price

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vendor_api, name)

    def quote(self, vendor: Vendor, *details: Any) -> Quote:
        quote = self._vendor_api.quote(vendor, *details)
        return replace(quote, amount=self._price(vendor, quote))
