"""The agent's own file store does not work for a while: steps wait, no vendor is charged, and nothing is lost."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from gpuagent.core.model import Authorized, Job, Quote, Reserved, RunStatus, Settled, Submitted, Vendor
from gpuagent.core.status import status_text
from gpuagent.core.work import Collecting, FileKind, JobReport, Owed, Underway
from gpuagent.errors import FileStoreError, VendorError
from gpuagent.tick import tick
from tests.support.workshop import HOUR_PRICE, Seller, Sellers, SoldJob, Workshop, lost_after, report, works

OUTAGE = "No space left on device"
State = TypeVar("State", Owed, Underway, Collecting)
LONG_S = 7_200
"""Longer than any patience with a vendor."""


class PatientSellers(Sellers):
    """Sellers whose quotes do not expire meanwhile, and who read what goes along with an order as HttpVendor does."""

    def quote(self, vendor: Vendor, *arguments: Any, **names: Any) -> Quote:
        return replace(super().quote(vendor, *arguments, **names), expires_at=self._world.at + 10**6)

    def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
        b"".join(self._world.files.read(self._world.inline)) if self._world.inline else None
        return super().submit(vendor, job)


class PostponedWorld(Workshop):
    """inline: the SHA-256 of a file that goes along with each order."""

    inline = ""

    def __init__(self, workload: Mapping[str, Any] | None = None, **sellers: Seller) -> None:
        super().__init__(workload, **sellers)
        self.ports = replace(self.ports, vendor_api=PatientSellers(self))

    def fails_for(self, seconds: float, ticks: int = 4) -> None:
        """The file store does not work for so long, in which a few ticks are made."""
        self.files.outage = OUTAGE
        for _ in range(ticks):
            tick(self.run.run_id, self.ports)
            self.at += seconds / ticks
        self.files.outage = ""

    def notes(self, kind: str) -> list[str]:
        return [entry.content for entry in self.observations if entry.data.get("kind") == kind]

    @property
    def status(self) -> str:
        return status_text(self.run, self.at).run


def only_job(world: Workshop) -> Job:
    (job,) = world.run.jobs
    return job


def work_of(job: Job, state: type[State]) -> State:
    assert isinstance(job, Settled)
    assert isinstance(job.work, state)
    return job.work


def assert_bought_once(world: PostponedWorld, vendor_id: str = "a") -> None:
    assert world.ticks().status is RunStatus.COMPLETED
    assert only_job(world).quote.vendor_id == vendor_id
    assert world.spent == HOUR_PRICE
    assert not world.notes("failed")
    assert not world.notes("dropped")


@pytest.mark.safety("an outage of the agent's own file store costs no second purchase")
def test_outputs_are_collected_once_the_store_is_back() -> None:
    world = PostponedWorld(a=Seller(reading=[VendorError("answered 502")] * 500), b=Seller())
    world.ticks(2)
    assert work_of(only_job(world), Collecting).hindered_since
    world.fails_for(LONG_S)
    (note,) = world.notes("postponed")
    assert note == (
        "the files of a wait for the agent's own file store, and no vendor is to blame: "
        "the file store did not do it: No space left on device"
    )
    assert "waits for the agent's own file store (the file store did not do it: No space" in world.status
    world.ticks(200)  # the vendor's five minutes begin now
    assert work_of(only_job(world), Collecting).hindered_since == 1_002 + LONG_S
    world.sellers["a"].reading.clear()
    assert_bought_once(world)
    assert "postponed" not in world.status


def test_other_steps_of_the_tick_go_on() -> None:
    sold: list[str] = []

    def works_then_trains(job: SoldJob) -> JobReport:
        sold.extend({job.name} - {*sold})
        return works(job) if job.name == sold[0] else report(progress=0.5, logs=("a line",) * job.asked)

    world = PostponedWorld(a=Seller(works_then_trains, reading=[VendorError("answered 502")]))
    world.run = replace(world.run, jobs_open_max=2)
    world.ticks(1)
    world.files.outage = OUTAGE
    world.ticks(30)
    first, second = world.run.jobs
    assert work_of(first, Collecting)
    assert work_of(second, Underway).logs_seen > 20
    assert len(world.notes("postponed")) == 1
    world.files.outage = ""
    assert world.ticks(3).status is RunStatus.COMPLETED
    assert world.spent == 2 * HOUR_PRICE


def test_a_checkpoint_is_kept_once_the_store_is_back() -> None:
    world = PostponedWorld(a=Seller(lost_after(0.5), reading=[VendorError("answered 502")]), b=Seller())
    tick(world.run.run_id, world.ports)
    world.files.outage = OUTAGE
    world.ticks(8)  # the machine is lost meanwhile
    assert work_of(only_job(world), Collecting)
    assert len(world.notes("postponed")) == 1
    assert not world.notes("checkpoint lost")
    world.at += LONG_S
    world.files.outage = ""
    assert world.ticks().status is RunStatus.COMPLETED
    assert world.spent == 1.5 * HOUR_PRICE
    first, _ = world.run.jobs
    assert isinstance(first, Settled)
    assert [file.kind for file in first.files] == [FileKind.CHECKPOINT] * 2


def test_a_vendor_is_not_blamed_for_a_delivery_that_we_could_not_read() -> None:
    content = b"w" * 5_000_000
    sha256 = hashlib.sha256(content).hexdigest()
    inputs = [{"path": "weights.bin", "sha256": sha256, "bytes": len(content)}]
    world = PostponedWorld({"inputs": inputs}, a=Seller(), b=Seller())
    world.files.put(content)
    world.ports = replace(world.ports, pace=replace(world.ports.pace, share_bytes=2**20))
    world.ticks(1)
    world.fails_for(LONG_S)
    job = only_job(world)
    assert isinstance(job, Reserved)
    assert job.postponed
    assert "reserved, waits for the agent's own file store" in world.status
    world.ticks(2)
    job = only_job(world)
    assert isinstance(job, Reserved)
    assert (job.postponed, job.delivery_from > LONG_S) == ("", True)
    assert world.notes("taken up") == ["the file store works again: the files of a go on"]
    assert_bought_once(world)


def test_a_vendor_is_not_blamed_for_an_order_that_we_could_not_read() -> None:
    """Neither before it is paid, nor where it has not named its job."""

    class Forgetful(PatientSellers):
        def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
            name = super().submit(vendor, job)
            if self._world.at < 1_005:
                raise VendorError("answered 502")
            return name

    world = PostponedWorld(a=Seller(), b=Seller())
    world.inline = world.files.put(b"small")
    world.ports = replace(world.ports, vendor_api=Forgetful(world))
    world.ticks(3)
    assert work_of(only_job(world), Owed).silent_since
    world.fails_for(LONG_S)
    assert work_of(only_job(world), Owed) == Owed(1_000.0)
    assert_bought_once(world)


@pytest.mark.safety("nothing is signed for work whose files the agent could not keep")
def test_nothing_is_bought_whose_files_could_not_be_kept() -> None:
    world = PostponedWorld(a=Seller(), b=Seller())
    world.fails_for(LONG_S, ticks=50)
    job = only_job(world)
    assert isinstance(job, Reserved)
    assert job.postponed
    assert world.spent == 0
    assert len(world.notes("postponed")) == 1
    assert_bought_once(world)


def test_a_payment_that_cannot_be_sent_speaks_against_no_vendor() -> None:
    """The file store fails between the signature and the order that it pays for."""

    class Failing(PatientSellers):
        def submit(self, vendor: Vendor, job: Authorized | Settled) -> Submitted:
            if self._world.at < 1_002:
                raise FileStoreError(OUTAGE)
            return super().submit(vendor, job)

    world = PostponedWorld(a=Seller(), b=Seller())
    world.ports = replace(world.ports, vendor_api=Failing(world))
    with pytest.raises(FileStoreError, match="No space left"):
        world.ticks(1)
    assert isinstance(only_job(world), Authorized)
    world.at += 2
    assert_bought_once(world)


def test_a_vendor_that_errs_during_an_outage_fills_no_database() -> None:
    """The store fails in every other tick, and the vendor in the others."""
    world = PostponedWorld(a=Seller(reading=[VendorError("answered 502")] * 600))
    world.ticks(1)
    for number in range(1_000):
        world.files.outage = OUTAGE if number % 2 else ""
        tick(world.run.run_id, world.ports)
        world.at += 1
    assert work_of(only_job(world), Collecting)
    assert len(world.observations) < 20
    world.files.outage = ""
    world.sellers["a"].reading.clear()
    assert_bought_once(world)
