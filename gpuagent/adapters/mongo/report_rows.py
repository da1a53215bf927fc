"""What happened in a stretch of time, as rows for analysts; the server turns money into atomic units, exactly.

Jobs are scanned, not looked up: a report reads the whole collection once and takes what belongs to its scope.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database

from gpuagent.adapters.mongo import past_jobs as mongo_outcomes
from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.adapters.mongo.jobs import HELD
from gpuagent.adapters.mongo.original import ORIGINAL
from gpuagent.adapters.mongo.values import Document
from gpuagent.core.context import PastJob
from gpuagent.core.money import UNIT

UNDER_WAY = ["submitted", "running"]


@dataclass(frozen=True, slots=True)
class Scope:
    """since <= t < until, with time zones. An empty user or tag: all of them."""

    network: str
    since: datetime
    until: datetime
    user: str = ""
    tag: str = ""


def _atomic(path: str) -> Document:
    return {"$toLong": {"$multiply": [path, UNIT]}}


RUN = {
    "_id": 0,
    "runId": {"$toString": "$_id"},
    **{name: _atomic(f"${name}") for name in ("budgetTotal", "budgetRemaining", "settled", "held", "plannerCost")},
    **dict.fromkeys(("userId", "goal", "status", "phase", "reason", "gpuType", "maxHours", "tags", "payer"), 1),
    **dict.fromkeys(("planner", "plannerArms", "createdAt", "updatedAt"), 1),
}
JOB = {
    "_id": 0,
    "jobId": {"$toString": "$_id"},
    "runId": {"$toString": "$runId"},
    **{name: _atomic(f"${name}") for name in ("expectedCost", "actualCost")},
    "gpuType": "$jobParams.gpuType",
    "hours": "$jobParams.maxHours",
    "quoteExpiresAt": "$quote.expiresAt",
    **dict.fromkeys(("ordinal", "vendorId", "state", "status", "cause", "errorMessage", "vendorJobId"), 1),
    **dict.fromkeys(("createdAt", "settledAt", "startedAt", "completedAt", "approval"), 1),
}
PAYMENT = {
    "_id": 0,
    "jobId": {"$toString": "$jobId"},
    "runId": {"$toString": "$runId"},
    "amount": _atomic("$amount"),
    "paymentStatus": "$status",
    "signedAt": "$createdAt",
    "validBefore": {"$toDate": {"$multiply": [{"$toLong": "$validBefore"}, 1000]}},
    **dict.fromkeys(("vendorId", "payer", "payee", "x402TxId", "blockNumber", "currency"), 1),
}
DECISION = {
    "_id": 0,
    "decisionId": {"$toString": "$_id"},
    "runId": {"$toString": "$runId"},
    "at": "$timestamp",
    "cost": "$data.cost",
    **{name: f"$data.{name}" for name in ("planner", "decidedBy", "model", "latencyMs", "tokens")},
}


class MongoHistory:
    """All reads see the database at one moment, ticks beside them or not. Raises StoreError."""

    def __init__(self, database: Database[Document], session: ClientSession, deadline_s: float) -> None:
        """deadline_s: for the rows of one collection."""
        self._database, self._session, self._deadline_s = database, session, deadline_s

    def vendors(self) -> list[Document]:
        """The registry, in the order of registration."""
        fields = dict.fromkeys(("vendorId", "name", "reliabilityScore", "supportedGpuTypes", "enabled", "createdAt"), 1)
        price = {"basePricePerHour": _atomic("$basePricePerHour")}
        order = {"$sort": {"createdAt": ASCENDING, "_id": ASCENDING}}
        return self._rows("vendors", [order, {"$project": {"_id": 0, **fields, **price}}])

    def runs(self, scope: Scope) -> list[Document]:
        """Runs that something happened to in the time, and those that still hold money or run, oldest first."""
        touched = [{"updatedAt": {"$gte": scope.since}}, {"status": "running"}, {"held": {"$gt": 0}}]
        wanted = {"network": scope.network, "createdAt": {"$lt": scope.until}, "$or": touched}
        if scope.user:
            wanted["userId"] = scope.user
        if scope.tag:
            wanted["tags"] = scope.tag
        return self._rows("runs", [{"$match": wanted}, {"$sort": {"createdAt": 1, "_id": 1}}, {"$project": RUN}])

    def original_runs(self) -> int:
        """How many runs the original system left: none of them counts anywhere here."""
        with bounded(self._deadline_s):
            found = self._database.runs.aggregate([{"$match": ORIGINAL}, {"$count": "n"}], session=self._session)
            return int(next(found, {"n": 0})["n"])

    def jobs(self, scope: Scope) -> list[Document]:
        """Jobs reserved, paid or ended in the time, and those whose money or work is undecided; of all users."""
        times = [{name: {"$gte": scope.since}} for name in ("createdAt", "settledAt", "completedAt")]
        undecided = [{"state": {"$in": HELD}}, {"status": {"$in": UNDER_WAY}}]
        wanted = {"quote.network": scope.network, "createdAt": {"$lt": scope.until}, "$or": [*times, *undecided]}
        if scope.tag:
            wanted["tags"] = scope.tag
        return self._rows("jobs", [{"$match": wanted}, {"$sort": {"createdAt": 1, "_id": 1}}, {"$project": JOB}])

    def jobs_named(self, job_ids: list[str]) -> list[Document]:
        """Just these, as far as there are any."""
        wanted = {"_id": {"$in": [ObjectId(one) for one in job_ids]}}
        return self._rows("jobs", [{"$match": wanted}, {"$project": JOB}]) if job_ids else []

    def payments(self, scope: Scope) -> list[Document]:
        """Payments signed or settled in the time, and those that are out; of all users and tags."""
        times = [{name: {"$gte": scope.since}} for name in ("createdAt", "settledAt")]
        wanted = {
            "network": scope.network,
            "createdAt": {"$lt": scope.until},
            "$or": [*times, {"status": "pending"}],
        }
        return self._rows("payments", [{"$match": wanted}, {"$project": PAYMENT}])

    def decisions(self, scope: Scope) -> list[Document]:
        """Decisions in the time that asking the planner cost money for; of all users."""
        time = {"$gte": scope.since, "$lt": scope.until}
        wanted = {"type": "agent_reasoning", "data.cost": {"$gt": 0}, "timestamp": time}
        return self._rows("observations", [{"$match": wanted}, {"$sort": {"timestamp": 1}}, {"$project": DECISION}])

    def outcomes(self, scope: Scope, vendor_ids: list[str], limit: int) -> list[PastJob]:
        """The newest ended jobs of each vendor before the scope's end, oldest first: what is learned from."""
        with bounded(self._deadline_s):
            return mongo_outcomes.read(
                self._database, None, scope.network, vendor_ids, limit, scope.until, self._session
            )

    def _rows(self, collection: str, pipeline: list[Mapping[str, Any]]) -> list[Document]:
        with bounded(self._deadline_s):
            return list(self._database[collection].aggregate(pipeline, session=self._session))


@contextmanager
def history(client: MongoClient[Any], database: Database[Document], deadline_s: float) -> Iterator[MongoHistory]:
    with client.start_session(snapshot=True) as session:
        yield MongoHistory(database, session, deadline_s)
