"""A run's timeline, and the record of an entry, as text for a terminal and as JSON."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gpuagent.core.timeline import ENTRIES, EntryKind, TimelineEntry, TimelineRecord
from gpuagent.render.decision import decision_view
from gpuagent.render.fitting import Fitting
from gpuagent.render.json_value import json_value

COLOURS = {EntryKind.DECISION: "yellow", EntryKind.PAYMENT: "magenta", EntryKind.PROBLEM: "red", EntryKind.JOB: "green"}


def timeline_table(entries: Iterable[TimelineEntry]) -> RenderableType:
    """A line per entry; in 80 columns its text goes on below."""
    table = Table(box=None, pad_edge=False)
    for column in ("entry", "at", "kind"):
        table.add_column(column, no_wrap=True)
    table.add_column("what", overflow="fold")
    for entry in entries:
        number = f" {entry.number}" if entry.number else ""
        kind = Text(f"{entry.kind.value}{number}", style=COLOURS.get(entry.kind, ""))
        table.add_row(entry.id, f"{entry.at:%H:%M:%S}", kind, Text(" ".join(entry.text.split())))
    return Fitting(table, folds=True)


def record_view(record: TimelineRecord) -> Iterator[RenderableType]:
    """A decision explained, or the event with its job and payment."""
    observation = record.observation
    if ENTRIES[observation["type"]] is EntryKind.DECISION:
        yield from decision_view(observation)
        return
    yield Text(str(observation["content"]))
    for name, document in (("recorded", observation["data"]), ("job", record.job), ("payment", record.payment)):
        if document:
            yield Text(f"\n{name}", style="bold")
            yield Text(json.dumps(json_value(document), indent=2, ensure_ascii=False))


def record_json(record: TimelineRecord) -> Mapping[str, Any]:
    parts = {"entry": record.observation, "job": record.job, "payment": record.payment}
    return {name: json_value(part) for name, part in parts.items()}
