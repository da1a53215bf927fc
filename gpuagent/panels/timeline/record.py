"""The record of a timeline's entry as HTML: a decision explained, with all that the planner was told and answered; or
an event with its job and payment. What planners and vendors wrote is escaped, and cut. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bson import Decimal128

from gpuagent.core.money import amount, show_usd
from gpuagent.core.timeline import ENTRIES, EntryKind, TimelineRecord
from gpuagent.panels.decision import explanation
from gpuagent.panels.kit.html import Html, el, join, table
from gpuagent.panels.tables import clock_time
from gpuagent.render.json_value import json_value

TEXT_MAX = 20_000
PARTS: Mapping[str, str] = {
    "context": "What the planner was told",
    "prompt": "The prompt",
    "rawReply": "The reply",
    "attempts": "Every answer, with the guard's verdict",
}
"""The parts of a decision's record that are shown whole, behind their names."""


def record_view(record: TimelineRecord, colours: Mapping[str, str]) -> Html:
    """All that is recorded of one entry."""
    observation = record.observation
    kind = ENTRIES[observation["type"]]
    head = el("h3", f"{kind.value} at {clock_time(observation['timestamp'])}")
    if kind is EntryKind.DECISION:
        return join(head, el("div", explanation(observation, colours), class_="wide"), *_parts(observation["data"]))
    return join(
        head,
        el("p", str(observation["content"])[:TEXT_MAX]),
        *_document("Recorded with it", observation["data"]),
        *_document("The job", record.job),
        *_document("The payment", record.payment),
    )


def _parts(data: Mapping[str, Any]) -> Iterator[Html]:
    for name, label in PARTS.items():
        if data.get(name):
            yield _folded(label, data[name])


def _folded(label: str, value: object) -> Html:
    text = value if isinstance(value, str) else json.dumps(json_value(value), indent=2, ensure_ascii=False)
    cut = f"\n… {len(text) - TEXT_MAX:,} more characters" if len(text) > TEXT_MAX else ""
    return el("details", el("summary", label), el("pre", text[:TEXT_MAX] + cut, tabindex=0), class_="record")


def _document(label: str, document: Mapping[str, Any] | None) -> Iterator[Html]:
    """A document's fields; those that are documents themselves are folded."""
    if not document:
        return
    values: Mapping[str, Any] = json_value(_readable(document))
    plain = {
        name: value for name, value in values.items() if value not in (None, "") and not isinstance(value, dict | list)
    }
    rows: list[list[object]] = [[name, el("code", str(value)[:TEXT_MAX])] for name, value in plain.items()]
    if rows:
        yield el("h4", label)
        yield el("div", table(("field", "value"), rows, label), class_="wide")
    for name, value in values.items():
        if value and isinstance(value, dict | list):
            yield _folded(name if rows else f"{label}: {name}", value)


def _readable(value: Any) -> Any:
    """A document with its amounts in USD."""
    match value:
        case Decimal128():
            return show_usd(amount(value))
        case Mapping():
            return {name: _readable(part) for name, part in value.items()}
        case list():
            return [_readable(part) for part in value]
    return value
