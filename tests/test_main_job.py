"""The main job on real parts: buy, pay, follow, switch vendors, balance."""

from gpuagent.model import Completed, Failed, RunStatus, Settled
from tests.world import World


def test_happy_path(world: World) -> None:
    run = world.finish(world.start())
    assert run.status is RunStatus.COMPLETED
    (job,) = run.jobs
    assert isinstance(job, Settled)
    assert isinstance(job.work, Completed)
    assert job.quote.vendor_id == "gpu_vendor_1"
    assert job.work.artifact_url
    assert job.work.final_metrics
    world.assert_balanced(run, transfers=1)


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
