"""What a planner sees, all of it, and what it answers. Frozen and hashable: stored with the decision, replayable.

Amounts are int atomic units, times Unix seconds. No address is in it, and a planner's answer has no place for one.
Vendors' texts in it are inert: one line, no control characters, capped.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from gpuagent.core.model import Decision
from gpuagent.errors import BadInput


@dataclass(frozen=True, slots=True)
class Learned:
    """What past jobs say of a vendor: counts, and the posterior chance of the next job with its 95 % interval."""

    successes: int = 0
    failures: int = 0
    mean: float = 0.5
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A vendor that may be chosen. amount: its binding quote for context.hours, or None and a problem.

    refusals: what the owner's policy has against it; passing: time may lift all of them. reliability: advertised,
    None where unknown. refund: the share of the amount that comes back when a job fails.
    """

    vendor_id: str
    name: str
    price_per_hour: int
    reliability: float | None
    amount: int | None
    expires_at: float = 0.0
    eta_s: float = 0.0
    problem: str = ""
    refusals: tuple[str, ...] = ()
    passing: bool = False
    refund: float = 0.0
    learned: Learned = Learned()


@dataclass(frozen=True, slots=True)
class PastJob:
    """An ended job of this run or of an earlier one. amount: what was quoted; paid: what it cost in the end."""

    vendor_id: str
    in_run: bool
    succeeded: bool
    amount: int
    paid: int
    hours: Decimal
    started_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Context:
    """deadline: None for none. decisions_left: jobs the run may still try. job_s: how long one job takes.

    caps: the owner's limits that apply, in words. past: oldest first.
    """

    goal: str
    gpu_type: str
    hours: Decimal
    budget: int
    available: int
    now: float
    deadline: float | None
    decisions_left: int
    waits: int
    job_s: float
    candidates: tuple[Candidate, ...]
    past: tuple[PastJob, ...] = ()
    caps: tuple[str, ...] = ()

    def candidate(self, vendor_id: str) -> Candidate | None:
        """The candidate with this id, None where it is not among them."""
        return next((candidate for candidate in self.candidates if candidate.vendor_id == vendor_id), None)

    def as_json(self) -> dict[str, object]:
        """Plain JSON values; decimals as strings."""
        found: dict[str, object] = json.loads(json.dumps(self, default=_plain))
        return found

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Context":
        """The exact inverse of as_json(). Raises BadInput where the document was not made by it."""
        try:
            candidates = tuple(
                Candidate(
                    **{
                        **one,
                        "refusals": tuple(one.get("refusals", ())),
                        "learned": Learned(**one.get("learned", {})),
                    }
                )
                for one in document["candidates"]
            )
            past = tuple(PastJob(**{**one, "hours": Decimal(one["hours"])}) for one in document["past"])
            rest = {"hours": Decimal(document["hours"]), "caps": tuple(document["caps"])}
            return cls(**{**document, **rest, "candidates": candidates, "past": past})
        except (KeyError, TypeError, AttributeError, ValueError, InvalidOperation) as error:
            raise BadInput(f"not a recorded context: {error}") from error

    def digest(self) -> str:
        """64 hex digits that stand for everything in it."""
        return hashlib.sha256(json.dumps(self, default=_plain, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Thought:
    """A planner's answer. cost: what asking it cost, in atomic units; record: how it came about, plain JSON values."""

    decision: Decision
    cost: int = 0
    record: Mapping[str, object] = field(default_factory=dict)


def _plain(value: object) -> object:
    """What JSON has no words for. Called for each value once: asdict() copies deeply, and a digest is taken often."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    return str(value)
