"""Scenarios end to end: a real run buys from the mock vendor over HTTP, with the scenario's outcomes and prices.

The clock advances by one job length per tick, so a deterministic planner must decide as it does in memory. In a tick a
run with one job decides once, one with several as often as a further job may be open. The agent knows no deadline, only
how many jobs it may try: where few ticks are left and waiting is weighed, the two differ.
Scenarios with refunds, with late jobs, or with more sellers than there are vendors, are refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

from gpuagent.agent.approve import cancel
from gpuagent.agent.start import Order, prepare
from gpuagent.core.context import Context, PastJob, Thought
from gpuagent.core.indices import tries_max
from gpuagent.core.model import Action, Decision, Run, RunStatus, Vendor
from gpuagent.core.money import usd
from gpuagent.core.ports import Ports
from gpuagent.core.run_state import has_open_job
from gpuagent.core.steps import is_over
from gpuagent.errors import BadInput
from gpuagent.planbench.choices import Choice, recorded_choice, recorded_decisions
from gpuagent.planbench.scenarios import EPOCH, UNKNOWN_RELIABILITY, Market, Seller
from gpuagent.tick import tick

GPU = "A100"
"""Every scenario is bought as this GPU type: its price is the vendors' base price."""
OTHER_GPU = "L4"
"""Offered by a vendor that has not the GPU of the scenario."""
SETTLING_TICKS = 20


class MarketControls(Protocol):
    """Controls of a practice market: prices, outcomes, clocks."""

    def price(self, vendor_id: str, per_hour: Decimal) -> None:
        """Sets the price of later quotes, in USD."""
        ...

    def outcomes(self, vendor_id: str, script: str) -> None:
        """Sets how the vendor's next jobs end, one character each: 1 completes, 0 fails."""
        ...

    def pass_time(self, seconds: float) -> None:
        """Advances every clock: the chain's, the vendors', the agent's."""
        ...


class VendorRecords(Protocol):
    """Writer of vendor records."""

    def put_vendor(self, vendor: Vendor, at: float) -> None: ...


class RunDocuments(Protocol):
    """Reader of a run's documents."""

    def documents(self, run_id: str) -> Mapping[str, Sequence[Mapping[str, Any]]]: ...


class WaitingPlanner:
    """A planner that begins nothing: the scenario is over, and what is open is to end."""

    name = "waiting"

    def decide(self, context: Context, objection: str = "") -> Thought:  # noqa: ARG002 - it waits for anything
        return Thought(Decision(Action.WAIT, "the scenario is over", wait_until=context.now + context.job_s))


