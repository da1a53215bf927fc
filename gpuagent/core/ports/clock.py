"""The port to the time."""

from typing import Protocol


class Clock(Protocol):
    """The agent's clock."""

    def now(self) -> float:
        """Unix seconds, whole milliseconds. Paces the agent; decides about money only with others: core/clocks."""
        ...
