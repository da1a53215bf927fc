"""Vendors that cannot serve, without malice. What malice does is in tests/safety."""

from gpuagent.model import RunStatus, Settled
from tests.world import World


def test_a_vendor_that_is_down_is_passed_over(world: World) -> None:
    world.market.fault("gpu_vendor_1", "down")
    run = world.finish(world.start())
    assert run.status is RunStatus.COMPLETED
    assert [job.quote.vendor_id for job in run.jobs if isinstance(job, Settled)] == ["gpu_vendor_2"]
    world.assert_balanced(run, transfers=1)


def test_nobody_can_serve(world: World) -> None:
    for vendor in world.market.vendors:
        world.market.fault(vendor.vendor_id, "overpriced")
    run = world.finish(world.start())
    assert run.status is RunStatus.FAILED
    assert "gpu_vendor_1" in run.reason
    assert "1400.00 USD" in run.reason
    world.assert_balanced(run, transfers=0)


def test_silent_vendors_are_waited_for_and_then_given_up(world: World) -> None:
    for vendor in world.market.vendors:
        world.market.fault(vendor.vendor_id, "down")
    run = world.tick(world.start())
    assert run.status is RunStatus.RUNNING
    assert run.wait_until > world.market.clock.now()
    for _ in range(4):
        world.market.pass_time(300)
        run = world.tick(run)
    assert run.status is RunStatus.FAILED
    assert "gave no quote" in run.reason
    world.assert_balanced(run, transfers=0)
