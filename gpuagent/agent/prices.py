"""What a try of an order costs at each vendor, before there is a run. Signs, reserves and saves nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from gpuagent.agent import market
from gpuagent.agent.start import Order, prepare
from gpuagent.core.money import show_usd
from gpuagent.core.ports import Ports
from gpuagent.errors import BadInput


@dataclass(frozen=True, slots=True)
class Prices:
    """What one job of these GPU hours costs. amounts: atomic units, by vendor that quoted. problems: of the others.

    count: how many of them are to be completed.
    """

    gpu_type: str
    hours: Decimal
    amounts: Mapping[str, int]
    problems: Mapping[str, str]
    count: int = 1

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
    candidates = market.survey(run, ports.store.policy(), ports).context.candidates
    return Prices(
        run.gpu_type,
        run.max_hours,
        {candidate.vendor_id: candidate.amount for candidate in candidates if candidate.amount is not None},
        {candidate.vendor_id: candidate.problem for candidate in candidates if candidate.amount is None},
        run.count,
    )


def check_budget(order: Order, ports: Ports) -> None:
    """Raises BadInput where the order's budget pays for no try of each job at any vendor, and as prices() does."""
    if problem := prices(order, ports).shortfall(order.budget):
        raise BadInput(f"not started: {problem}")
