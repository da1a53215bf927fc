"""The form that starts a run. Each field says beside itself what is wrong with it, and nothing starts until none is."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import ipywidgets as w

from gpuagent.agent.dry_run import DryRun, simulate
from gpuagent.agent.start import GOAL_MAX, HOURS_MAX, TAG_MAX, Order, prepare, start
from gpuagent.core.model import HOURS_MIN, Run, Vendor
from gpuagent.core.money import parse_usd, show_usd
from gpuagent.core.policy import LIMITS, Policy
from gpuagent.errors import BadInput
from gpuagent.panels.dry_run import rehearsed
from gpuagent.panels.kit.fields import Field, button, card, choice, problems, row, text, written
from gpuagent.panels.kit.html import el
from gpuagent.panels.kit.message import Message, html, shown
from gpuagent.panels.kit.tasks import Bridge, Errand
from gpuagent.panels.limits_form import NAMES
from gpuagent.session import Desk

WIDE = "520px"
FORM = ("goal", "gpu", "hours", "budget", "planner", "model", "tags")


class LaunchForm:
    """widget: the form. opened: called with a run that it has started."""

    def __init__(self, desk: Desk, bridge: Bridge, who: Callable[[], str], opened: Callable[[Run], None]) -> None:
        self._desk, self._who, self._opened = desk, who, opened
        self.message = Message()
        self._errand = Errand(bridge, self.message, self._draw)
        self._vendors = [vendor for vendor in desk.agent.store.vendors() if vendor.enabled]
        self.fields = self._fields()
        self.vendors = {vendor.vendor_id: _tick(vendor) for vendor in self._vendors}
        self._none, self.caps = html(), html()
        for box in self.vendors.values():
            box.observe(lambda _: self._draw(), "value")
        self.launch = button("Launch", self._launch, "primary", "Write the run down; it moves when it is ticked")
        self.dry_run = button("Dry run", self._rehearse, tip="Show what would be paid; signs nothing")
        vendors = [html(el("b", "Vendors")), *self.vendors.values(), self._none]
        self.widget = card(
            w.HBox(
                [
                    w.VBox([self.fields[name].box for name in FORM], layout=w.Layout(flex="0 1 700px")),
                    w.VBox(vendors, layout=w.Layout(flex="1 1 260px")),
                ],
                layout=w.Layout(flex_flow="row wrap", grid_gap="0 18px"),
            ),
            self.caps,
            row(self.launch, self.dry_run),
            self.message.widget,
        )
        self._draw()

    def show(self, policy: Policy) -> None:
        caps = {NAMES[name].lower(): getattr(policy, name) for name in LIMITS}
        told = ", ".join(f"{name}: {show_usd(cap)}" for name, cap in caps.items() if cap is not None)
        words = f"Limits in force: {told or 'none'}. Change them under Limits."
        self.caps.value = shown(el("p", words, class_="faint"))

    def order(self) -> Order:
        """What stands in the form. Raises BadInput, after saying so beside the fields."""
        read = {name: field.problem() for name, field in self.fields.items()}
        wrong = [name for name, problem in read.items() if problem]
        chosen = self._chosen()
        if wrong or not chosen:
            raise BadInput("not started: " + ", ".join([*wrong, *([] if chosen else ["vendors"])]) + " need attention")
        fields = self.fields
        planner, model = fields["planner"].read(), fields["model"].read()
        return Order(
            goal=fields["goal"].read(),
            budget=fields["budget"].read(),
            gpu_type=fields["gpu"].read(),
            max_hours=fields["hours"].read(),
            user_id=self._who(),
            planner=f"{planner}:{model}" if model and planner == "llm" else planner,
            vendor_ids=() if len(chosen) == len(self.vendors) else tuple(chosen),
            tags=fields["tags"].read(),
        )

    def _fields(self) -> dict[str, Field[Any]]:
        types = sorted({gpu for vendor in self._vendors for gpu in vendor.gpu_types}) or ["A100"]
        planner = choice("Planner", list(self._desk.agent.ports.planners))
        planner.value = self._desk.settings.planner
        goal = text("Goal", "Fine-tune tiny-llm", width=WIDE)
        return {
            "goal": Field(goal, written("say what the run is for", GOAL_MAX), self._draw),
            "gpu": Field(choice("GPU type", types), str, self._draw),
            "hours": Field(text("Hours", "1"), _hours, self._draw),
            "budget": Field(text("Budget, USD", "5.00"), _budget, self._draw),
            "planner": Field(planner, str, self._draw),
            "model": Field(text("Model", hint="as the environment names it", width=WIDE), str.strip, self._draw),
            "tags": Field(text("Tags", hint="for caps and reports; commas between", width=WIDE), _tags, self._draw),
        }

    def _chosen(self) -> list[str]:
        return [vendor_id for vendor_id, box in self.vendors.items() if box.value]

    def _draw(self) -> None:
        if not hasattr(self, "launch"):
            return  # a field is being made
        wrong = bool(problems(self.fields.values())) or not self._chosen()
        self.launch.disabled = self.dry_run.disabled = wrong or self._errand.busy
        self.fields["model"].widget.disabled = self.fields["planner"].widget.value != "llm"
        missing = "choose at least one" if self.vendors else "none recorded: `gpuagent vendor seed` does"
        words = "" if self._chosen() else missing
        self._none.value = shown(el("span", words, class_="bad", role="alert"))

    def _launch(self) -> None:
        self._with_order("Starting", lambda order: start(order, self._desk.agent.ports), self._started)

    def _started(self, run: Run) -> None:
        self.message.clear()
        self._opened(run)

    def _rehearse(self) -> None:
        ports = self._desk.agent.ports
        self._with_order("Asking for quotes", lambda order: simulate(prepare(order, ports), ports), self._rehearsed)

    def _rehearsed(self, found: DryRun) -> None:
        self.message.say(rehearsed(found))

    def _with_order(self, doing: str, work: Callable[[Order], Any], done: Callable[[Any], None]) -> None:
        try:
            order = self.order()
        except BadInput as error:
            self.message.error(str(error))
            return
        self._errand.run(doing, lambda: work(order), done)


def _tick(vendor: Vendor) -> Any:
    words = f"{vendor.vendor_id}, {show_usd(vendor.base_price_per_hour)}/h, advertises {vendor.reliability:.0%}"
    return w.Checkbox(value=True, description=words, indent=False, layout=w.Layout(width="auto"))


def _hours(value: str) -> Decimal:
    try:
        hours = Decimal(value.strip())
    except InvalidOperation:
        raise BadInput("a number of GPU hours, such as 1 or 0.5") from None
    if not hours.is_finite() or not HOURS_MIN <= hours <= HOURS_MAX:
        raise BadInput(f"at least {HOURS_MIN} and at most {HOURS_MAX} hours")
    return hours


def _budget(value: str) -> int:
    amount = parse_usd(value.strip())
    if amount <= 0:
        raise BadInput("more than 0 USD")
    return amount


def _tags(value: str) -> tuple[str, ...]:
    tags = tuple(dict.fromkeys(filter(None, (tag.strip() for tag in value.split(",")))))
    if any(len(tag) > TAG_MAX or not tag.isprintable() for tag in tags):
        raise BadInput(f"each tag is a text of 1 to {TAG_MAX} characters")
    return tags
