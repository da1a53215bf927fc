"""The example job with three sellers of three protocols, of which two fail: finished all the same, and explained.

The stubs and our seller run its program for real. Its files go to the stubs by signed URLs.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gpuagent.adapters.files.s3 import S3Store
from gpuagent.adapters.vendors.adapter import Parts
from gpuagent.adapters.vendors.registry import VendorRegistry
from gpuagent.core.model import Run, RunStatus, Settled
from gpuagent.core.money import show_usd, usd
from gpuagent.core.steps import is_over
from gpuagent.practice.delivery import Delivery, delivery_of, example_job
from gpuagent.wiring.vendors import record_vendors, vendor_from
from mock_vendor.stubs.serve import StubMarket
from tests.conftest import SafetyNote
from tests.support import s3_server
from tests.support.eventually import eventually
from tests.support.market import Market
from tests.support.stub_market import running_stubs
from tests.support.world import World

OURS = "gpu_vendor_3"
SELLERS = (OURS, "hypercli", "prism")
LEASE_S = 900
"""Of Prism: a job that buys more time than that is not sold there. The job file says an hour."""
CHEAP = "0.40"
"""USD an hour, at which our seller is asked first: it is the dearest of the three."""
DEADLINE_S = 300
"""Of the wall's clock: the programs run by that, on machines that do other things as well."""


@pytest.fixture(scope="module")
def stubs(shared_market: Market) -> Iterator[StubMarket]:
    with running_stubs(shared_market.environment) as stubs:
        yield stubs


@pytest.fixture(scope="module")
def depot() -> Iterator[S3Store]:
    with s3_server.running() as environ:
        yield S3Store(s3_server.BUCKET, "agent", environ)


@pytest.fixture
def world(make_world: Callable[..., World], market: Market, stubs: StubMarket, depot: S3Store) -> Iterator[World]:
    parts = Parts(market.environment.get, market.clock.now, lambda sha256: b"".join(depot.read(sha256)), None, depot)
    with closing(VendorRegistry(parts)) as vendor_api:
        world = make_world(vendor_api=vendor_api)
        world.give_gas()
        record_vendors(world.database, map(vendor_from, stubs.listing()))
        pace = replace(world.ports.pace, at_once_s=DEADLINE_S)  # a machine that is slow today changes no decision
        yield replace(world, agent=replace(world.agent, ports=replace(world.ports, files=depot, pace=pace)))
    stubs.heal()
    (ours,) = [vendor for vendor in market.vendors if vendor.vendor_id == OURS]
    market.control("PUT", "price", vendorId=OURS, basePricePerHour=str(usd(ours.base_price_per_hour)))


def finished(world: World, budget: int) -> Run:
    """A run of the example job with all three for candidates, once it is over."""
    job = example_job()
    workload = job.workload.model_copy(update={"max_duration": LEASE_S})
    run = world.start(budget, workload=workload, sources=job.sources, vendor_ids=SELLERS)

    def look() -> Run | None:
        world.market.rpc("evm_mine")
        now = world.tick(run)
        world.market.clock.ahead_s += max(0, now.wait_until - world.market.clock.now())
        return now if is_over(now) else None

    return eventually(look, DEADLINE_S, "the run does not end")


@dataclass(frozen=True)
class Choice:
    """A decision of a run as it is recorded. candidates: each vendor's record there, by its id."""

    vendor_id: str
    reason: str
    candidates: Mapping[str, Any]
    past: Mapping[str, bool]


def choices(world: World, run: Run) -> list[Choice]:
    return [
        Choice(
            entry["data"]["decision"]["vendorId"],
            entry["content"],
            {candidate["vendorId"]: candidate for candidate in entry["data"]["candidates"]},
            {job["vendor_id"]: job["succeeded"] for job in entry["data"]["context"]["past"]},
        )
        for entry in world.observations(run, "agent_reasoning")
    ]


