"""Fingerprints of ranges of runs: counts that change when a figure does, by which a report's summaries are kept."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from bson import Decimal128, ObjectId
from bson.errors import InvalidDocument
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import DocumentTooLarge, OperationFailure

from gpuagent.adapters.mongo import report_changes
from gpuagent.adapters.mongo.deadline import UNAUTHORIZED, bounded
from gpuagent.adapters.mongo.jobs import HELD
from gpuagent.adapters.mongo.report_columns import MongoColumns, answers_in_runs
from gpuagent.adapters.mongo.report_rows import DECISION, JOB, RUN, jobs_of, payments_of
from gpuagent.adapters.mongo.report_snapshots import Snapshots
from gpuagent.adapters.mongo.report_streams import jobs_in, runs_in
from gpuagent.adapters.mongo.statuses import UNFINISHED
from gpuagent.adapters.mongo.values import Document, cut_off
from gpuagent.core.model import RunStatus
from gpuagent.core.records import ReportScope

SUMMARIES = "report_summaries"
LEAF_DIGITS = 5
"""Hexadecimal digits of an id that number its leaf, 4096 seconds of runs (reports/partitions.py)."""


class MongoPartitions(MongoColumns):
    """The same rows, what tells whether they have changed, and what is kept of them. Every method raises StoreError."""

    def moment(self) -> str:
        """The moment of these rows, "" for one that is not known; asked for before any of them is read."""
        with bounded(self._deadline_s):
            moment = report_changes.moment(self._database, self._session)
        self._read_at = moment.time if moment else None
        return str(moment or "")

    def changed_leaves(self, since: str, until: str, seconds: float) -> set[int] | None:
        """The leaves of runs of which something was written after one moment and until another.

        None: it is not known, or takes longer.
        """
        first, last = report_changes.moment_of(since), report_changes.moment_of(until)
        changes = report_changes.changed_runs(self._database, first, last, seconds) if first and last else None
        if changes is None:
            return None
        leaves = {int(str(run_id)[:LEAF_DIGITS], 16) for run_id in changes.runs}
        for collection, ids in changes.others.items():
            of_runs = [{"$match": {"_id": {"$in": list(ids)}}}, {"$group": {"_id": _leaf("$runId")}}]
            leaves.update(int(row["_id"], 16) for row in self._rows(collection, of_runs))
        return leaves

    def run_counts(self, scope: ReportScope, first: str, end: str) -> dict[int, tuple[int, int]]:
        """By leaf, the number of the scope's runs, whenever they were started, and the sum of their versions."""
        match: Document = {"network": scope.network}
        match |= {"userId": scope.user} if scope.user else {}
        match |= {"tags": scope.tag} if scope.tag else {}
        group = {"_id": _leaf("$_id"), "runs": {"$sum": 1}, "versions": {"$sum": "$version"}}

        def pipeline(low: str, high: str) -> list[Mapping[str, Any]]:
            ids = {"_id": {"$gte": ObjectId(low), "$lt": ObjectId(high)}}
            return [{"$match": {**match, **ids}}, {"$group": group}]

        middle = self._middle(match, first, end)
        with ThreadPoolExecutor(1) as beside:
            earlier = beside.submit(self._grouped, "runs", pipeline(first, middle)) if middle > first else None
            rows = list(self._rows("runs", pipeline(middle, end)))
        rows += earlier.result() if earlier else []
        return {int(row["_id"], 16): (row["runs"], row["versions"]) for row in rows}

    def _middle(self, match: Document, first: str, end: str) -> str:
        """The beginning of the leaf amid those of all runs that match; `first` for a part of them, which is soon read,
        and where the server does not say the moment, without which one session reads all."""
        if int(first, 16) or not self._read_at:
            return first
        in_range = {**match, "_id": {"$gte": ObjectId(first), "$lt": ObjectId(end)}}
        runs, session = self._database.runs, self._session
        with bounded(self._deadline_s):
            limits = [runs.find_one(in_range, {"_id": 1}, sort={"_id": order}, session=session) for order in (1, -1)]
        leaves = sum(int(str(run["_id"])[:LEAF_DIGITS], 16) for run in limits if run)
        return f"{leaves // 2:0{LEAF_DIGITS}x}".ljust(24, "0")

    def touched_leaves(self, scope: ReportScope) -> set[int]:
        """The leaves of runs that something happened to since the scope's beginning, or that are not over."""
        written = [{"status": {"$in": list(RunStatus)}, "updatedAt": {"$gte": scope.since}}]
        match = {"$or": [*written, *UNFINISHED]}
        rows = self._rows("runs", [{"$match": match}, {"$match": runs_in(scope)}, {"$group": {"_id": _leaf("$_id")}}])
        return {int(row["_id"], 16) for row in rows}

    def job_counts(self, first: str, end: str) -> dict[int, tuple[int, int]]:
        """By leaf, the number of jobs and the sum of their cost, which an operator may set by hand.

        Jobs of all networks: an index alone tells.
        """
        fields: Document = {"$project": {"_id": 0, "runId": 1, "actualCost": 1}}  # all in an index
        group = {"_id": _leaf("$runId"), "n": {"$sum": 1}, "v": {"$sum": "$actualCost"}}
        rows = self._rows("jobs", [_within(first, end), fields, {"$group": group}])
        return {int(row["_id"], 16): (row["n"], _units_of(row["v"])) for row in rows}

    def returned_counts(self, first: str, end: str) -> dict[int, tuple[int, int]]:
        """By leaf, the numbers of refunds and of credits, none of which is ever changed."""
        counts: dict[int, list[int]] = {}
        for place, collection in enumerate(("refunds", "credits")):
            group = {"$group": {"_id": _leaf("$runId"), "n": {"$sum": 1}}}
            for row in self._rows(collection, [_within(first, end), group]):
                counts.setdefault(int(row["_id"], 16), [0, 0])[place] = row["n"]
        return {leaf: (refunds, booked) for leaf, (refunds, booked) in counts.items()}

    def answers_of(self, scope: ReportScope, run_ids: Sequence[str]) -> Iterator[Document]:
        """Decisions that a planner charged for, in these runs."""
        far_apart = {"runId": {"$in": list(map(ObjectId, run_ids))}}
        match = {**answers_in_runs(scope, run_ids), **far_apart}
        return self._rows("observations", [{"$match": match}, {"$sort": {"timestamp": 1}}, {"$project": DECISION}])

    def jobs_of_runs(self, scope: ReportScope, run_ids: Sequence[str]) -> Iterator[Document]:
        match = {**jobs_in(scope), "runId": {"$in": list(map(ObjectId, run_ids))}}
        return self._rows("jobs", [{"$match": match}, {"$sort": {"createdAt": 1, "_id": 1}}, {"$project": JOB}])

    def runs_of(self, run_ids: Sequence[str]) -> Iterator[Document]:
        match = {"_id": {"$in": list(map(ObjectId, run_ids))}}
        return self._rows("runs", [{"$match": match}, {"$sort": {"createdAt": 1, "_id": 1}}, {"$project": RUN}])

    def unfinished(self) -> Iterator[str]:
        """The ids of the jobs that hold money or go on, and of payments that are out, whenever they began."""
        with bounded(self._deadline_s):
            payers = self._database.runs.distinct("payer", {"payer": {"$gt": ""}}, session=self._session)
        undecided = {"payer": {"$in": payers}, "state": {"$in": HELD}}
        going_on = {"state": "settled", "completedAt": None}
        out = {"payer": {"$in": payers}, "status": "pending"}
        for collection, match, fields in (
            ("jobs", undecided, "$_id"),
            ("jobs", going_on, "$_id"),
            ("payments", out, "$jobId"),
        ):
            for row in self._rows(
                collection, [{"$match": match}, {"$project": {"_id": 0, "id": {"$toString": fields}}}]
            ):
                yield row["id"]

    def in_scope(self, scope: ReportScope, job_ids: Sequence[str]) -> set[str]:
        """Those of the jobs that are in the scope, or whose payment is."""
        ids = {"$in": list(map(ObjectId, job_ids))}
        jobs = self._rows("jobs", [{"$match": {"_id": ids, **jobs_of(scope)}}, {"$project": {"_id": 1}}])
        payments = [{"$match": {"jobId": ids, **payments_of(scope)}}, {"$project": {"_id": "$jobId"}}]
        return {str(row["_id"]) for rows in (jobs, self._rows("payments", payments)) for row in rows}

    def kept_signatures(self, keys: Sequence[str]) -> dict[str, str]:
        """The signatures of summaries that were kept, by key."""
        with bounded(self._deadline_s):
            documents = self._database[SUMMARIES].find({"_id": {"$in": list(keys)}}, {"signature": 1})
            return {document["_id"]: str(document.get("signature")) for document in documents}

    def contents(self, keys: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
        """Summaries that were kept: key, signature, content. Derived data: read as of now, for the signature tells."""
        with bounded(self._deadline_s):
            for document in self._database[SUMMARIES].find({"_id": {"$in": list(keys)}}):
                if isinstance(document.get("content"), bytes):
                    yield document["_id"], str(document.get("signature")), document["content"]

    def keep(self, key: str, signature: str, content: bytes) -> bool:
        """Whether it was kept: a user who may only read keeps none. One document is written whole or not at all."""
        fields = {"$set": {"signature": signature, "content": content}, "$currentDate": {"keptAt": True}}
        with bounded(self._deadline_s):
            try:
                self._database[SUMMARIES].update_one({"_id": key}, fields, upsert=True)
            except (DocumentTooLarge, InvalidDocument):
                return False
            except OperationFailure as error:
                if error.code != UNAUTHORIZED:
                    raise
                return False
        return True


def _within(first: str, end: str) -> Document:
    return {"$match": {"runId": {"$gte": ObjectId(first), "$lt": ObjectId(end)}}}


def _leaf(path: str) -> Document:
    return {"$substrBytes": [{"$toString": path}, 0, LEAF_DIGITS]}


def _units_of(value: Any) -> int:
    """A sum of amounts in atomic units; 0 where there was no amount at all."""
    return cut_off(value) if isinstance(value, Decimal128) else 0


@contextmanager
def history(client: MongoClient[Any], database: Database[Document], deadline_s: float) -> Iterator[MongoPartitions]:
    """deadline_s: for the rows of one collection, or one batch of them."""
    with ExitStack() as sessions:
        yield MongoPartitions(database, Snapshots(client, sessions), deadline_s)
