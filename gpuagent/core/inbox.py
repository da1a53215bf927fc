"""The inbox: everything that waits for a user, over all runs. Amounts are atomic units, times Unix seconds."""

from dataclasses import dataclass
from enum import StrEnum


class Waiting(StrEnum):
    """What waits, the most urgent first."""

    APPROVAL = "approval"
    BOOKS = "books"
    HALT = "halt"
    LATE_HOLD = "late_hold"
    REFUND = "refund"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class InboxItem:
    """One thing that waits. command: what answers it in a shell, "" for nothing.

    job_id, amount: of the purchase or hold; expires_at: when it answers itself, 0 for never.
    """

    kind: Waiting
    title: str
    since: float
    command: str = ""
    run_id: str = ""
    job_id: str = ""
    amount: int = 0
    expires_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Inbox:
    """The items, the most urgent first. more: there are others that were not read."""

    items: tuple[InboxItem, ...] = ()
    more: bool = False

    @property
    def badge(self) -> str:
        """How many there are, for a small place; "" for none."""
        return f"{len(self.items)}{'+' * self.more}" if self.items else ""

    @property
    def approvals(self) -> tuple[InboxItem, ...]:
        return tuple(item for item in self.items if item.kind is Waiting.APPROVAL)
