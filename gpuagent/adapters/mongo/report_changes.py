"""The runs that changed since a moment, from MongoDB's change stream, which has every write in the order of commits.

That order is the server's own. So neither a clock that is behind hides a write, nor a transaction that began before the
moment and was committed after it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pymongo
from bson import ObjectId, Timestamp
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError

from gpuagent.adapters.mongo.values import Document

WATCHED = ("runs", "jobs", "refunds", "credits")
"""What a report counts, to see whether a figure has changed."""
BATCH = 10_000
_MOMENT = re.compile(r"(\d{1,10})\.(\d{1,10})\|(.*)")
_TOKEN = re.compile("82([0-9A-F]{8})([0-9A-F]{8})", re.IGNORECASE)
_MATCH = {"$or": [{"ns.coll": {"$in": list(WATCHED)}}, {"operationType": {"$in": ["dropDatabase", "rename"]}}]}
_FIELDS = {
    "kind": "$operationType",
    "collection": "$ns.coll",
    "clusterTime": 1,
    "id": "$documentKey._id",
    "runId": "$fullDocument.runId",
    "moved": "$updateDescription.updatedFields.runId",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a database, in its cluster's time. collections: the server's ids of WATCHED, others in any copy."""

    time: Timestamp
    collections: str

    def __str__(self) -> str:
        return f"{self.time.time}.{self.time.inc}|{self.collections}"


def moment_of(text: str) -> Moment | None:
    """The moment that a text says; None for another text."""
    match = _MOMENT.fullmatch(text)
    return Moment(Timestamp(int(match[1]), int(match[2])), match[3]) if match else None


def moment(database: Database[Document], session: ClientSession) -> Moment | None:
    """The moment of a session's snapshot, of which nothing may have been read; None where the server does not say it.

    The collections are listed first: one that takes the place of another later is not taken for it.
    """
    try:
        entries = database.list_collections(filter={"name": {"$in": list(WATCHED)}})
        ids = {entry["name"]: entry["info"]["uuid"].hex() for entry in entries}
        answer = database.command({"find": "runs", "limit": 1, "projection": {"_id": 1}}, session=session)
        return Moment(answer["cursor"]["atClusterTime"], ".".join(ids.get(name, "") for name in WATCHED))
    except (PyMongoError, KeyError):  # of a server without snapshots, or a user without the right
        return None


def changed_runs(database: Database[Document], since: Moment, until: Moment, seconds: float) -> "Changes | None":
    """What was written in (since, until], and it may be something else too. None: it is not known.

    So it is where the server does not keep its changes or may not show them, where reading them takes longer, and
    where a record was deleted or given to another run, as no program of ours does.
    """
    if since.collections != until.collections or since.time > until.time:
        return None
    changes = Changes()
    if since.time == until.time:
        return changes
    try:
        with pymongo.timeout(seconds):
            return changes if _read(database, since, until, changes) else None
    except PyMongoError:
        return None


class Changes:
    """runs: the ids of runs. jobs, refunds, credits: ids of records of runs that are not known yet, by collection."""

    def __init__(self) -> None:
        self.runs: set[ObjectId] = set()
        self.others: dict[str, set[ObjectId]] = {}

    def add(self, event: Mapping[str, Any]) -> bool:
        """Whether it is clear to which run the event belongs, or to which record."""
        kind, collection = event["kind"], str(event.get("collection"))
        if collection == "runs" and kind in ("insert", "update", "replace", "delete"):
            self.runs.add(event["id"])
        elif kind == "insert" and isinstance(event.get("runId"), ObjectId):
            self.runs.add(event["runId"])
        elif kind == "update" and "moved" not in event:
            self.others.setdefault(collection, set()).add(event["id"])
        else:
            return False
        return True


def _read(database: Database[Document], since: Moment, until: Moment, changes: Changes) -> bool:
    """Whether all changes were read, and are clear."""
    pipeline: list[Mapping[str, Any]] = [{"$match": _MATCH}, {"$project": _FIELDS}]
    with database.watch(pipeline, start_at_operation_time=since.time, max_await_time_ms=10, batch_size=BATCH) as stream:
        while stream.alive:
            event = stream.try_next()
            if event is None:  # nothing is left of what the server has committed: its token says up to when
                if _time_of(stream.resume_token) >= until.time:
                    return True
            elif event["clusterTime"] > until.time:  # a transaction's events are all of one time
                return True
            elif event["clusterTime"] > since.time and not changes.add(event):
                return False
    return False


def _time_of(token: Mapping[str, Any] | None) -> Timestamp:
    """The time that a token begins with, as all do since MongoDB 4.2."""
    match = _TOKEN.match(str(token["_data"])) if token else None
    return Timestamp(int(match[1], 16), int(match[2], 16)) if match else Timestamp(0, 0)
