"""The port to a planner."""

from typing import Protocol

from gpuagent.core.context import Context, Thought


class Planner(Protocol):
    """A planner, which decides what a run does next: buy from a vendor, wait, or give up."""

    @property
    def name(self) -> str: ...

    def decide(self, context: Context, objection: str = "") -> Thought:
        """The decision for this context. objection: why the guard refused the planner's answer before.

        A planner may spend up to context.asking_max on its answer, and reports the cost; one that may need more does
        not begin. Thought.record holds what there is of model, promptHash, prompt, rawReply, tokens (prompt and
        completion) and scores (by vendor_id, of any shape). Raises PlannerError, with its cost, for no usable answer.
        """
        ...
