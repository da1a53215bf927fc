"""A vendor that was paid is not given up by a clock that others contradict: its work would be paid for once more."""

from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpuagent.core.model import Authorized, Hedging, RunStatus, Settled, Submitted, Vendor
from gpuagent.core.ports import Ports
from gpuagent.core.work import Collecting, Failed, Fault, JobEnding, JobReport, JobStatus, Owed, Underway
from gpuagent.errors import ClocksDiffer, VendorBusy, VendorError
from gpuagent.tick import step, tick
from tests.support.workshop import Seller, Sellers, SoldJob, Workshop, report, works

DAY_S = 86_400.0


class Nameless(Sellers):
    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        super().submit(vendor, job)
        raise VendorBusy("it is being settled")


def ahead(world: Workshop, seconds: float = DAY_S) -> Ports:
    """The agent on a machine whose own clock is so far ahead of the database's and the chain's."""
    return replace(world.ports, clock=cast("Any", SimpleNamespace(now=lambda: world.at + seconds)))


def hangs(_: SoldJob) -> JobReport:
    return report()


def is_away(_: SoldJob) -> JobReport:
    raise VendorError("it does not answer")


each_wait = pytest.mark.parametrize(
    ("seller", "work"),
    [(Seller(hangs), Underway), (Seller(is_away), Underway), (Seller(works, drips=True), Collecting), (None, Owed)],
    ids=["overdue", "silent", "not delivered", "no job named"],
)


def of_one(seller: Seller | None) -> Workshop:
    """A market of one seller; None: one that names no job."""
    world = Workshop(a=seller or Seller())
    if not seller:
        world.ports = replace(world.ports, vendor_api=Nameless(world))
    return world


@each_wait
def test_no_vendor_is_given_up_by_a_clock_that_others_contradict(seller: Seller | None, work: type) -> None:
    world = of_one(seller)
    world.ticks(6)
    for _ in range(3):
        with pytest.raises(ClocksDiffer):
            tick(world.run.run_id, ahead(world))
        world.at += 70
    (job,) = world.run.jobs
    assert isinstance(job, Settled)
    assert isinstance(job.work, work)
    world.at += DAY_S  # by all clocks
    world.ticks(1)
    job = world.run.jobs[0]
    assert isinstance(job, Settled)
    assert isinstance(job.work, Failed)


@each_wait
def test_no_vendor_is_given_up_for_a_clock_that_was_behind_as_its_wait_began(seller: Seller | None, work: type) -> None:
    """Once it is right all clocks agree, and by what it wrote down the wait has lasted for a day."""
    world = of_one(seller)
    while not (world.run.jobs and isinstance(world.run.jobs[0], Authorized)):
        step(world.run.run_id, world.ports)
    for _ in range(5):
        tick(world.run.run_id, ahead(world, -DAY_S))
        world.at += 1
    world.ticks(1)
    job = world.run.jobs[0]
    assert isinstance(job, Settled)
    assert isinstance(job.work, work)


@pytest.mark.parametrize("ahead_s", [DAY_S, -DAY_S], ids=["ahead", "behind"])
@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.COMPLETED], ids=["failed", "nothing listed"])
def test_whose_fault_a_failure_is_goes_by_no_clock_that_others_contradict(ahead_s: float, status: JobStatus) -> None:
    """By one ahead the paid time would be over, which ends the run; by one behind it would have failed at once."""

    def ends(job: SoldJob) -> JobReport:
        return report(status if job.asked > 2 else JobStatus.RUNNING, progress=0.4)

    world = Workshop(a=Seller(ends), b=Seller(works))
    world.ticks(2)
    world.at += 600
    for _ in range(2):
        with pytest.raises(ClocksDiffer):
            tick(world.run.run_id, ahead(world, ahead_s))
    world.ticks(1)
    job = world.run.jobs[0]
    assert isinstance(job, Settled)
    assert isinstance(job.work, Failed)
    assert (job.work.fault, job.work.ending) == (Fault.VENDOR, JobEnding.REPORTED)
    assert world.ticks().status is RunStatus.COMPLETED


def test_no_wait_for_a_hedge_ends_by_a_clock_that_others_contradict() -> None:
    """Else it would be declined for good, of a job that is not late yet."""
    world = Workshop(a=Seller(hangs), b=Seller(works))
    world.run = replace(world.run, hedging=Hedging(300))
    world.ticks(4)
    before = world.run
    for _ in range(6):
        with suppress(ClocksDiffer):
            tick(world.run.run_id, ahead(world, 3_600))
        world.at += 20
    assert world.run.hedging == before.hedging
    world.at += 400
    assert [job.quote.vendor_id for job in world.ticks(3).jobs] == ["a", "b"]
