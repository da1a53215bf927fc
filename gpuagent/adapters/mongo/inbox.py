"""The inbox: what waits for a user over all runs, read by indexes in bounded time, and what the user has seen."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import DESCENDING
from pymongo.database import Database

from gpuagent.adapters.mongo import policy
from gpuagent.adapters.mongo.connection import Connection, deadlined
from gpuagent.adapters.mongo.late_holds import late_holds
from gpuagent.adapters.mongo.values import Document, date, object_id, seconds
from gpuagent.core.alerts import LATE_S, AlertKind
from gpuagent.core.inbox import Inbox, InboxItem, Waiting
from gpuagent.core.money import amount, show_usd, usd
from gpuagent.core.text import clean
from gpuagent.errors import UnknownRun

ITEMS_MAX = 200
"""Of each kind."""
FAILED_S = 7 * 86_400.0
"""How long a failed run waits to be seen."""
NOTE = "refunds"


class MongoInbox:
    """The inbox of one database. Each method raises StoreError. Times are of the database's clock."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._database = connection.database

    @deadlined
    def read(self, now: float) -> Inbox:
        """Everything that waits at a time, Unix seconds."""
        parts = [
            list(part)
            for part in (
                _approvals(self._database, now),
                _books(self._database),
                _halts(self._database),
                _late_holds(self._database, now),
                _refunds(self._database),
                _failed_runs(self._database, now),
            )
        ]
        items = tuple(item for part in parts for item in part[:ITEMS_MAX])
        return Inbox(items, more=any(len(part) > ITEMS_MAX for part in parts))

    @deadlined
    def see(self, run_ids: Sequence[str], by: str, at: float) -> int:
        """Take failed runs out of the inbox, for everybody; how many were in it. Raises UnknownRun."""
        keys = [object_id(run_id) for run_id in run_ids]
        query = {"_id": {"$in": keys}, "status": "failed"}
        failed = {run["_id"] for run in self._database.runs.find(query, {"_id": 1})}
        for key in keys:
            if key not in failed:
                raise UnknownRun(f"run {key} has not failed: `gpuagent inbox` lists those that wait to be seen")
        fields = {"$setOnInsert": {"by": by, "at": date(at)}}
        results = [self._database.seen_runs.update_one({"_id": key}, fields, upsert=True) for key in keys]
        return sum(result.upserted_id is not None for result in results)

    @deadlined
    def note_refunds(self, transfers: Sequence[str], at: float) -> None:
        """Write down the transfers from vendors that wait to be assigned, in words, as the chain showed them last."""
        fields = {"entries": [clean(text) for text in transfers[:ITEMS_MAX]], "at": date(at)}
        self._database.inbox_notes.update_one({"_id": NOTE}, {"$set": fields}, upsert=True)


def _approvals(database: Database[Document], now: float) -> Iterator[InboxItem]:
    waits = {"state": "reserved", "approval.by": "", "approval.expiresAt": {"$gt": date(now)}}
    fields = {"vendorId": 1, "expectedCost": 1, "approval": 1, "jobParams": 1}
    pipeline = [{"$match": waits}, {"$project": fields}]
    jobs = {"from": "jobs", "localField": "_id", "foreignField": "runId", "as": "job", "pipeline": pipeline}
    stages: list[Mapping[str, Any]] = [
        {"$match": {"phase": "APPROVAL", "status": "running"}},
        {"$project": {"goal": 1}},
        {"$lookup": jobs},
        {"$unwind": "$job"},
        {"$limit": ITEMS_MAX + 1},
    ]
    waiting = sorted(database.runs.aggregate(stages), key=lambda row: row["job"]["approval"]["expiresAt"])
    for row in waiting:
        job, run_id, job_id = row["job"], str(row["_id"]), str(row["job"]["_id"])
        price = amount(job["expectedCost"])
        order = f"{job['jobParams']['maxHours']:g} h of {job['jobParams']['gpuType']}"
        yield InboxItem(
            Waiting.APPROVAL,
            f"{show_usd(price)} to {job['vendorId']} for {order}: {clean(row['goal'], 80)}",
            seconds(job["approval"]["askedAt"]),
            f"gpuagent run approve {run_id} --job {job_id} --amount {usd(price).normalize():f}",
            run_id,
            job_id,
            price,
            seconds(job["approval"]["expiresAt"]),
        )


def _books(database: Database[Document]) -> Iterator[InboxItem]:
    alerts = database.alerts.find({"kind": AlertKind.BOOKS.value, "open": True}).limit(ITEMS_MAX + 1)
    for alert in alerts:
        command = f"gpuagent books {alert['runId'] or '--all'}"
        yield InboxItem(Waiting.BOOKS, alert["title"], seconds(alert["createdAt"]), command, alert["runId"])


def _halts(database: Database[Document]) -> Iterator[InboxItem]:
    for halt in policy.halts(database):
        yield InboxItem(Waiting.HALT, clean(halt.text, 200), halt.at, halt.resume_command)


def _late_holds(database: Database[Document], now: float) -> Iterator[InboxItem]:
    for job in late_holds(database, now - LATE_S):
        run_id, price, since = str(job["runId"]), amount(job["expectedCost"]), job["lateSince"]
        what = "signed, and past its time" if job["state"] == "authorized" else "reserved, and its quote has expired"
        title = f"{show_usd(price)} for {job['vendorId']} is held: {what}"
        command = f"gpuagent run tick {run_id}"
        yield InboxItem(Waiting.LATE_HOLD, title, seconds(since), command, run_id, str(job["_id"]), price)


def _refunds(database: Database[Document]) -> Iterator[InboxItem]:
    note = database.inbox_notes.find_one({"_id": NOTE}) or {"entries": []}
    for text in note["entries"]:
        yield InboxItem(Waiting.REFUND, text, seconds(note["at"]), "gpuagent refund list")


def _failed_runs(database: Database[Document], now: float) -> Iterator[InboxItem]:
    recent = {"status": "failed", "updatedAt": {"$gte": date(now - FAILED_S)}}
    lookup = {"from": "seen_runs", "localField": "_id", "foreignField": "_id", "as": "seen"}
    stages: list[Mapping[str, Any]] = [
        {"$match": recent},
        {"$sort": {"updatedAt": DESCENDING}},
        {"$lookup": lookup},
        {"$match": {"seen": []}},
        {"$limit": ITEMS_MAX + 1},
        {"$project": {"goal": 1, "reason": 1, "updatedAt": 1}},
    ]
    for run in database.runs.aggregate(stages):
        run_id, at = str(run["_id"]), run["updatedAt"]
        assert isinstance(at, datetime)
        title = f"failed: {clean(run['goal'], 80)}: {clean(run.get('reason', ''), 160)}"
        yield InboxItem(Waiting.FAILED, title, seconds(at), f"gpuagent inbox seen {run_id}", run_id)
