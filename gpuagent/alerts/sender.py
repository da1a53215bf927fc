"""The sender: claim, send, mark. Kill it anywhere and send again: every alert arrives, a repeat under the same id.

Between a foreign server's taking a message and our mark of it nothing can be certain. A sender that is lost there
leaves a claim that ends, and the next one sends again: twice an approval request is better than none. A receiver tells
the repeat by the message's id, and a reader by the words.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gpuagent.alerts.delivery import DeliverySettings
from gpuagent.alerts.links import link_to
from gpuagent.core.alerts import Claimed, Message
from gpuagent.core.ports.alerts import Messenger, Outbox

AGAIN = "Sent again, for a sender ended before it could note this: you may have it already."
OVER = "the request has ended"
_HOST_DOT = re.compile(r"(?<=\w)[.\u3002\uff0e\uff61](?=[^\W\d])")
SENT_MAX = 1_000
"""Alerts that one call sends to a channel."""


@dataclass(slots=True)
class SendReport:
    """What a call did, by channel: how many were sent; and the problems."""

    sent: Counter[str] = field(default_factory=Counter)
    problems: dict[str, str] = field(default_factory=dict)


def send_due(outbox: Outbox, messenger: Messenger, delivery: DeliverySettings) -> SendReport:
    """Send what is due to each channel; late holds are looked for first. Raises StoreError.

    A channel that fails is left alone for this call: what is left is sent by a later one.
    """
    report = SendReport()
    if not delivery.channels:
        return report
    outbox.note_late_holds()
    for channel in delivery.channels:
        since = outbox.join(channel)
        for _ in range(SENT_MAX):
            claim = outbox.claim(channel, since, delivery.kinds_at(outbox.now()))
            if claim is None:
                break
            if problem := _send(claim, outbox, messenger, delivery):
                report.problems[channel] = problem
                break
            report.sent[channel] += 1
    return report


def send_test(channels: Sequence[str], messenger: Messenger, at: float) -> dict[str, str]:
    """Send a message to each channel that says that it works; the problem of each, "" for none."""
    text = "This is a test of gpuagent's alerts. Nothing has happened, and nothing is to be done."
    return {
        channel: messenger.send(channel, Message("gpuagent: a test", text, f"test-{channel}-{at:.3f}"))
        for channel in channels
    }


def _send(claim: Claimed, outbox: Outbox, messenger: Messenger, delivery: DeliverySettings) -> str:
    """The problem, or ""; marked in either case."""
    alert = claim.alert
    if alert.expires_at and outbox.now() >= alert.expires_at:
        outbox.mark_sent(claim, skipped=OVER)
        return ""
    problem = messenger.send(claim.channel, message_of(claim, delivery))
    if problem:
        outbox.mark_failed(claim, problem)
    else:
        outbox.mark_sent(claim)
    return problem


def message_of(claim: Claimed, delivery: DeliverySettings) -> Message:
    """What the channel gets; a link to answer by, where its reader may approve."""
    alert, links = claim.alert, delivery.links
    parts = [_unlinked(alert.text)]
    if alert.purchase and links and claim.channel in links.approvers:
        parts.append(f"To look and answer: {link_to(alert.purchase, claim.channel, links)}")
    if claim.doubtful:
        parts.append(AGAIN)
    parts.append(f"Message {alert.message_id}")
    return Message(f"gpuagent: {_unlinked(alert.title)}", "\n\n".join(parts), alert.message_id)


def _unlinked(text: str) -> str:
    """The text without addresses to click: it quotes others, and the one link of a message is the one to answer by.

    Programs that show it make links of names such as evil.example as well.
    """
    return _HOST_DOT.sub("[.]", text.replace("://", "[:]//"))
