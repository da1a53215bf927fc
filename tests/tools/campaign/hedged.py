"""The hedge of a campaign: brought about by clocks and kills, whatever the dice say, and left to the tickers."""

from collections.abc import Callable

from gpuagent.core.model import Run, Settled
from gpuagent.core.work import Underway
from tests.support.crash import tick_until_killed
from tests.support.world import World

HEDGE_AFTER_S = 60
POINTS = ("after_reserve", "after_send")
"""Where ticks of the hedge die: once it is reserved, and once its vendor has its payment."""


def hedge_and_die(world: World, budget_usd: float, turn_clocks: Callable[[int], None]) -> Run:
    """A run whose job is late, as ticks have left it that died over its hedge: that is paid, and the run knows not.

    The late vendor is none that a campaign sells without faults, and works on from then.
    """
    names = tuple(vendor.vendor_id for vendor in world.market.vendors[:-1])
    run = world.tick(world.start(budget_usd, vendor_ids=names, hedge_after=HEDGE_AFTER_S))
    (late,) = run.jobs
    assert isinstance(late, Settled), run
    assert isinstance(late.work, Underway), run
    stuck = {"vendorId": late.quote.vendor_id, "name": "stuck"}
    world.market.fault(stuck["vendorId"], stuck["name"])
    turn_clocks(int(late.quote.eta_s) + HEDGE_AFTER_S + 1)
    for point in POINTS:
        run = tick_until_killed(world, run, point)
    world.market.control("DELETE", "faults", **stuck)
    assert [job.quote.hedges for job in run.jobs] == ["", late.job_id]
    return run
