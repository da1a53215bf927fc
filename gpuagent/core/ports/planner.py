"""The port to a planner."""

from typing import Protocol

from gpuagent.core.context import Context, Thought


class Planner(Protocol):
    """A planner: it chooses what to do next."""

    @property
    def name(self) -> str: ...

    def decide(self, context: Context, objection: str = "") -> Thought:
        """The decision for this context. objection: why the guard refused the answer that was given to it before.

        It may spend up to context.asking_max on finding out, and says what it spent; one that might need more does
        not begin. Thought.record holds what it has of model, promptHash, prompt, rawReply, tokens (prompt and
        completion) and scores (by vendor_id, of any shape). Raises PlannerError, with its cost, when no usable answer
        came.
        """
        ...
