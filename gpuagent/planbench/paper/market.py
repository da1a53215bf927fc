"""A paper market: one run on a scenario, behind the ports of the agent, in memory.

The agent that buys here is the real one: its tick, its transitions, its guard.
"""

from collections.abc import Mapping
from typing import cast

from gpuagent.core.indices import tries_max
from gpuagent.core.model import NO_HEDGING, Hedging, Run
from gpuagent.core.pace import Pace
from gpuagent.core.ports import Ports
from gpuagent.core.ports.files import FileStore
from gpuagent.core.ports.planner import Planner
from gpuagent.planbench.paper.payments import PAYER, TOKEN, PaperClock, PaperPayments
from gpuagent.planbench.paper.store import RUN_ID, PaperStore
from gpuagent.planbench.paper.vendors import PaperVendors
from gpuagent.planbench.scenarios import Market

USER = "planbench"


class PaperMarket:
    """One run on one market, with one replicate of its outcomes, behind the ports of an agent."""

    def __init__(self, market: Market, replicate: int, planner: str) -> None:
        self._clock = PaperClock(market)
        # What comes late is waited for as long as the scenario goes on: its deadline ends it, and no patience does.
        self._pace = Pace(patience_s=(market.ticks + 1) * market.job_s)
        self._store = PaperStore(market, self._clock, _run(market, planner, self._clock.now()))
        self._payments = PaperPayments(market, self._clock)
        self._vendors = PaperVendors(market, self._clock, self._payments, replicate)

    @property
    def run(self) -> Run:
        return self._store.run

    def turn_to(self, tick: int) -> None:
        """Sets every clock to the beginning of a tick of the scenario."""
        self._clock.tick = tick

    def ports(self, planners: Mapping[str, Planner]) -> Ports:
        """The ports of an agent with these planners."""
        no_files = cast("FileStore", None)  # a run without a workload has none
        return Ports(
            self._store, planners, self._payments, self._payments, self._vendors, self._clock, no_files, self._pace
        )


def _run(market: Market, planner: str, at: float) -> Run:
    return Run(
        run_id=RUN_ID,
        user_id=USER,
        goal=market.goal,
        budget=market.budget,
        gpu_type=market.gpu_type,
        max_hours=market.hours,
        planner=planner,
        payer=PAYER,
        created_at=at,
        network=TOKEN.network,
        count=market.count,
        jobs_open_max=market.at_once,
        jobs_max=tries_max(market.count),
        hedging=_hedging(market),
    )


def _hedging(market: Market) -> Hedging:
    """The run's rule for late jobs. Half a tick less than the scenario says, so that no rounding makes it one more."""
    return Hedging(max(1, int((market.hedge_after - 0.5) * market.job_s))) if market.hedge_after else NO_HEDGING
