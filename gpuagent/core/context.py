"""The context of a decision, all that a planner sees, and its answer. Frozen: stored with the decision, replayable.

Amounts are int atomic units, times Unix seconds. No address is in it, and a planner's answer has no place for one.
Vendors' texts in it are inert: one line, no control characters, capped.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from gpuagent.core.model import Decision
from gpuagent.errors import BadInput

SPARSE_NAMES = (
    *("hold", "hold_ends_at", "jobs_missing", "jobs_open", "at_once", "reserve", "open_jobs"),
    *("hedged_vendor", "late_s", "hedge_after_s", "hedges_open", "hedges_held"),
)
"""Fields that a recorded context, and so its digest, has only where there is something in them."""
PLAIN = frozenset((str, int, float, bool, type(None)))
"""Types that are in JSON as they are."""
STORED_NAMES = {"transient": "passing"}
"""Fields whose name in a recorded context, and so in its digest, is another one."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A vendor's track record: counts, and the posterior chance that its next job succeeds with its 95 % interval."""

    successes: int = 0
    failures: int = 0
    mean: float = 0.5
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A vendor that may be chosen. amount: its binding quote for context.hours, or None and a problem.

    refusals: the rules of the owner's policy against it; transient: time may lift all of them. reliability: advertised,
    None where unknown. refund: the share of the amount that comes back when a job fails. open_jobs: of a run with
    several, those that the vendor has now.
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
    transient: bool = False
    refund: float = 0.0
    learned: Learned = Learned()
    open_jobs: int = 0


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
    """The facts of one decision. deadline: None for none. decisions_left: jobs the run may still try.

    hold: what is not available for work that failed unpaid, until hold_ends_at at the latest: then it is, unless its
    vendor took it.

    jobs_missing, jobs_open, at_once, reserve: of a run with several jobs to complete, else 0: those that have not
    completed, of them those that are open, how many may be, and what the others that are to be bought cost at least.
    That is not available for this one.

    hedge_after_s, hedges_open, hedges_held: where the run has late jobs hedged, the seconds after which a job is late,
    the hedges that are open, and what they cost, which is not available; else 0. hedged_vendor, late_s: where this job
    hedges one that is late, that one's vendor, and by how many seconds; else "", 0.

    job_s: how long one job takes. caps: the owner's limits that apply, in words. past: oldest first.
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
    hold: int = 0
    hold_ends_at: float | None = None
    jobs_missing: int = 0
    jobs_open: int = 0
    at_once: int = 0
    reserve: int = 0
    hedged_vendor: str = ""
    late_s: float = 0.0
    hedge_after_s: int = 0
    hedges_open: int = 0
    hedges_held: int = 0

    def candidate(self, vendor_id: str) -> Candidate | None:
        """The candidate with this id, None where it is not among them."""
        return next((candidate for candidate in self.candidates if candidate.vendor_id == vendor_id), None)

    @property
    def job_lengths(self) -> int | None:
        """The jobs that can still follow each other until the deadline, None without one."""
        return None if self.deadline is None else int((self.deadline - self.now) / self.job_s + 1e-6)

    @property
    def cheapest(self) -> int:
        """The lowest binding quote that the policy allows, now or once time has passed; 0 where there is none."""
        amounts = (c.amount for c in self.candidates if c.amount is not None and (c.transient or not c.refusals))
        return min(amounts, default=0)

    @property
    def asking_max(self) -> int:
        """What a planner may spend on its answer. Of a run with several jobs what completes them is kept for them, and
        of a hedge its price."""
        return max(self.available - self.cheapest, 0) if self.jobs_missing or self.hedged_vendor else self.available

    def as_json(self) -> dict[str, object]:
        """Plain JSON values; decimals as strings."""
        return _fields_of(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Context":
        """The exact inverse of as_json(). Raises BadInput where the document was not made by it."""
        try:
            changes = {
                "hours": Decimal(document["hours"]),
                "candidates": tuple(map(_candidate, document["candidates"])),
                "past": tuple(PastJob(**{**job, "hours": Decimal(job["hours"])}) for job in document["past"]),
                "caps": tuple(document["caps"]),
            }
            return cls(**{**document, **changes})
        except (KeyError, TypeError, AttributeError, ValueError, InvalidOperation) as error:
            raise BadInput(f"not a recorded context: {error}") from error

    def digest(self) -> str:
        """64 hex digits that stand for everything in it."""
        return digest_of(self.as_json())


@dataclass(frozen=True, slots=True)
class Thought:
    """A planner's answer. cost: what asking it cost, in atomic units; record: how it came about, plain JSON values."""

    decision: Decision
    cost: int = 0
    record: Mapping[str, object] = field(default_factory=dict)


def digest_of(document: Mapping[str, object]) -> str:
    """The digest of a context of which this is as_json()."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _candidate(document: Mapping[str, Any]) -> Candidate:
    values = {
        **document,
        "refusals": tuple(document.get("refusals", ())),
        "learned": Learned(**document.get("learned", {})),
    }
    for name, stored in STORED_NAMES.items():
        if stored in values:
            values[name] = values.pop(stored)
    return Candidate(**values)


def _fields_of(value: Any) -> dict[str, object]:
    """A dataclass as a mapping. By hand: a context has a hundred past jobs, and asdict() copies deeply."""
    document: dict[str, object] = {}
    kind: Any = type(value)
    for stored, name in _stored_names(kind):
        member = getattr(value, name)
        if member or name not in SPARSE_NAMES:
            document[stored] = member if type(member) in PLAIN else _plain(member)
    return document


def _plain(value: object) -> object:
    """A value as JSON has it; what JSON lacks as text."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, tuple):
        return [item if type(item) in PLAIN else _plain(item) for item in value]
    if is_dataclass(value):
        return _fields_of(value)
    return json.loads(json.dumps(value, default=str))


@cache
def _stored_names(kind: Any) -> tuple[tuple[str, str], ...]:
    """Of a dataclass the names of its fields, as they are stored and as they are here."""
    return tuple((STORED_NAMES.get(member.name, member.name), member.name) for member in fields(kind))
