"""The vendors that a run may buy from, each with what it asks for the chosen GPU, and what a try costs."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import ipywidgets as w

from gpuagent.agent.prices import Prices, prices
from gpuagent.agent.start import Order
from gpuagent.core.gpus import spelling
from gpuagent.core.model import Vendor
from gpuagent.core.money import show_usd
from gpuagent.core.rights import Right
from gpuagent.errors import BadInput, GpuAgentError
from gpuagent.panels.kit.html import Html, el
from gpuagent.panels.kit.message import html_widget, styled
from gpuagent.panels.kit.tasks import Tasks
from gpuagent.session import Session

GOAL = "ask for prices"
PROBLEM_MAX = 80


class VendorChoice:
    """A box for each enabled vendor, with its price. widget: the boxes, and below them the cost of a try."""

    SETTLE_S = 0.5
    """Seconds without a change of the form, after which the vendors are asked for their prices."""

    def __init__(
        self,
        session: Session,
        tasks: Tasks,
        terms: Callable[[], tuple[str, Decimal, int]],
        changed: Callable[[], None],
    ) -> None:
        """terms: the form's GPU type, hours and budget, of 0 where that is wrong; raises BadInput."""
        self._session, self._tasks, self._terms = session, tasks, terms
        self.vendors = [vendor for vendor in session.agent.store.vendors() if vendor.enabled]
        self.boxes = {
            vendor.vendor_id: w.Checkbox(value=True, indent=False, layout=w.Layout(width="auto"))
            for vendor in self.vendors
        }
        self._problem, self.cost = html_widget(), html_widget()
        self._requests = 0
        self._asked: tuple[str, Decimal] | None = None
        self._prices: Prices | None = None
        self.widget = w.VBox(
            [html_widget(el("b", "Vendors")), *self.boxes.values(), self._problem, self.cost],
            layout=w.Layout(flex="1 1 260px"),
        )
        for box in self.boxes.values():
            box.observe(lambda _: changed(), "value")
        self.draw()

    @property
    def chosen(self) -> list[str]:
        return [vendor_id for vendor_id, box in self.boxes.items() if box.value]

    def draw(self) -> None:
        """Show the prices that are known for the GPU and the hours that are in the form now."""
        hint = "choose at least one" if self.boxes else "none is recorded: run `gpuagent vendor seed`"
        self._problem.value = styled(el("span", "" if self.chosen else hint, class_="bad", role="alert"))
        try:
            gpu_type, hours, budget = self._terms()
        except BadInput:
            gpu_type, hours, budget = "", Decimal(0), 0  # what is wrong stands beside its field
        prices = self._prices if self._asked == (gpu_type, hours) else None
        for vendor in self.vendors:
            advertised = f"advertises {vendor.reliability:.0%}"
            price = _price(vendor, gpu_type, hours, prices)
            self.boxes[vendor.vendor_id].description = f"{vendor.vendor_id}, {price}, {advertised}"
        if prices:
            self.cost.value = styled(_cost(prices, self.chosen, budget))

    def ask_soon(self, again: bool = False) -> None:
        """Ask the vendors, once the form has not changed for a while. again: though GPU and hours are as they were."""
        self._requests += 1
        request = self._requests
        if again:
            self._asked = None
        self._tasks.call(lambda: self._tasks.later(self.SETTLE_S, lambda: self._ask(request)))

    def _ask(self, request: int) -> None:
        if request == self._requests and self._tasks.rights.has(Right.OPERATE):
            self._tasks.spawn(self._refresh)

    async def _refresh(self) -> None:
        try:
            gpu_type, hours, _ = self._terms()
        except BadInput:
            return
        if self._asked == (gpu_type, hours):
            return
        order = Order(GOAL, 1, gpu_type, hours)
        self.cost.value = styled(el("p", "Asking for prices …", class_="faint", role="status"))
        try:
            answer = await asyncio.to_thread(prices, order, self._session.agent.ports)
        except GpuAgentError as error:
            self.cost.value = styled(el("p", f"No prices: {error}", class_="faint", role="status"))
            return
        self._asked, self._prices = (gpu_type, hours), answer
        self.draw()


def _price(vendor: Vendor, gpu_type: str, hours: Decimal, prices: Prices | None) -> str:
    """What the vendor asks for an hour, or why there is no price."""
    if gpu_type and not spelling(gpu_type, vendor.gpu_types):
        return f"no {gpu_type}"
    if prices is None:
        return "price not asked yet"
    if (amount := prices.amounts.get(vendor.vendor_id)) is not None:
        return f"{show_usd(round(amount / hours))}/h"
    return f"no price: {prices.problems.get(vendor.vendor_id, 'not asked')[:PROBLEM_MAX]}"


def _cost(prices: Prices, chosen: list[str], budget: int) -> Html:
    """The cost of a try at the chosen vendors, and how many the budget, in atomic units, pays for."""
    amounts = {vendor_id: amount for vendor_id, amount in prices.amounts.items() if vendor_id in chosen}
    offered = Prices(prices.gpu_type, prices.hours, amounts, prices.problems)
    if not offered.cheapest:
        return el("p", "No chosen vendor has a price for that now.", class_="bad", role="status")
    if budget and (problem := offered.shortfall(budget)):
        return el("p", f"{problem}. Raise the budget, or buy fewer hours.", class_="bad", role="alert")
    low, high = show_usd(min(amounts.values())), show_usd(max(amounts.values()))
    text = f"A try of {offered.purchase} costs {low if low == high else f'{low} to {high}'}"
    if budget:
        text += f"; the budget pays for {budget // min(amounts.values())} of the cheapest"
    return el("p", f"{text}. A vendor that fails may be paid too.", role="status")
