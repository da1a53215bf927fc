"""Rows of a report in the order of a time, batch by batch, for exports of any length."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import chain, groupby
from typing import Any

from bson import ObjectId

from gpuagent.adapters.mongo.report_rows import (
    DECISION,
    JOB,
    PAYMENT,
    RUN,
    UNDER_WAY,
    MongoHistory,
    atomic,
    jobs_of,
    payments_of,
)
from gpuagent.adapters.mongo.report_snapshots import SnapshotGoneError
from gpuagent.adapters.mongo.values import Document
from gpuagent.core.records import ReportScope

TIMES = ("createdAt", "settledAt", "completedAt")


class MongoStreams(MongoHistory):
    """The same rows, streamed. Every method raises StoreError.

    since, until: since <= time < until.
    """

    def allow_later_moments(self) -> None:
        """Lets the rest of the rows be as of a later moment, where the server gives up the one of those before."""
        self._snapshots.is_replaceable = True

    def purchases(
        self, scope: ReportScope, since: datetime, until: datetime, vendor: str = ""
    ) -> Iterator[list[Document]]:
        """Jobs of all users that were reserved, paid or ended then, in the order in which they were reserved."""
        within = [{name: {"$gte": since, "$lt": until}} for name in TIMES]
        match = {**jobs_in(scope, vendor), "$or": within}
        pipeline = [{"$match": match}, {"$project": JOB}, {"$sort": {"createdAt": 1, "jobId": 1}}]
        return self._in_order("jobs", pipeline, "createdAt", "jobId")

    def settled(
        self, scope: ReportScope, time: str, since: datetime, until: datetime, vendor: str = ""
    ) -> Iterator[list[Document]]:
        """Paid jobs of all users in the order of `time`, settledAt or completedAt, which lies in the window."""
        match = settled_in(scope, time, since, until, vendor)
        return self._in_order("jobs", [{"$match": match}, {"$sort": {time: 1}}, {"$project": JOB}], time, "jobId")

    def started(self, scope: ReportScope, since: datetime, until: datetime) -> Iterator[list[Document]]:
        """Runs that were started then, oldest first."""
        match = {**runs_in(scope), "createdAt": {"$gte": since, "$lt": until}}
        pipeline = [{"$match": match}, {"$project": RUN}, {"$sort": {"createdAt": 1, "runId": 1}}]
        return self._in_order("runs", pipeline, "createdAt", "runId")

    def answers(self, since: datetime, until: datetime, order: str) -> Iterator[list[Document]]:
        """Decisions of all users that a planner charged for then. order: at, or began, by latencyMs and a second least.

        Those of other networks are among them: runs_named() tells.
        """
        match = answers_in(since, until)
        latency = {"$max": [{"$ifNull": ["$data.latencyMs", 0]}, 1000]}
        fields = {**DECISION, "began": {"$subtract": ["$timestamp", latency]}}
        pipeline: list[Mapping[str, Any]] = [{"$match": match}, {"$sort": {"timestamp": 1}}, {"$project": fields}]
        pipeline += [{"$sort": {"began": 1, "at": 1}}] if order != "at" else []
        return self._in_order("observations", pipeline, order, "decisionId")

    def happened(self, scope: ReportScope, since: datetime, until: datetime, vendor: str = "") -> bool:
        """Whether a job was paid then, or, of all vendors, a run was started. Early jobs do not name their user."""
        runs = {**runs_in(scope), "createdAt": {"$gte": since, "$lt": until}}
        paid = settled_in(scope, "settledAt", since, until, vendor)
        paid |= {"userId": {"$in": [scope.user, None]}} if scope.user else {}
        return self._has("jobs", paid) or (not vendor and self._has("runs", runs))

    def answered(self, since: datetime, until: datetime) -> bool:
        """Whether a planner charged for a decision then, on any network."""
        return self._has("observations", answers_in(since, until))

    def _has(self, collection: str, match: Mapping[str, Any]) -> bool:
        return any(self._rows(collection, [{"$match": match}, {"$limit": 1}, {"$project": {"_id": 1}}]))

    def payments_of(self, job_ids: Sequence[str]) -> list[Document]:
        """The payments of these jobs."""
        return self._named("payments", "jobId", job_ids, {}, PAYMENT)

    def runs_named(self, scope: ReportScope, run_ids: Sequence[str]) -> list[Document]:
        """Those of these runs that are in the scope."""
        return self._named("runs", "_id", run_ids, runs_in(scope), RUN)

    def buyers(self, scope: ReportScope, run_ids: Sequence[str], vendor: str) -> set[str]:
        """Those of these runs that bought from the vendor, or would have."""
        fields = {"_id": 0, "runId": {"$toString": "$runId"}}
        return {row["runId"] for row in self._named("jobs", "runId", run_ids, jobs_in(scope, vendor), fields)}

    def _named(
        self, collection: str, field: str, ids: Sequence[str], match: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> list[Document]:
        if not ids:
            return []
        named = {field: {"$in": sorted({ObjectId(text) for text in ids})}, **match}
        pipeline: list[Mapping[str, Any]] = [{"$match": named}, {"$project": fields}]
        session = self._session
        try:
            return list(self._rows(collection, pipeline))
        except SnapshotGoneError:
            self._snapshots.replace(session)
            return list(self._rows(collection, pipeline))

    def _in_order(
        self, collection: str, pipeline: Sequence[Mapping[str, Any]], order: str, key: str
    ) -> Iterator[list[Document]]:
        """The rows of a pipeline that sorts them by the field `order`, which never changes, BATCH at a time.

        Each row once, by its `key`: where the server gives up the snapshot, those that follow the last one are read as
        of a later moment.
        """
        last: list[Document] = []  # of the rows so far, those of the last place in the order
        is_later, goes_on = False, True
        while goes_on:
            session, read_keys = self._session, {row[key] for row in last}
            rest = [{"$match": {order: {"$gte": last[-1][order]}}}] if last else []
            goes_on = not is_later  # a later snapshot that is gone before it gives a row is no way on
            try:
                for batch in self._batches(collection, [*pipeline, *rest]):
                    if rows := [row for row in batch if row[key] not in read_keys]:
                        goes_on = True
                        yield rows
                        last = [row for row in (*last, *rows) if row[order] == rows[-1][order]]
            except SnapshotGoneError:
                if not goes_on:
                    raise
                self._snapshots.replace(session)
                is_later = True
            else:
                return

    def spent(self, scope: ReportScope, since: datetime, until: datetime, vendor: str = "") -> int:
        """What settled then, less what came back, and what planners charged, in atomic units; added up in MongoDB."""
        jobs = settled_in(scope, "settledAt", since, until, vendor)
        cost = self._sum("jobs", jobs, atomic("$actualCost"), {"userId": scope.user} if scope.user else {})
        cost -= self._came_back(jobs, {"userId": scope.user} if scope.user else {})
        if vendor:
            return cost
        return cost + self._sum("observations", answers_in(since, until), "$data.cost", runs_in(scope))

    def _sum(self, collection: str, match: Document, amount: Any, runs: Document) -> int:
        """The sum over what matches. runs: what matches the runs that count, {} for all."""
        lookup = {"from": "runs", "localField": "runId", "foreignField": "_id", "as": "run"}
        of_runs = [{"$lookup": lookup}, {"$match": {f"run.{name}": value for name, value in runs.items()}}]
        group = {"$group": {"_id": None, "sum": {"$sum": amount}}}
        rows = self._rows(collection, [{"$match": match}, *(of_runs if runs else ()), group])
        return int(next(rows, {"sum": 0})["sum"])

    def _came_back(self, jobs: Document, runs: Document) -> int:
        """What came back by booked transfers for the jobs that match."""
        job = {"from": "jobs", "localField": "jobId", "foreignField": "_id", "as": "job"}
        run = {"from": "runs", "localField": "runId", "foreignField": "_id", "as": "run"}
        of_jobs = [{"$lookup": job}, {"$match": {f"job.{name}": value for name, value in jobs.items()}}]
        of_runs = [{"$lookup": run}, {"$match": {f"run.{name}": value for name, value in runs.items()}}]
        group = {"$group": {"_id": None, "sum": {"$sum": atomic("$amount")}}}
        rows = self._rows("refunds", [*of_jobs, *(of_runs if runs else ()), group])
        return int(next(rows, {"sum": 0})["sum"])

    def undecided(self, scope: ReportScope) -> Iterator[str]:
        """The ids of the jobs that hold money or go on, and of those whose payment says something else than they do.

        Both collections are read along, in the order of the jobs' ids: nothing is kept.
        """
        jobs = {"jobId": {"$toString": "$_id"}, "state": 1, "status": 1}
        payments = {"_id": 0, "jobId": {"$toString": "$jobId"}, "paid": "$status"}
        of_jobs = [{"$match": jobs_of(scope)}, {"$sort": {"_id": 1}}, {"$project": {**jobs, "_id": 0}}]
        of_payments = [{"$match": payments_of(scope)}, {"$sort": {"jobId": 1}}, {"$project": payments}]
        job_rows, payment_rows = (
            chain.from_iterable(self._in_order(collection, pipeline, "jobId", "jobId"))
            for collection, pipeline in (("jobs", of_jobs), ("payments", of_payments))
        )
        for job_id, records in groupby(merge(job_rows, payment_rows, key=_job_id), key=_job_id):
            facts = {name: value for record in records for name, value in record.items()}
            if (facts.get("state"), facts.get("paid")) not in OVER or facts.get("status") in UNDER_WAY:
                yield job_id


OVER = {("settled", "completed"), ("voided", "failed"), ("voided", None)}
"""State of a job and status of its payment, where nothing is left to be decided."""


def _job_id(record: Document) -> str:
    return str(record["jobId"])


def jobs_in(scope: ReportScope, vendor: str = "") -> Document:
    """What matches jobs of the network, the tag and the vendor that were reserved before the scope's end."""
    tag: Document = {"tags": scope.tag} if scope.tag else {}
    bought: Document = {"vendorId": vendor} if vendor else {}
    return {"quote.network": scope.network, "createdAt": {"$lt": scope.until}, **tag, **bought}


def settled_in(scope: ReportScope, time: str, since: datetime, until: datetime, vendor: str = "") -> Document:
    """What matches its paid jobs whose `time`, settledAt or completedAt, lies in the window."""
    return {"state": "settled", **jobs_in(scope, vendor), time: {"$gte": since, "$lt": until}}


def answers_in(since: datetime, until: datetime) -> Document:
    """What matches decisions of the window that a planner charged for."""
    return {"type": "agent_reasoning", "data.cost": {"$gt": 0}, "timestamp": {"$gte": since, "$lt": until}}


def runs_in(scope: ReportScope) -> Document:
    """What matches runs of the network, the user and the tag that were started before the scope's end."""
    user: Document = {"userId": scope.user} if scope.user else {}
    tag: Document = {"tags": scope.tag} if scope.tag else {}
    return {"network": scope.network, "createdAt": {"$lt": scope.until}, **user, **tag}
