"""The same scenario end to end: a real run that buys from the mock vendor over HTTP, with the same outcomes and prices.

The clock is turned by one job length per decision, so a deterministic planner must decide as it does in memory. The
agent knows no deadline, only how many jobs it may try: where few ticks are left and waiting is weighed, the two differ.
What it cannot be told is refused: refunds, or more sellers than there are vendors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import zip_longest
from typing import Any, Protocol

from rich.markup import escape
from rich.table import Table

from gpuagent.agent.approve import cancel
from gpuagent.agent.start import Order, prepare
from gpuagent.core.context import PastJob
from gpuagent.core.model import Run, RunStatus, Vendor
from gpuagent.core.money import usd
from gpuagent.core.ports import Planner, Ports
from gpuagent.core.transitions import has_open_job, is_over
from gpuagent.errors import BadInput
from gpuagent.planbench.answers import Asker, Memory, Purse
from gpuagent.planbench.play import Play, sampled
from gpuagent.planbench.scenarios import EPOCH, Market, Seller
from gpuagent.tick import step, tick

GPU = "A100"
"""Every scenario is bought as this one: its price is the vendors' base price."""
ELSEWHERE = "L4"
"""What a vendor offers that has not the GPU of the scenario."""
SETTLING_TICKS = 20


class Levers(Protocol):
    """What the practice market can be turned by."""

    def price(self, vendor_id: str, per_hour: Decimal) -> None:
        """USD, for later quotes."""
        ...

    def outcomes(self, vendor_id: str, script: str) -> None:
        """The vendor's next jobs, one character each: 1 completes, 0 fails."""
        ...

    def pass_time(self, seconds: float) -> None:
        """Everybody's clock: the chain's, the vendors', the agent's."""
        ...


class Records(Protocol):
    """Where the vendors are recorded."""

    def put_vendor(self, vendor: Vendor, at: float) -> None: ...


class Observed(Protocol):
    """Where a run's documents are read."""

    def documents(self, run_id: str) -> Mapping[str, Sequence[Mapping[str, Any]]]: ...


@dataclass(frozen=True, slots=True)
class Step:
    """A decision, by the scenario's names."""

    action: str
    vendor_id: str
    reason: str = ""

    @property
    def choice(self) -> tuple[str, str]:
        return self.action, self.vendor_id


