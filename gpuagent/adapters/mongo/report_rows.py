"""Rows of a period for reports; the server turns money into atomic units, exactly.

Jobs are scanned, not looked up: a report reads the whole collection once and takes what belongs to its scope.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from threading import Lock
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING
from pymongo.client_session import ClientSession
from pymongo.database import Database

from gpuagent.adapters.mongo import past_jobs
from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.adapters.mongo.jobs import HELD
from gpuagent.adapters.mongo.original import ORIGINAL
from gpuagent.adapters.mongo.report_snapshots import Snapshots, bounded_reading
from gpuagent.adapters.mongo.statuses import UNFINISHED
from gpuagent.adapters.mongo.values import Document
from gpuagent.core.context import PastJob
from gpuagent.core.model import OWN_PROTOCOL
from gpuagent.core.money import UNIT
from gpuagent.core.records import ReportScope

BATCH = 1_000
"""Rows that are held at once, of each stream that is open."""
UNDER_WAY = ["submitted", "running"]


def atomic(path: str | Document) -> Document:
    return {"$toLong": {"$multiply": [path, UNIT]}}


RUN = {
    "_id": 0,
    "runId": {"$toString": "$_id"},
    **{name: atomic(f"${name}") for name in ("budgetTotal", "budgetRemaining", "settled", "held", "plannerCost")},
    **dict.fromkeys(("userId", "goal", "status", "phase", "reason", "gpuType", "maxHours", "tags", "payer"), 1),
    **dict.fromkeys(("planner", "plannerArms", "createdAt", "updatedAt", "workloadHash"), 1),
}
OUTPUTS = {"$filter": {"input": {"$ifNull": ["$files", []]}, "cond": {"$eq": ["$$this.kind", "output"]}}}
OUTPUTS_MAX = 50
"""Outputs of a job whose names a report has; it has the number of all."""
JOB = {
    "_id": 0,
    "jobId": {"$toString": "$_id"},
    "runId": {"$toString": "$runId"},
    **{name: atomic(f"${name}") for name in ("expectedCost", "actualCost")},
    "gpuType": "$jobParams.gpuType",
    "hours": "$jobParams.maxHours",
    "quoteExpiresAt": "$quote.expiresAt",
    "protocol": {"$ifNull": ["$quote.protocol", OWN_PROTOCOL]},
    **dict.fromkeys(("ordinal", "vendorId", "state", "status", "cause", "errorMessage", "vendorJobId"), 1),
    **dict.fromkeys(("createdAt", "settledAt", "startedAt", "completedAt", "approval", "fault", "artifactUrl"), 1),
    "exitCode": {"$toString": "$exitCode"},
    "jobIndex": {"$toString": "$index"},
    "hedges": {"$toString": "$hedges"},
    "resumedFrom": {"$toString": "$resumedFrom.jobId"},
    "resumedFraction": "$resumedFrom.fraction",
    "hoursSaved": {"$toDouble": {"$ifNull": ["$hoursSaved", 0]}},
    "outputs": {"$slice": [OUTPUTS, OUTPUTS_MAX]},
    "outputCount": {"$size": OUTPUTS},
}
PAYMENT = {
    "_id": 0,
    "jobId": {"$toString": "$jobId"},
    "runId": {"$toString": "$runId"},
    "amount": atomic("$amount"),
    "refunded": atomic({"$ifNull": ["$refunded", 0]}),
    "credit": atomic({"$ifNull": ["$credit", 0]}),
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


NAMES_MAX = 10_000


class MongoHistory:
    """Rows of one period, all read as of one moment, whatever is written meanwhile. Raises StoreError."""

    def __init__(self, database: Database[Document], snapshots: Snapshots, deadline_s: float) -> None:
        """deadline_s: for the rows of one collection."""
        self._database, self._snapshots, self._deadline_s = database, snapshots, deadline_s
        self._opened_at = time.monotonic()
        self._turn = Lock()
        """Of the threads that read chunks of a summary: a session serves one of them at a time."""

    @property
    def _session(self) -> ClientSession:
        return self._snapshots.session

    @property
    def age_s(self) -> float:
        """Seconds since the rows were opened."""
        return time.monotonic() - self._opened_at

    def vendors(self) -> Iterator[Document]:
        """The registry, in the order of registration."""
        fields = dict.fromkeys(("vendorId", "name", "reliabilityScore", "supportedGpuTypes", "enabled", "createdAt"), 1)
        price = {"basePricePerHour": atomic("$basePricePerHour")}
        order = {"$sort": {"createdAt": ASCENDING, "_id": ASCENDING}}
        return self._rows("vendors", [order, {"$project": {"_id": 0, **fields, **price}}])

    def runs(self, scope: ReportScope) -> Iterator[Document]:
        """Runs that something happened to in the period, and those that still hold money or run, oldest first."""
        touched = [{"updatedAt": {"$gte": scope.since}}, *UNFINISHED]
        match = {"network": scope.network, "createdAt": {"$lt": scope.until}, "$or": touched}
        if scope.user:
            match["userId"] = scope.user
        if scope.tag:
            match["tags"] = scope.tag
        return self._rows("runs", [{"$match": match}, {"$sort": {"createdAt": 1, "_id": 1}}, {"$project": RUN}])

    def names(self, field: str) -> list[str]:
        """The values of userId or tags that any run has: reads all runs, for where a name turns out to be unknown."""
        stages: list[Mapping[str, Any]] = [{"$unwind": f"${field}"}, {"$group": {"_id": f"${field}"}}]
        return [group["_id"] for group in self._rows("runs", [*stages, {"$sort": {"_id": 1}}, {"$limit": NAMES_MAX}])]

    def original_runs(self) -> int:
        """The number of runs of the original system, none of which counts anywhere here."""
        with bounded(self._deadline_s):
            counts = self._database.runs.aggregate([{"$match": ORIGINAL}, {"$count": "n"}], session=self._session)
            return int(next(counts, {"n": 0})["n"])

    def jobs(self, scope: ReportScope) -> Iterator[Document]:
        """Jobs reserved, paid or ended in the period, and those whose money or work is undecided; of all users."""
        order = {"$sort": {"createdAt": 1, "_id": 1}}
        return self._rows("jobs", [{"$match": jobs_of(scope)}, order, {"$project": JOB}])

    def jobs_named(self, job_ids: list[str]) -> Iterator[Document]:
        """The jobs with these ids, as far as there are any."""
        match = {"_id": {"$in": [ObjectId(job_id) for job_id in job_ids]}}
        return self._rows("jobs", [{"$match": match}, {"$project": JOB}]) if job_ids else iter(())

    def payments(self, scope: ReportScope) -> Iterator[Document]:
        """Payments signed or settled in the period, and those that are out; of all users and tags."""
        return self._rows("payments", [{"$match": payments_of(scope)}, {"$project": PAYMENT}])

    def decisions(self, scope: ReportScope) -> Iterator[Document]:
        """Decisions in the period for which the planner charged; of all users."""
        time = {"$gte": scope.since, "$lt": scope.until}
        match = {"type": "agent_reasoning", "data.cost": {"$gt": 0}, "timestamp": time}
        return self._rows("observations", [{"$match": match}, {"$sort": {"timestamp": 1}}, {"$project": DECISION}])

    def outcomes(self, scope: ReportScope, vendor_ids: list[str], limit: int) -> list[PastJob]:
        """The newest ended jobs of each vendor before the scope's end, oldest first: what is learned from."""
        with bounded(self._deadline_s):
            return past_jobs.read(self._database, None, scope.network, vendor_ids, limit, scope.until, self._session)

    def _rows(self, collection: str, pipeline: Sequence[Mapping[str, Any]]) -> Iterator[Document]:
        for batch in self._batches(collection, pipeline):
            yield from batch

    def _batches(self, collection: str, pipeline: Sequence[Mapping[str, Any]]) -> Iterator[list[Document]]:
        """The rows, BATCH at a time; no more is read ahead."""
        with bounded_reading(self._deadline_s):
            rows = self._database[collection]
            cursor = rows.aggregate(list(pipeline), session=self._session, batchSize=BATCH, allowDiskUse=True)
        with cursor:
            while True:
                with bounded_reading(self._deadline_s):
                    batch = list(islice(cursor, BATCH))
                if not batch:
                    return
                yield batch


def jobs_of(scope: ReportScope) -> Document:
    """What matches the jobs of a report."""
    times = [{name: {"$gte": scope.since}} for name in ("createdAt", "settledAt", "completedAt")]
    undecided = [{"state": {"$in": HELD}}, {"status": {"$in": UNDER_WAY}}]
    tag: Document = {"tags": scope.tag} if scope.tag else {}
    return {"quote.network": scope.network, "createdAt": {"$lt": scope.until}, **tag, "$or": [*times, *undecided]}


def payments_of(scope: ReportScope) -> Document:
    """What matches the payments of a report."""
    times = [{name: {"$gte": scope.since}} for name in ("createdAt", "settledAt")]
    return {"network": scope.network, "createdAt": {"$lt": scope.until}, "$or": [*times, {"status": "pending"}]}