class LiveScenario:
    """A scenario set up on a practice market. Its history is bought first, as real jobs of earlier runs."""

    def __init__(
        self,
        market: Market,
        vendors: Sequence[Vendor],
        ports: Ports,
        records: VendorRecords,
        reads: RunDocuments,
        controls: MarketControls,
    ) -> None:
        """vendors: of the practice market, at least as many as there are sellers. Raises BadInput."""
        if len(vendors) < len(market.sellers):
            raise BadInput(f"{market.scenario} has {len(market.sellers)} sellers: start {len(market.sellers)} vendors")
        if market.truth.refund or any(seller.refund for seller in market.sellers):
            raise BadInput(f"{market.scenario} has refunds, which no vendor's quote can promise: play it in memory")
        if market.truth.delays or market.hedge_after:
            raise BadInput(f"{market.scenario} has late jobs, which a practice market does not have: play it in memory")
        self._market, self._ports, self._reads, self._controls = market, ports, reads, controls
        roles = dict(zip(market.sellers, vendors, strict=False))
        self._vendors = {seller.vendor_id: vendor for seller, vendor in roles.items()}
        self._names = {vendor.vendor_id: name for name, vendor in self._vendors.items()}
        sellers = {vendor.vendor_id: seller for seller, vendor in roles.items()}
        for vendor in vendors:
            records.put_vendor(self._in_role(vendor, sellers.get(vendor.vendor_id)), ports.clock.now())

    def play(self, planner: str, replicate: int) -> tuple[Run, list[Choice]]:
        """Buys the history, then lets the planner run. The run at its end, and the planner's choices in order."""
        self._buy_history()
        run = self._start_played(planner)
        attempts: dict[str, int] = {}
        for at in range(self._market.ticks):
            self._set_market(at, attempts, replicate)
            job_count = len(run.jobs)
            run = tick(run.run_id, self._ports)
            for job in run.jobs[job_count:]:
                name = self._names[job.quote.vendor_id]
                attempts[name] = attempts.get(name, 0) + 1
            if is_over(run):
                break
            self._controls.pass_time(self._market.job_s)
        choices = self._choices(run)
        return self._stop(run), choices

    def _set_market(self, at: int, attempts: Mapping[str, int], replicate: int) -> None:
        """Prices and next outcomes of tick `at`. attempts: jobs of the run so far, by seller."""
        for seller in self._market.sellers:
            name = seller.vendor_id
            vendor_id = self._vendors[name].vendor_id
            first = attempts.get(name, 0)
            outcomes = (self._market.outcome(name, first + job, at, replicate) for job in range(self._market.at_once))
            self._controls.price(vendor_id, usd(self._market.price(seller, at)))
            self._controls.outcomes(vendor_id, "".join(str(int(outcome)) for outcome in outcomes))

    def _buy_history(self) -> None:
        """Earlier runs of one job each, as far apart as in the scenario, up to its tick 0."""
        now = None
        for job in self._market.past:
            if now is not None and job.started_at > now:
                self._controls.pass_time(job.started_at - now)
            self._buy(job)
            now = job.ended_at
        if now is not None and now < EPOCH:
            self._controls.pass_time(EPOCH - now)

    def _buy(self, job: PastJob) -> None:
        if self._market.gpu_type not in self._market.seller(job.vendor_id).gpu_types:
            # The vendor is no candidate, so its past jobs are not in the agent's context.
            self._controls.pass_time(float(job.hours) * 3600)
            return
        vendor = self._vendors[job.vendor_id]
        self._controls.price(vendor.vendor_id, usd(job.amount) / job.hours)
        self._controls.outcomes(vendor.vendor_id, str(int(job.succeeded)))
        order = self._order("stub", job.amount, vendor_ids=(vendor.vendor_id,))
        run = tick(self._start(order, jobs_max=1).run_id, self._ports)
        self._controls.pass_time(float(job.hours) * 3600)
        if not self._finish(run).jobs:
            raise BadInput(f"{self._market.scenario}: its history cannot be bought: {run.reason}")

    def _start_played(self, planner: str) -> Run:
        """The scenario's run. With one job it may try as many as there are ticks; with several as every such run."""
        market = self._market
        order = self._order(planner, market.budget, count=market.count, jobs_open_max=market.at_once)
        return self._start(order, market.ticks if market.count == 1 else tries_max(market.count))

    def _order(self, planner: str, budget: int, **terms: Any) -> Order:
        return Order(self._market.goal, budget, GPU, self._market.hours, planner=planner, **terms)

    def _start(self, order: Order, jobs_max: int) -> Run:
        run = replace(prepare(order, self._ports), jobs_max=jobs_max)
        self._ports.store.create(run)
        return run

    def _stop(self, run: Run) -> Run:
        """The run at the scenario's deadline, which the agent does not know: open jobs end, no new job starts."""
        waiting = dict.fromkeys(self._ports.planners, WaitingPlanner())
        for _ in range(SETTLING_TICKS):
            if not has_open_job(run):
                break
            run = tick(run.run_id, replace(self._ports, planners=waiting))
        if run.status is RunStatus.RUNNING:
            run = cancel(run.run_id, "planbench", "the scenario is over", self._ports.store, self._ports.clock)
        return self._finish(run)

    def _finish(self, run: Run) -> Run:
        """The run, ticked until nothing is undecided."""
        for _ in range(SETTLING_TICKS):
            run = tick(run.run_id, self._ports)
            if is_over(run):
                return run
        raise BadInput(f"{self._market.scenario}: run {run.run_id} does not end: tick it and look at it")

    def _choices(self, run: Run) -> list[Choice]:
        """The run's recorded choices, with the scenario's names of vendors."""
        observations = self._reads.documents(run.run_id)["observations"]
        choices = map(recorded_choice, recorded_decisions(observations))
        return [replace(choice, vendor_id=self._names.get(choice.vendor_id, "")) for choice in choices]

    def _in_role(self, vendor: Vendor, seller: Seller | None) -> Vendor:
        """The vendor's record with the seller's offer; disabled without a seller."""
        if seller is None:
            return replace(vendor, enabled=False)
        has_gpu = self._market.gpu_type in seller.gpu_types
        return replace(
            vendor,
            reliability=UNKNOWN_RELIABILITY if seller.reliability is None else seller.reliability,
            base_price_per_hour=seller.price,
            gpu_types=(GPU,) if has_gpu else (OTHER_GPU,),
        )
