"""Channels by apprise: mail, chat, hooks. No address is ever shown: apprise itself masks headers nowhere."""

import logging
import re
from collections.abc import Mapping
from threading import Lock, Thread

import apprise

from gpuagent.core.alerts import Message
from gpuagent.errors import ConfigError

CONNECT_S, READ_S, SEND_S = 5, 10, 60.0
"""SEND_S: the whole of a sending. A server that answers a byte at a time is never late by the others."""
BY_HEADER = ("json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos")
"""Kinds of address that take a header of ours."""
STATUS = re.compile(r"error=([1-5][0-9]{2})\b", re.ASCII)


class AppriseMessenger:
    """The Messenger port. Safe to share between threads, which take turns. channels: addresses by name."""

    def __init__(self, channels: Mapping[str, str]) -> None:
        """Raises ConfigError naming the channel that apprise does not know."""
        logging.getLogger("apprise").setLevel(logging.WARNING)  # below that it writes addresses with their headers
        self._channels, self._lock = channels, Lock()
        self._asset = apprise.AppriseAsset(app_id="gpuagent", http_redirects=False, secure_logging=True)
        for name, url in channels.items():
            self._service(name, url)

    def send(self, channel: str, message: Message) -> str:
        service = self._service(channel, _with(self._channels[channel], message.message_id))
        with self._lock, apprise.LogCapture(level=logging.WARNING) as log:  # type: ignore[no-untyped-call]
            outcome = _notify(service, message)
            status = STATUS.search(log.getvalue())
        if outcome is None:
            return f"it was not done with the message after {SEND_S:g} s"
        if outcome:
            return ""
        # Not in apprise's own words: they may hold an address, or an untrusted server's answer.
        return f"it answered {status[1]}" if status else "it was not reached, or did not take the message"

    def _service(self, name: str, url: str) -> apprise.Apprise:
        service = apprise.Apprise(asset=self._asset)
        number = [*self._channels].index(name) + 1
        try:
            usable = service.add(url)
        except (TypeError, ValueError):
            usable = False
        if not usable:
            problem = f"apprise cannot use the address of entry {number}, {name}: write a URL as its wiki has it"
            raise ConfigError(f"ALERTS_CHANNELS: {problem}")
        return service


def _notify(service: apprise.Apprise, message: Message) -> bool | None:
    """Whether the channel took the message; None where it was not done in SEND_S.

    Then its thread is left behind, for nothing ends a read; it keeps no process from ending.
    """
    outcomes: list[bool] = []

    def work() -> None:
        outcomes.append(bool(service.notify(body=message.text, title=message.title, body_format="text")))

    thread = Thread(target=work, name="alert", daemon=True)
    thread.start()
    thread.join(SEND_S)
    return outcomes[0] if outcomes else None if thread.is_alive() else False


def _with(url: str, message_id: str) -> str:
    """The address with our timeouts, where it has none, and with the message's id as a header where it takes one."""
    scheme, _, _ = url.partition("://")
    extras = [f"{name}={value}" for name, value in (("cto", CONNECT_S), ("rto", READ_S)) if f"{name}=" not in url]
    if scheme.lower() in BY_HEADER:
        extras.append(f"+Idempotency-Key={message_id}")
    return f"{url}{'&' if '?' in url else '?'}{'&'.join(extras)}"
