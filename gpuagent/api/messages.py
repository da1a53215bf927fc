"""What is told to those who follow a run: the changes that MongoDB's change stream tells, as messages with ids.

A fresh start begins with the whole run as of one moment. From there every write is told once and in order, whoever
made it, also across connections: who comes back with the id of its last message is told all that came after it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gpuagent.adapters.mongo import original
from gpuagent.api.as_json import rest
from gpuagent.api.connections import Connections
from gpuagent.core.model import SECRET_FIELDS
from gpuagent.core.records import Change
from gpuagent.errors import ChangesLost

OVER = ".end"
"""Ends the id of a run's last message."""
NAMED = {
    "run": ("_id",),
    "job": ("_id", "vendorId"),
    "payment": ("_id", "jobId", "vendorId", "amount"),
    "observation": (),
}
"""What a message says beside what has changed, so that it can be understood alone. It never changes."""
SHOWN = {
    "jobs": original.shown_job,
    "payments": original.shown_payment,
    "observations": original.shown_observation,
}


@dataclass(frozen=True, slots=True)
class Message:
    """event: snapshot, run, job, payment, observation, end. Without an id: idle, a sign of life, and failed."""

    event: str
    id: str = ""
    data: Mapping[str, Any] | None = None

    def as_sse(self) -> bytes:
        if self.event == "idle":
            return b": idle\n\n"
        named = f"id: {self.id}\n" if self.id else ""
        return f"{named}event: {self.event}\ndata: {json.dumps(self.data)}\n\n".encode()

    def as_text(self) -> str:
        return json.dumps({"id": self.id, "event": self.event, "data": self.data})


def messages(connections: Connections, run_id: str, after: str) -> Iterator[Message]:
    """All that happens to the run until it is over. Blocks; an idle message comes every second without news.

    after: the id of the last message that was seen. When what came after it is not kept any more, a snapshot that says
    `gap` comes instead. Raises UnknownRun, BadInput, StoreError.
    """
    connections.database.queries.run(run_id)
    try:
        yield from _followed(connections, run_id, after)
    except ChangesLost:
        if not after:
            raise
        yield from _followed(connections, run_id, "", gap=True)


def _followed(connections: Connections, run_id: str, after: str, gap: bool = False) -> Iterator[Message]:
    covered, writing, over = -1, 0, None
    for change in connections.database.reads.watch(run_id, after or None):
        if change.kind == "open":
            if after:
                over = _over(connections.database.queries.run(run_id))
                yield Message("idle")
                continue
            documents = connections.database.queries.snapshot(run_id)
            (run,) = documents["runs"]
            covered, over = run.get("version", 0), _over(run)
            yield Message("snapshot", change.token, {**_shown(documents), "gap": gap})
            if over:
                yield Message("end", change.token + OVER, over)
                return
        elif change.kind == "idle":
            # Only in a quiet moment: the transaction that ends a run writes its last observations after the run.
            if over:
                yield Message("end", change.token + OVER, over)
                return
            yield Message("idle")
        else:
            if change.kind == "run":  # every transaction writes the run first, with the next version
                writing, over = change.changed["version"], _over(change.document)
            if writing > covered and (data := _news(change)):
                yield Message(change.kind, change.token, data)


def _news(change: Change) -> dict[str, Any]:
    """What this write set, and what it is about; nothing when it set nothing that is shown.

    MongoDB may name a part of a field (`approval.by`): then the whole field is told, as it now is.
    """
    changed: dict[str, Any] = {}
    for name, value in change.changed.items():
        field = name.partition(".")[0]
        if field not in SECRET_FIELDS:
            changed[field] = value if name == field else change.document.get(field)
    if not changed:
        return {}
    named = {name: change.document[name] for name in NAMED[change.kind] if name in change.document}
    news: dict[str, Any] = rest({**named, **changed})
    return news


def _over(run: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is said at the end, if this run has ended and no money of it is out."""
    if run["status"] == "running" or ("held" in run and run["held"].to_decimal()):
        return None
    return {"status": run["status"], "reason": run.get("reason", "")}


def _shown(documents: Mapping[str, Any]) -> dict[str, Any]:
    (run,) = documents["runs"]
    shown: dict[str, Any] = {name: [rest(show(one)) for one in documents[name]] for name, show in SHOWN.items()}
    return {"run": rest(original.shown_run(run, documents["payments"])), **shown}
