"""Choices of planners: the part of a decision by which two planners are compared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gpuagent.errors import BadInput


@dataclass(frozen=True, slots=True)
class Choice:
    """The action and vendor of a decision, with its reason."""

    action: str
    vendor_id: str
    reason: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The compared part: two planners with other reasons may choose the same."""
        return self.action, self.vendor_id

    @property
    def label(self) -> str:
        return f"{self.action} {self.vendor_id}".rstrip()

    def as_json(self) -> dict[str, str]:
        return {"action": self.action, "vendorId": self.vendor_id, "reason": self.reason}


def recorded_decisions(observations: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The observations that record a decision, in their order. Raises BadInput where their records are archived."""
    observations = list(observations)
    for observation in observations:
        if observation["data"].get("archived"):
            raise BadInput(
                f"its decisions are archived: `gpuagent run restore {observation['runId']}` brings them back"
            )
    return [
        observation
        for observation in observations
        if observation["type"] == "agent_reasoning" and observation["data"].get("decision")
    ]


def recorded_choice(observation: Mapping[str, Any]) -> Choice:
    """The choice in an observation of recorded_decisions()."""
    decision = observation["data"]["decision"]
    return Choice(decision["action"], decision["vendorId"], observation["content"])
