"""The inbox and the alerts as text for a terminal and as JSON."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from gpuagent.core.inbox import Inbox, InboxItem, Waiting
from gpuagent.core.units import show_minute

HEADINGS = {
    Waiting.APPROVAL: "Waits for approval",
    Waiting.BOOKS: "Books that differ",
    Waiting.HALT: "Halted",
    Waiting.LATE_HOLD: "Late holds",
    Waiting.REFUND: "Refunds to assign",
    Waiting.FAILED: "Failed, not seen yet",
}


def inbox_view(inbox: Inbox) -> RenderableType:
    """Each kind under its heading, and below each item what answers it."""
    if not inbox.items:
        return Text("nothing waits for you")
    lines: list[Text] = []
    for kind, heading in HEADINGS.items():
        items = [item for item in inbox.items if item.kind is kind]
        if items:
            lines.append(Text(f"{heading} ({len(items)})", style="bold"))
            lines += [line for item in items for line in _lines(item)]
    if inbox.more:
        lines.append(Text("there are more: answer these, and look again"))
    return Group(*lines)


def _lines(item: InboxItem) -> list[Text]:
    until = f", until {show_minute(item.expires_at)}" if item.expires_at else f", since {show_minute(item.since)}"
    return [Text(f"  {item.title}{until}"), Text(f"    {item.command}", style="dim")]


def inbox_json(inbox: Inbox) -> dict[str, Any]:
    """Amounts in atomic units."""
    return {
        "items": [
            {
                "kind": item.kind.value,
                "title": item.title,
                "since": _time(item.since),
                "command": item.command,
                "runId": item.run_id or None,
                "jobId": item.job_id or None,
                "amount": item.amount or None,
                "expiresAt": _time(item.expires_at) if item.expires_at else None,
            }
            for item in inbox.items
        ],
        "more": inbox.more,
    }


def alert_lines(documents: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Alerts, newest first, and below each what became of it in each channel."""
    lines = []
    for document in documents:
        at = document["createdAt"].astimezone(UTC)
        lines.append(Text(f"{at:%Y-%m-%d %H:%M} {document['kind']}: {document['title']}"))
        for channel, state in sorted(document.get("deliveries", {}).items()):
            problem = f": {state['problem']}" if state.get("problem") else ""
            lines.append(Text(f"    {channel}: {state['state']}, attempt {state['attempts']}{problem}", style="dim"))
        if not document.get("deliveries"):
            lines.append(Text("    not sent to any channel", style="dim"))
    return Group(*lines) if lines else Text("no alerts yet")


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
