"""Live messages of a run: the writes that MongoDB's change stream reports, each with an id.

A fresh start begins with the whole run as of one moment. From there every write is sent once and in order, whichever
process made it, also across connections: a client that comes back with its last id gets all that came after.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gpuagent.api.as_json import json_value
from gpuagent.api.connections import Connections
from gpuagent.core.model import SECRET_FIELDS
from gpuagent.core.records import Change
from gpuagent.errors import ChangesLost

OVER = ".end"
"""Ends the id of a run's last message."""
IDENTITY = {
    "run": ("_id",),
    "job": ("_id", "vendorId"),
    "payment": ("_id", "jobId", "vendorId", "amount"),
    "observation": (),
}
"""Fields that never change, sent beside what has changed so that each message can be understood alone."""


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """A message to a follower of a run.

    event: snapshot, run, job, payment, observation, end. Without an id: idle, a sign of life, and failed.
    """

    event: str
    id: str = ""
    data: Mapping[str, Any] | None = None

    def as_sse(self) -> bytes:
        if self.event == "idle":
            return b": idle\n\n"
        id_line = f"id: {self.id}\n" if self.id else ""
        return f"{id_line}event: {self.event}\ndata: {json.dumps(self.data)}\n\n".encode()

    def as_text(self) -> str:
        return json.dumps({"id": self.id, "event": self.event, "data": self.data})


def messages(connections: Connections, run_id: str, after: str) -> Iterator[LiveMessage]:
    """Every message of the run until it is over. Blocks; an idle message comes every second without news.

    after: the id of the last message that the client has. When the database does not keep what came after it any
    more, a snapshot that says `gap` comes instead. Raises UnknownRun, BadInput, StoreError.
    """
    connections.database.queries.run(run_id)
    try:
        yield from _follow(connections, run_id, after)
    except ChangesLost:
        if not after:
            raise
        yield from _follow(connections, run_id, "", gap=True)


def _follow(connections: Connections, run_id: str, after: str, gap: bool = False) -> Iterator[LiveMessage]:
    covered, writing = -1, 0  # versions of the run: the snapshot's, and that of the transaction being reported
    end = None
    for change in connections.database.reads.watch(run_id, after or None):
        if change.kind == "open":
            if after:
                end = _end(connections.database.queries.run(run_id))
                yield LiveMessage("idle")
                continue
            documents = connections.database.queries.snapshot(run_id)
            (run,) = documents["runs"]
            covered, end = run.get("version", 0), _end(run)
            yield LiveMessage("snapshot", change.token, {**_snapshot(documents), "gap": gap})
            if end:
                yield LiveMessage("end", change.token + OVER, end)
                return
        elif change.kind == "idle":
            # Only in a quiet moment: the transaction that ends a run writes its last observations after the run.
            if end:
                yield LiveMessage("end", change.token + OVER, end)
                return
            yield LiveMessage("idle")
        else:
            if change.kind == "run":  # every transaction writes the run first, with the next version
                writing, end = change.changed["version"], _end(change.document)
            if writing > covered and (data := _news(change)):
                yield LiveMessage(change.kind, change.token, data)


def _news(change: Change) -> dict[str, Any]:
    """The fields that this write set, and what it is about; empty when it set nothing that clients see.

    MongoDB may name a part of a field (`approval.by`): then the whole field is sent, as it now is.
    """
    changed: dict[str, Any] = {}
    for name, value in change.changed.items():
        field = name.partition(".")[0]
        if field not in SECRET_FIELDS:
            changed[field] = value if name == field else change.document.get(field)
    if not changed:
        return {}
    identity = {name: change.document[name] for name in IDENTITY[change.kind] if name in change.document}
    news: dict[str, Any] = json_value({**identity, **changed})
    return news


def _end(run: Mapping[str, Any]) -> dict[str, Any] | None:
    """The last message's data, if the run has ended and no money of it is out."""
    if run["status"] == "running" or ("held" in run and run["held"].to_decimal()):
        return None
    return {"status": run["status"], "reason": run.get("reason", "")}


def _snapshot(documents: Mapping[str, Any]) -> dict[str, Any]:
    (run,) = documents["runs"]
    snapshot: dict[str, Any] = json_value({**documents, "run": run})
    del snapshot["runs"]
    return snapshot
