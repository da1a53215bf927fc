"""Rows of a report in the order of a time, a batch at a time: what exports are written from, however many there are."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.adapters.mongo.report_rows import DECISION, JOB, PAYMENT, RUN, MongoHistory
from gpuagent.adapters.mongo.values import Document
from gpuagent.core.records import ReportScope

BATCH = 1_000
"""Rows that are held at once, of each stream that is open."""
TIMES = ("createdAt", "settledAt", "completedAt")


class MongoStreams(MongoHistory):
    """The same rows, streamed. Every method raises StoreError.

    since, until: since <= time < until. A batch is a list of at most BATCH rows, and no more is read ahead.
    """

    def purchases(
        self, scope: ReportScope, since: datetime, until: datetime, vendor: str = ""
    ) -> Iterator[list[Document]]:
        """Jobs of all users that were reserved, paid or ended then, in the order in which they were reserved."""
        within = [{name: {"$gte": since, "$lt": until}} for name in TIMES]
        match = {**_jobs(scope, vendor), "$or": within}
        return self._batches("jobs", [{"$match": match}, {"$project": JOB}, {"$sort": {"createdAt": 1, "jobId": 1}}])

    def settled(
        self, scope: ReportScope, time: str, since: datetime, until: datetime, vendor: str = ""
    ) -> Iterator[list[Document]]:
        """Paid jobs of all users in the order of `time`, settledAt or completedAt, which lies in the window."""
        match = {"state": "settled", **_jobs(scope, vendor), time: {"$gte": since, "$lt": until}}
        return self._batches("jobs", [{"$match": match}, {"$sort": {time: 1}}, {"$project": JOB}])

    def started(self, scope: ReportScope, since: datetime, until: datetime) -> Iterator[list[Document]]:
        """Runs that were started then, oldest first."""
        match = {**_runs(scope), "createdAt": {"$gte": since, "$lt": until}}
        return self._batches("runs", [{"$match": match}, {"$project": RUN}, {"$sort": {"createdAt": 1, "runId": 1}}])

    def answers(self, since: datetime, until: datetime, order: str) -> Iterator[list[Document]]:
        """Decisions of all users that a planner charged for then. order: at, or began, by latencyMs and a second least.

        Those of other networks are among them: runs_named() tells.
        """
        match = {"type": "agent_reasoning", "data.cost": {"$gt": 0}, "timestamp": {"$gte": since, "$lt": until}}
        latency = {"$max": [{"$ifNull": ["$data.latencyMs", 0]}, 1000]}
        fields = {**DECISION, "began": {"$subtract": ["$timestamp", latency]}}
        pipeline: list[Mapping[str, Any]] = [{"$match": match}, {"$sort": {"timestamp": 1}}, {"$project": fields}]
        return self._batches(
            "observations", [*pipeline, {"$sort": {"began": 1, "at": 1}}] if order != "at" else pipeline
        )

    def payments_of(self, job_ids: Sequence[str]) -> list[Document]:
        """The payments of these jobs."""
        return self._named("payments", "jobId", job_ids, {}, PAYMENT)

    def runs_named(self, scope: ReportScope, run_ids: Sequence[str]) -> list[Document]:
        """Those of these runs that are in the scope."""
        return self._named("runs", "_id", run_ids, _runs(scope), RUN)

    def buyers(self, scope: ReportScope, run_ids: Sequence[str], vendor: str) -> set[str]:
        """Those of these runs that bought from the vendor, or would have."""
        fields = {"_id": 0, "runId": {"$toString": "$runId"}}
        return {row["runId"] for row in self._named("jobs", "runId", run_ids, _jobs(scope, vendor), fields)}

    def _named(
        self, collection: str, field: str, ids: Sequence[str], match: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> list[Document]:
        if not ids:
            return []
        named = {field: {"$in": sorted({ObjectId(text) for text in ids})}, **match}
        with bounded(self._deadline_s):
            rows = self._database[collection].aggregate(
                [{"$match": named}, {"$project": fields}], session=self._session
            )
            return list(rows)

    def _batches(self, collection: str, pipeline: Sequence[Mapping[str, Any]]) -> Iterator[list[Document]]:
        with bounded(self._deadline_s):
            cursor = self._database[collection].aggregate(
                list(pipeline), session=self._session, batchSize=BATCH, allowDiskUse=True
            )
        with cursor:
            while True:
                with bounded(self._deadline_s):
                    batch = list(islice(cursor, BATCH))
                if not batch:
                    return
                yield batch


def _jobs(scope: ReportScope, vendor: str) -> Document:
    tag: Document = {"tags": scope.tag} if scope.tag else {}
    bought: Document = {"vendorId": vendor} if vendor else {}
    return {"quote.network": scope.network, "createdAt": {"$lt": scope.until}, **tag, **bought}


def _runs(scope: ReportScope) -> Document:
    user: Document = {"userId": scope.user} if scope.user else {}
    tag: Document = {"tags": scope.tag} if scope.tag else {}
    return {"network": scope.network, "createdAt": {"$lt": scope.until}, **user, **tag}


@contextmanager
def history(client: MongoClient[Any], database: Database[Document], deadline_s: float) -> Iterator[MongoStreams]:
    """deadline_s: for the rows of one collection, or one batch of them."""
    with client.start_session(snapshot=True) as session:
        yield MongoStreams(database, session, deadline_s)
