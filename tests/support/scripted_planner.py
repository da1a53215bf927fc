"""A planner that follows a script of thoughts and records the contexts it was asked about."""

from collections.abc import Iterable
from decimal import Decimal

from gpuagent.core.context import Context, Thought
from gpuagent.core.model import Action, Decision
from gpuagent.errors import PlannerError


class ScriptedPlanner:
    """Gives its answers in order, the last one for ever. asked: every context, with the objection."""

    def __init__(self, answers: Iterable[Thought | PlannerError], name: str = "scripted") -> None:
        self.name, self._answers = name, list(answers)
        self.asked: list[tuple[Context, str]] = []

    def decide(self, context: Context, objection: str = "") -> Thought:
        self.asked.append((context, objection))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, PlannerError):
            raise answer
        return answer


def start(vendor_id: str, hours: int = 1, cost: int = 0, **record: object) -> Thought:
    return Thought(Decision(Action.START_JOB, f"try {vendor_id}", vendor_id, Decimal(hours)), cost, record)


def wait(until: float, cost: int = 0) -> Thought:
    return Thought(Decision(Action.WAIT, "later", wait_until=until), cost)


def abort(cost: int = 0) -> Thought:
    return Thought(Decision(Action.ABORT, "no hope"), cost)
