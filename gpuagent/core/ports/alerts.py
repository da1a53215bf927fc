"""The ports to the stored alerts, and to the channels that carry them to users."""

from collections.abc import Sequence
from typing import Protocol

from gpuagent.core.alerts import AlertKind, Claimed, Message


class Outbox(Protocol):
    """The stored alerts, and the state of each in each channel. Every method raises StoreError."""

    def now(self) -> float:
        """The database's clock, Unix seconds."""
        ...

    def note_late_holds(self) -> None:
        """Write an alert for each hold that is late by now, once."""
        ...

    def join(self, channel: str) -> float:
        """When the channel was first used, Unix seconds: older alerts are not sent to it."""
        ...

    def claim(self, channel: str, since: float, kinds: Sequence[AlertKind]) -> Claimed | None:
        """Claim, for a while, the oldest alert of these kinds that is due for the channel; None where none is due."""
        ...

    def mark_sent(self, claim: Claimed, skipped: str = "") -> None:
        """Record that the channel took the alert. skipped: why it was not, and will never be, sent."""
        ...

    def mark_failed(self, claim: Claimed, problem: str) -> None:
        """Record that the channel did not take the alert: it is due again after a delay that doubles each time."""
        ...


class Messenger(Protocol):
    """The channels that carry alerts to users."""

    def send(self, channel: str, message: Message) -> str:
        """Send a message; why it failed, without any address or secret, or "" where the channel took it."""
        ...
