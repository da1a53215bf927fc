"""The ports to the alerts that were written, and to the channels that carry them."""

from collections.abc import Sequence
from typing import Protocol

from gpuagent.core.alerts import AlertKind, Claimed, Message


class Outbox(Protocol):
    """The alerts that were written, and what became of each in each channel. Every method raises StoreError."""

    def now(self) -> float:
        """The database's clock, Unix seconds."""
        ...

    def note_late_holds(self) -> None:
        """Write alerts of the holds that are late by now, once each."""
        ...

    def join(self, channel: str) -> float:
        """Since when the channel gets alerts, Unix seconds: it is sent none that is older than its first sender."""
        ...

    def claim(self, channel: str, since: float, kinds: Sequence[AlertKind]) -> Claimed | None:
        """The oldest alert of these kinds that is due for the channel, the caller's alone for a while."""
        ...

    def mark_sent(self, claim: Claimed, skipped: str = "") -> None:
        """The channel took it. skipped: why it was not sent at all, and never will be."""
        ...

    def mark_failed(self, claim: Claimed, problem: str) -> None:
        """The channel did not take it: it is due again after a while, which doubles with each attempt."""
        ...


class Messenger(Protocol):
    """Channels by which users are told."""

    def send(self, channel: str, message: Message) -> str:
        """The problem, without any address or secret; "" where the channel took the message."""
        ...