def assert_explained(world: World, run: Run) -> None:
    """Each choice names its vendor, odds and price, who comes next, and what is known of those that failed before."""
    amounts, failed = [job.quote.amount for job in run.jobs], []
    for choice, job, amount in zip(choices(world, run), run.jobs, amounts, strict=True):
        assert choice.vendor_id == job.quote.vendor_id
        assert choice.reason.startswith(f"{choice.vendor_id}: ")
        assert f"% likely at {show_usd(amount)}" in choice.reason
        assert choice.candidates.keys() == set(SELLERS)
        assert all(candidate["amount"] for candidate in choice.candidates.values()), "all three were asked for a price"
        assert choice.past == dict.fromkeys(failed, False)
        rivals = {
            vendor_id: candidate["score"]["density"]
            for vendor_id, candidate in choice.candidates.items()
            if candidate["score"] and vendor_id != choice.vendor_id
        }
        if rivals:
            assert f"next best {max(rivals, key=lambda name: rivals[name])}" in choice.reason
        for vendor_id in set(SELLERS) - rivals.keys() - {choice.vendor_id}:
            (refusal,) = choice.candidates[vendor_id]["refusals"]
            assert vendor_id in failed
            assert f"this run paid {vendor_id} for was disputed or failed" in refusal
        failed.append(choice.vendor_id)


def assert_finished(world: World, run: Run, vendor_id: str) -> Delivery:
    """All outputs are here, proven; each purchase is a transfer of its price, and there is no other transfer."""
    assert run.status is RunStatus.COMPLETED, run.reason
    assert run.jobs[-1].quote.vendor_id == vendor_id
    purchases = [job for job in run.jobs if isinstance(job, Settled)]
    world.assert_balanced(run, transfers=len(purchases))
    paid = sorted((job.settlement.transaction, job.quote.amount) for job in purchases)
    assert paid == sorted((transfer.transaction, transfer.amount) for transfer in world.transfers())
    delivery = delivery_of(run, world.agent)
    assert {file.path for file in delivery.files} == {"model.npz", "metrics.jsonl", "sample.txt"}
    for file in delivery.files:
        assert sum(map(len, world.ports.files.read(file.sha256))) == file.bytes
    assert delivery.sample
    return delivery


@pytest.mark.safety("the example job, where two of three sellers fail: one charges nothing, one keeps the money")
def test_ours_does_what_two_others_fail(world: World, stubs: StubMarket, safety_note: SafetyNote) -> None:
    stubs.prism.switch("lease_fails")
    stubs.hypercli.switch("machine_lost")
    run = finished(world, 3)
    assert [job.quote.vendor_id for job in run.jobs] == ["prism", "hypercli", OURS]
    assert_finished(world, run, OURS)
    assert_explained(world, run)
    assert len(world.transfers()) == 2
    safety_note(
        "Prism's hold is cancelled on chain, HyperCLI's failure is paid for, the third does the work; 2 transfers"
    )


@pytest.mark.safety("the example job, where our seller loses its machine: another protocol goes on from its checkpoint")
def test_a_checkpoint_of_ours_is_gone_on_with_at_another_protocol(
    world: World, stubs: StubMarket, safety_note: SafetyNote
) -> None:
    world.market.control("PUT", "price", vendorId=OURS, basePricePerHour=CHEAP)
    world.market.outcomes(OURS, "0")
    stubs.hypercli.switch("machine_lost")
    run = finished(world, 3)
    assert [job.quote.vendor_id for job in run.jobs] == [OURS, "hypercli", "prism"]
    delivery = assert_finished(world, run, "prism")
    assert delivery.resumed
    assert delivery.resumed.vendor_id == "prism"
    assert 0 < delivery.resumed.from_fraction < 1
    assert_explained(world, run)
    assert len(world.transfers()) == 3
    texts = [entry["content"] for entry in world.observations(run, "metric")]
    assert f"{OURS} has all the files that the job reads" not in texts, "the inputs are small: they are in the order"
    assert "prism is to fetch the files that the job reads, by signed URLs in its order" in texts
    safety_note("the rest of the work is bought, of HyperCLI in vain and of Prism, which is paid once; 3 transfers")
