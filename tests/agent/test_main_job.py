"""The main job on real parts: buy, pay, follow, switch vendors, balance."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from gpuagent.adapters.chain.evm import EvmChain
from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.core.model import Authorized, RunStatus, Settled
from gpuagent.core.work import Completed, Failed, Underway
from gpuagent.errors import Refused
from gpuagent.tick import step, tick
from gpuagent.wiring.vendors import record_vendors
from tests.support.world import World


def test_a_run_pays_one_vendor_and_completes(world: World) -> None:
    run = world.finish(world.start())
    assert run.status is RunStatus.COMPLETED
    (job,) = run.jobs
    assert isinstance(job, Settled)
    assert isinstance(job.work, Completed)
    assert job.quote.vendor_id == "gpu_vendor_1"
    assert job.work.artifact_url
    assert job.work.final_metrics
    world.assert_balanced(run, transfers=1)


def test_two_jobs_at_once(world: World) -> None:
    """The first to complete ends the run; the other stays paid for, and in the books."""
    run = world.finish(world.start(jobs_open_max=2))
    assert run.status is RunStatus.COMPLETED
    assert [type(job) for job in run.jobs] == [Settled, Settled]
    world.assert_balanced(run, transfers=2)


def test_no_money_for_a_second_job_at_once_leaves_the_first_to_finish(world: World) -> None:
    run = world.finish(world.start(budget=1.40, jobs_open_max=2))
    assert run.status is RunStatus.COMPLETED
    world.assert_balanced(run, transfers=1)


def test_a_payment_that_is_not_final_yet_is_waited_for_and_its_job_remembered(world: World) -> None:
    """With confirmations the vendor's answer comes long before the money counts."""
    world.market.rpc("anvil_mine", hex(40), hex(0))
    patient = EvmChain(world.environment["CHAIN_RPC_URL"], world.ports.wallet.token, confirmations=30)
    ports = replace(world.ports, chain=patient)
    with closing(patient):
        run = tick(world.start().run_id, ports)
        (job,) = run.jobs
        assert isinstance(job, Authorized)
        assert job.vendor_job_id
        assert len(world.transfers()) == 1
        world.market.fault("gpu_vendor_1", "always_402")  # nothing more is to be had from resending
        world.market.rpc("anvil_mine", hex(40), hex(0))
        run = tick(run.run_id, ports)
        assert isinstance(run.jobs[0], Settled)
        work = run.jobs[0].work
        assert isinstance(work, Underway)
        assert work.vendor_job_id == job.vendor_job_id
        world.market.rpc("anvil_mine", hex(40), hex(0))
    world.assert_balanced(world.finish(run), transfers=1)


def test_only_the_runs_own_wallet_pays(world: World, make_world: Callable[..., World]) -> None:
    run = world.start()
    foreign = make_world()
    with pytest.raises(Refused, match=f"pays from {run.payer}"):
        foreign.tick(run)
    assert foreign.transfers() == ()
    reserved = step(run.run_id, world.ports)
    with pytest.raises(Refused, match=f"pays from {run.payer}"):
        foreign.tick(reserved)
    assert foreign.market.received_headers(foreign.ports.wallet.address) == []


def test_vendors_that_take_another_token_are_no_candidates(world: World) -> None:
    elsewhere = replace(world.market.vendors[0], vendor_id="elsewhere", network="eip155:8453", base_price_per_hour=1)
    record_vendors(world.database, [elsewhere])
    run = world.finish(world.start())
    assert [job.quote.vendor_id for job in run.jobs] == ["gpu_vendor_1"]


def test_failure_and_switch(world: World) -> None:
    world.market.outcomes("gpu_vendor_1", "0")
    run = world.finish(world.start())
    assert run.status is RunStatus.COMPLETED
    first, second = run.jobs
    assert isinstance(first, Settled)
    assert isinstance(first.work, Failed)
    assert [first.quote.vendor_id, second.quote.vendor_id] == ["gpu_vendor_1", "gpu_vendor_2"]
    world.assert_balanced(run, transfers=2)
    payees = {vendor.vendor_id: vendor.pay_to.lower() for vendor in world.market.vendors}
    assert [t.payee for t in world.transfers()] == [payees["gpu_vendor_1"], payees["gpu_vendor_2"]]


def test_a_run_is_paid_on_its_own_network_alone(world: World) -> None:
    """The same key and database, and a shell that points at other money."""
    run = world.start()
    token = replace(world.ports.wallet.token, network="eip155:8453")
    wallet = LocalWallet(world.environment["X402_PRIVATE_KEY"], token)
    with pytest.raises(Refused, match="pays on eip155:31337, and X402_NETWORK is eip155:8453"):
        tick(run.run_id, replace(world.ports, wallet=wallet))
    assert world.store.load(run.run_id) == run
