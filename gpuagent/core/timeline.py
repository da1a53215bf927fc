"""The timeline of a run: what was decided, paid, done and said, in order, and the whole record of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from gpuagent.core.model import ObservationType
from gpuagent.errors import BadInput


class EntryKind(StrEnum):
    """The kinds of entry. MESSAGE: a line of a job's log. PROBLEM: what went wrong, or was called off."""

    DECISION = "decision"
    PAYMENT = "payment"
    JOB = "job"
    PROBLEM = "problem"
    MESSAGE = "message"


ENTRIES: Mapping[str, EntryKind] = {
    ObservationType.REASONING.value: EntryKind.DECISION,
    ObservationType.PAYMENT.value: EntryKind.PAYMENT,
    ObservationType.METRIC.value: EntryKind.JOB,
    ObservationType.ERROR.value: EntryKind.PROBLEM,
    ObservationType.LOG.value: EntryKind.MESSAGE,
}
"""The kind of entry that an observation is, by its type."""


def parse_entries(names: Sequence[str]) -> tuple[EntryKind, ...]:
    """The kinds that a user named; all, for none. Raises BadInput."""
    kinds = [entry.value for entry in EntryKind]
    for name in names:
        if name not in kinds:
            raise BadInput(f"{name[:40]!r} is no kind of entry: {', '.join(kinds)}")
    return tuple(EntryKind(name) for name in names) or tuple(EntryKind)


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One entry. id: of its observation. vendor: of its job, "" where it is of none. number: of a decision, from 1."""

    id: str
    kind: EntryKind
    at: datetime
    text: str
    job_id: str = ""
    vendor: str = ""
    number: int = 0

    def as_json(self) -> dict[str, str | int | None]:
        return {
            "id": self.id,
            "kind": self.kind.value,
            "at": self.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "text": self.text,
            "jobId": self.job_id or None,
            "vendorId": self.vendor or None,
            "decision": self.number or None,
        }


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """Entries in order. next: what the next page begins after, "" on the last."""

    entries: Sequence[TimelineEntry]
    next: str = ""

    def as_json(self) -> dict[str, object]:
        return {"entries": [entry.as_json() for entry in self.entries], "next": self.next or None}


@dataclass(frozen=True, slots=True)
class TimelineRecord:
    """All that is recorded of an entry, without anything that was signed: the observation, and its job and payment."""

    observation: Mapping[str, Any]
    job: Mapping[str, Any] | None = None
    payment: Mapping[str, Any] | None = None
