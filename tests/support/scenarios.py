"""Small scenarios whose plays can be computed by hand, planners that follow a script, and the public files if any."""

import copy
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from gpuagent.core.context import Context, Thought
from gpuagent.core.model import Action, Decision
from gpuagent.planbench.files import parse
from gpuagent.planbench.play import Answer
from gpuagent.planbench.scenarios import Market, markets

PUBLIC = Path(__file__).parents[3] / "shared" / "planbench" / "scenarios" / "public"
"""The scenarios that others published: not part of this repository, played where they are at hand."""

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
    """The scenario with other parts; a key such as run__budgetTotal goes one level down."""
    made = copy.deepcopy(DOCUMENT)
    for key, value in changes.items():
        place, _, name = key.partition("__")
        if name:
            made[place][name] = value
        else:
            made[place] = value
    return made


def market(**changes: Any) -> Market:
    (made,) = markets(parse("two.json", document(**changes)))
    return made


class Scripted:
    """Answers in turn: a vendor id starts a job there, wait and abort are what they say, else an error is raised."""

    def __init__(self, *script: str | Exception, hours: Decimal | None = None, name: str = "scripted") -> None:
        self.script, self.hours, self.name = script, hours, name
        self.seen: list[Context] = []
        self.objections: list[str] = []

    def decide(self, context: Context, objection: str = "") -> Thought:
        self.seen.append(context)
        self.objections.append(objection)
        step = self.script[min(len(self.seen), len(self.script)) - 1]
        if isinstance(step, Exception):
            raise step
        if step in ("wait", "abort"):
            return Thought(Decision(Action(step), step))
        return Thought(Decision(Action.START_JOB, "as the script says", step, self.hours or context.hours))

    def __call__(self, context: Context) -> Answer:
        return Answer(self.decide(context).decision, 1.0)


class Counting:
    """Charges for every answer, counts the contexts it was asked about, and may be interrupted at one of them."""

    name, identity = "counting", "counting model-1"

    def __init__(self, interrupted_at: int | None = None, price: int = 1_000) -> None:
        self.asked: list[str] = []
        self._interrupted_at, self._price = interrupted_at, price

    def price(self, context: Context) -> int:
        return self._price

    def decide(self, context: Context, objection: str = "") -> Thought:
        if len(self.asked) == self._interrupted_at:
            raise KeyboardInterrupt
        self.asked.append(context.digest())
        first = next((one for one in context.candidates if (one.amount or 0) <= context.available), None)
        if first is None:
            return Thought(Decision(Action.ABORT, "too dear"), self._price)
        return Thought(Decision(Action.START_JOB, "the first", first.vendor_id, context.hours), self._price)


def many(count: int = 6) -> list[Sequence[Market]]:
    """Scenarios of one market each, which differ in their budgets."""
    made = (market(id=f"file-{number}", run__budgetTotal=8 + number) for number in range(count))
    return [(one,) for one in made]
