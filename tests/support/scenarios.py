"""Small scenarios whose plays can be computed by hand, scripted and priced planners, and the public files if any."""

import copy
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from gpuagent.core.context import Context, Thought
from gpuagent.core.model import Action, Decision
from gpuagent.planbench.files import parse
from gpuagent.planbench.play import PlannerAnswer
from gpuagent.planbench.scenarios import Market, markets

PUBLIC = Path(__file__).parents[3] / "shared" / "planbench" / "scenarios" / "public"
"""Published scenarios, which are not part of this repository; played where they are at hand."""

DOCUMENT: dict[str, Any] = {
    "schema": "planbench/1",
    "id": "two",
    "family": "honest",
    "run": {"goal": "Train", "gpuType": "A100", "budgetTotal": 10, "hoursRequired": 2, "deadlineTicks": 4},
    "vendors": [
        {"vendorId": "v1", "basePricePerHour": 2, "reliabilityScore": 0.5, "supportedGpuTypes": ["A100", "L4"]},
        {
            "vendorId": "v2",
            "basePricePerHour": 1,
            "reliabilityScore": None,
            "supportedGpuTypes": ["A100"],
            "refundOnFail": 0.5,
        },
        {"vendorId": "v3", "basePricePerHour": 1, "reliabilityScore": 0.9, "supportedGpuTypes": ["L4"]},
    ],
    "history": [
        {"vendorId": "v1", "status": "failed", "expectedCost": 4, "actualCost": 4, "hours": 2, "tick": -10},
        {"vendorId": "v2", "status": "completed", "expectedCost": 2, "actualCost": 2, "hours": 2, "tick": -3},
    ],
    "truth": {
        "index": "attempt",
        "pSuccess": {"v1": 0.6, "v2": [0.5, 0.4, 0.2, 0.1], "v3": 1},
        "outcomes": {"v1": ["001", "100"], "v2": ["000", "010"], "v3": ["111", "111"]},
    },
    "bounds": {"bayes": {"complete": 0.9, "spend": 5}},
}


def document(**changes: Any) -> dict[str, Any]:
    """The scenario file with changed parts; a key such as run__budgetTotal goes one level down."""
    changed = copy.deepcopy(DOCUMENT)
    for key, value in changes.items():
        place, _, name = key.partition("__")
        if name:
            changed[place][name] = value
        else:
            changed[place] = value
    return changed


def market(**changes: Any) -> Market:
    (variant,) = markets(parse("two.json", document(**changes)))
    return variant


class StepPlanner:
    """A planner that follows its steps, the last one for ever: a vendor id, "wait", "abort", or an error to raise."""

    def __init__(self, *steps: str | Exception, hours: Decimal | None = None, name: str = "scripted") -> None:
        self.steps, self.hours, self.name = steps, hours, name
        self.contexts: list[Context] = []
        self.objections: list[str] = []

    def decide(self, context: Context, objection: str = "") -> Thought:
        self.contexts.append(context)
        self.objections.append(objection)
        step = self.steps[min(len(self.contexts), len(self.steps)) - 1]
        if isinstance(step, Exception):
            raise step
        if step in ("wait", "abort"):
            return Thought(Decision(Action(step), step))
        return Thought(Decision(Action.START_JOB, "as the script says", step, self.hours or context.hours))

    def __call__(self, context: Context) -> PlannerAnswer:
        return PlannerAnswer(self.decide(context).decision, 1.0)


class PricedPlanner:
    """A planner that charges for every answer. digests: the contexts it was asked about. interrupted_at: a question."""

    name, identity = "counting", "counting model-1"

    def __init__(self, interrupted_at: int | None = None, price: int = 1_000) -> None:
        self.digests: list[str] = []
        self._interrupted_at, self._price = interrupted_at, price

    def price(self, context: Context) -> int:
        return self._price

    def decide(self, context: Context, objection: str = "") -> Thought:
        if len(self.digests) == self._interrupted_at:
            raise KeyboardInterrupt
        self.digests.append(context.digest())
        affordable = (option for option in context.candidates if (option.amount or 0) <= context.available)
        first = next(affordable, None)
        if first is None:
            return Thought(Decision(Action.ABORT, "too dear"), self._price)
        return Thought(Decision(Action.START_JOB, "the first", first.vendor_id, context.hours), self._price)


def similar_scenarios(count: int = 6) -> list[Sequence[Market]]:
    """Scenarios of one market each, which differ in their budgets."""
    return [(market(id=f"file-{number}", run__budgetTotal=8 + number),) for number in range(count)]


def sweep_document(count: int, at_once: int, outcomes: dict[str, list[str]], **changes: Any) -> dict[str, Any]:
    """The file of vendors v1 at 2 USD a job and v2 at 1, named by their outcomes, for a run with several jobs.

    A key such as run__budgetTotal changes what is one level down.
    """
    vendors = [
        {"vendorId": name, "basePricePerHour": price, "reliabilityScore": 0.7, "supportedGpuTypes": ["A100"]}
        for name, price in (("v1", 2), ("v2", 1))
        if name in outcomes
    ]
    run = {"goal": "Sweep", "gpuType": "A100", "budgetTotal": 10, "hoursRequired": 1, "deadlineTicks": 4}
    truth = {"index": "attempt", "pSuccess": dict.fromkeys(outcomes, 0.5), "outcomes": outcomes}
    parts: dict[str, Any] = {
        "id": "sweep",
        "family": "sweep",
        "run": {**run, "jobs": {"count": count, "atOnce": at_once}},
        "vendors": vendors,
        "history": [],
        "truth": truth,
        "bounds": {},
    }
    for key, value in changes.items():
        place, _, name = key.partition("__")
        parts[place] = {**parts[place], name: value} if name else value
    return document(**parts)


def sweep(count: int, at_once: int, outcomes: dict[str, list[str]], **changes: Any) -> Market:
    """The market of sweep_document()."""
    (variant,) = markets(parse("sweep.json", sweep_document(count, at_once, outcomes, **changes)))
    return variant