class Stage:
    """A scenario set up on a practice market. Its history is bought for, too: real jobs of earlier runs."""

    def __init__(
        self, market: Market, vendors: Sequence[Vendor], ports: Ports, records: Records, reads: Observed, levers: Levers
    ) -> None:
        """vendors: of the practice market, at least as many as there are sellers. Raises BadInput."""
        if len(vendors) < len(market.sellers):
            raise BadInput(f"{market.scenario} has {len(market.sellers)} sellers: start {len(market.sellers)} vendors")
        if market.truth.refund or any(seller.refund for seller in market.sellers):
            raise BadInput(f"{market.scenario} has refunds, which no vendor's quote can promise: play it in memory")
        self._market, self._ports, self._reads, self._levers = market, ports, reads, levers
        self._vendors = dict(zip((one.vendor_id for one in market.sellers), vendors, strict=False))
        self._names = {vendor.vendor_id: name for name, vendor in self._vendors.items()}
        for vendor in vendors:
            seller = next((one for one in market.sellers if self._vendors[one.vendor_id] == vendor), None)
            records.put_vendor(self._recorded(vendor, seller), ports.clock.now())

    def play(self, planner: str, replicate: int) -> tuple[Run, list[Step]]:
        """Buy the history, then let the planner run. The run at its end, and what it decided, tick by tick."""
        self._relive()
        run = self._started(planner, self._market.budget, self._market.ticks)
        tried: dict[str, int] = {}
        for at in range(self._market.ticks):
            for seller in self._market.sellers:
                name = seller.vendor_id
                self._levers.price(self._vendors[name].vendor_id, usd(self._market.price(seller, at)))
                outcome = self._market.outcome(name, tried.get(name, 0), at, replicate)
                self._levers.outcomes(self._vendors[name].vendor_id, str(int(outcome)))
            known = len(run.jobs)
            run = tick(run.run_id, self._ports)
            for job in run.jobs[known:]:
                name = self._names[job.quote.vendor_id]
                tried[name] = tried.get(name, 0) + 1
            if is_over(run):
                break
            self._levers.pass_time(self._market.job_s)
        return self._stopped(run), self._decided(run)

    def _relive(self) -> None:
        """Earlier runs of one job each, as far apart as they were; the run begins when it is tick 0."""
        now = None
        for job in self._market.past:
            if now is not None and job.started_at > now:
                self._levers.pass_time(job.started_at - now)
            self._buy(job)
            now = job.ended_at
        if now is not None and now < EPOCH:
            self._levers.pass_time(EPOCH - now)

    def _buy(self, job: PastJob) -> None:
        if self._market.gpu_type not in self._market.seller(job.vendor_id).gpu_types:
            self._levers.pass_time(float(job.hours) * 3600)  # no candidate: the agent is not told of its past
            return
        vendor = self._vendors[job.vendor_id]
        self._levers.price(vendor.vendor_id, usd(job.amount) / job.hours)
        self._levers.outcomes(vendor.vendor_id, str(int(job.succeeded)))
        run = tick(self._started("stub", job.amount, 1, vendor.vendor_id).run_id, self._ports)
        self._levers.pass_time(float(job.hours) * 3600)
        if not self._ended(run).jobs:
            raise BadInput(f"{self._market.scenario}: its history cannot be bought: {run.reason}")

    def _started(self, planner: str, budget: int, jobs_max: int, *vendor_ids: str) -> Run:
        order = Order(self._market.goal, budget, GPU, self._market.hours, planner=planner, vendor_ids=tuple(vendor_ids))
        run = replace(prepare(order, self._ports), jobs_max=jobs_max)
        self._ports.store.create(run)
        return run

    def _stopped(self, run: Run) -> Run:
        """The deadline, of which the agent knows nothing: what is open comes to its end, nothing new is begun."""
        for _ in range(SETTLING_TICKS):
            if not has_open_job(run):
                break
            run = step(run.run_id, self._ports)  # a step with an open job does not plan
        if run.status is RunStatus.RUNNING:
            run = cancel(run.run_id, "planbench", "the scenario is over", self._ports.store, self._ports.clock)
        return self._ended(run)

    def _ended(self, run: Run) -> Run:
        """Ticked until nothing is undecided."""
        for _ in range(SETTLING_TICKS):
            run = tick(run.run_id, self._ports)
            if is_over(run):
                return run
        raise BadInput(f"{self._market.scenario}: run {run.run_id} does not end: tick it and look at it")

    def _decided(self, run: Run) -> list[Step]:
        seen = self._reads.documents(run.run_id)["observations"]
        made = [one for one in seen if one["type"] == "agent_reasoning" and one["data"].get("decision")]
        return [
            Step(
                one["data"]["decision"]["action"],
                self._names.get(one["data"]["decision"]["vendorId"], ""),
                one["content"],
            )
            for one in made
        ]

    def _recorded(self, vendor: Vendor, seller: Seller | None) -> Vendor:
        """The vendor as the scenario has it; one that plays no part is not enabled."""
        if seller is None:
            return replace(vendor, enabled=False)
        sells = self._market.gpu_type in seller.gpu_types
        unknown = 0.5  # a vendor's record has to name some reliability, and this is what unknown counts as
        reliability = unknown if seller.reliability is None else seller.reliability
        return replace(
            vendor,
            reliability=reliability,
            base_price_per_hour=seller.price,
            gpu_types=(GPU,) if sells else (ELSEWHERE,),
        )


def in_memory(market: Market, planner: Planner, replicate: int) -> tuple[Play, list[Step]]:
    """The same, played in memory."""
    play = sampled(market, planner.name, Asker(planner, Memory(), Purse()), replicate)
    return play, [Step(move.action, move.vendor_id, move.reason) for move in play.moves]


def steps_table(bought: Sequence[Step], expected: Sequence[Step]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("", "over HTTP", "in memory", "", "why"):
        table.add_column(column)
    for number, (one, other) in enumerate(zip_longest(bought, expected)):
        mark = "=" if one and other and one.choice == other.choice else "≠"
        words = (escape(" ".join(step.choice).strip()) if step else "" for step in (one, other))
        table.add_row(str(number), *words, mark, escape((one or other).reason))
    return table


def steps_json(run: Run, bought: Sequence[Step], expected: Sequence[Step]) -> dict[str, Any]:
    def told(steps: Sequence[Step]) -> list[dict[str, str]]:
        return [{"action": one.action, "vendorId": one.vendor_id, "reason": one.reason} for one in steps]

    same = [one.choice for one in bought] == [one.choice for one in expected]
    return {"same": same, "status": run.status.value, "overHttp": told(bought), "inMemory": told(expected)}
