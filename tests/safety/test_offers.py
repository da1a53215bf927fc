"""Rows of the 402: what a vendor asks for is not what was agreed."""

from collections.abc import Callable

from gpuagent.model import RunStatus
from tests.safety.seen import Seen
from tests.world import World

Observed = Callable[..., Seen]


def test_01_price_raised_between_quote_and_402(world: World, observed: Observed) -> None:
    """The 402 asks for twice the quoted price.

    Signs nothing, releases the hold and buys elsewhere.
    """
    world.market.fault("gpu_vendor_1", "raise_price")
    run = world.finish(world.start())
    assert run.status is RunStatus.COMPLETED
    seen = observed(world, run)
    assert len(seen.received) == seen.transfers == 1
    world.assert_balanced(run, transfers=1)
