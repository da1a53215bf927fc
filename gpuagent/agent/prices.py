"""What a try of an order costs at each vendor, before there is a run. Signs, reserves and saves nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from gpuagent.agent import market
from gpuagent.agent.plan import capped
from gpuagent.agent.start import Order, prepare
from gpuagent.core.money import show_usd
from gpuagent.core.ports import Ports
from gpuagent.errors import BadInput


@dataclass(frozen=True, slots=True)
class Prices:
    """What one job of these GPU hours costs. amounts: atomic units, by vendor that quoted. problems: of the others.

    count: how many of them are to be completed. capped: why the policy's caps can never let all of them be bought, ""
    where they may.
    """

    gpu_type: str
    hours: Decimal
    amounts: Mapping[str, int]
    problems: Mapping[str, str]
    count: int = 1
    capped: str = ""

    @property
    def cheapest(self) -> str:
        """The vendor with the lowest quote; "" where none quoted."""
        return min(self.amounts, key=lambda vendor_id: self.amounts[vendor_id], default="")

    @property
    def purchase(self) -> str:
        return f"{float(self.hours):g} h of {self.gpu_type}"

    def shortfall(self, budget: int) -> str:
        """Why the budget, in atomic units, pays for no try of each job; "" where it does, or no vendor quoted."""
        if not self.cheapest or self.amounts[self.cheapest] * self.count <= budget:
            return ""
        price = f"{show_usd(self.amounts[self.cheapest] * self.count)}, at {self.cheapest}"
        if self.count > 1:
            return f"{show_usd(budget)} cannot complete {self.count} jobs: {self.purchase} each cost at least {price}"
        return f"{show_usd(budget)} pays for no try: {self.purchase} costs at least {price}"


def prices(order: Order, ports: Ports) -> Prices:
    """Live quotes for the order's first job. Raises as prepare() does, and VendorUnauthorized."""
    run = prepare(order, ports)
    survey = market.survey(run, ports.store.policy(), ports)
    candidates = survey.context.candidates
    is_silent = any(candidate.amount is None and not candidate.refusals for candidate in candidates)
    return Prices(
        run.gpu_type,
        run.max_hours,
        {candidate.vendor_id: candidate.amount for candidate in candidates if candidate.amount is not None},
        {candidate.vendor_id: candidate.problem for candidate in candidates if candidate.amount is None},
        run.count,
        "" if run.count == 1 or is_silent or not survey.context.cheapest else capped(survey, run.count),
    )


def check_budget(order: Order, ports: Ports) -> None:
    """Raises BadInput where the order's budget pays for no try of each job at any vendor, or the policy's caps can
    never let all jobs be bought, and as prices() does."""
    offers = prices(order, ports)
    if problem := offers.shortfall(order.budget) or offers.capped:
        raise BadInput(f"not started: {problem}")
