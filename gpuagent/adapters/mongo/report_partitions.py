"""What a report's summaries are made of: columns of a range of runs, and signatures that change when they do.

Documents come as the server has them, and are made columns of here (bson_columns.py): a million rows of a dozen fields
are so no million dicts. Times are milliseconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cached_property
from typing import Any

import pymongo
from bson import Decimal128, Int64, ObjectId, Timestamp
from bson.codec_options import CodecOptions
from bson.errors import InvalidDocument
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import DocumentTooLarge, OperationFailure

from gpuagent.adapters.mongo import report_changes, report_scopes
from gpuagent.adapters.mongo.bson_batches import Batches
from gpuagent.adapters.mongo.bson_columns import BsonColumns, Column
from gpuagent.adapters.mongo.deadline import UNAUTHORIZED, bounded
from gpuagent.adapters.mongo.jobs import HELD
from gpuagent.adapters.mongo.report_columns import ANSWER_COLUMNS, JOB_COLUMNS, PAYMENT_COLUMNS, RUN_COLUMNS, Fields
from gpuagent.adapters.mongo.report_rows import DECISION, JOB, RUN, jobs_of, payments_of
from gpuagent.adapters.mongo.report_snapshots import Snapshots
from gpuagent.adapters.mongo.report_streams import MongoStreams, jobs_in, runs_in
from gpuagent.adapters.mongo.statuses import UNFINISHED
from gpuagent.adapters.mongo.values import Document, cut_off
from gpuagent.core.model import RunStatus
from gpuagent.core.records import ReportScope

SUMMARIES = "report_summaries"
LEAF_DIGITS = 5
"""Hexadecimal digits of an id that number its leaf, 4096 seconds of runs (reports/partitions.py)."""
TOO_LARGE = {10334, 17419, 17420, 146}
"""MongoDB's error codes for an answer that is larger than a document may be."""
ROWS_MAX = 75_000
"""Jobs or payments that are read at once, some 25 MB of them, unless they are of one run; twice as many are held."""
BATCH_ROWS = 20_000  # of an answer, some 7 MB of them, of which there are two copies for a moment
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


class MongoPartitions(MongoStreams):
    """The same rows, and those of a range of runs as columns. Every method raises StoreError.

    first, end: ids, first <= id of the run < end. Columns of each collection may be read by a thread.
    """

    _read_at: Timestamp | None = None
    """The moment of the runs that were read first, and of all columns since, as the server has it."""

    @cached_property
    def _whole(self) -> dict[ReportScope, bool]:
        """By scope, whether it leaves out no document for its network or its end."""
        return {}

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
        """The beginning of the leaf amid those of the runs that match; `first` where all are read by one session."""
        in_range = {**match, "_id": {"$gte": ObjectId(first), "$lt": ObjectId(end)}}
        runs, session = self._database.runs, self._session
        with bounded(self._deadline_s):
            limits = [runs.find_one(in_range, {"_id": 1}, sort={"_id": order}, session=session) for order in (1, -1)]
        leaves = sum(int(str(run["_id"])[:LEAF_DIGITS], 16) for run in limits if run)
        return max(first, f"{leaves // 2:0{LEAF_DIGITS}x}".ljust(24, "0")) if self._read_at else first

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

    def run_columns(self, scope: ReportScope, first: str, end: str, limit: int) -> Mapping[str, Column]:
        """The first runs of the scope in the range, in the order of their ids."""
        match = self._needed(scope, {**runs_in(scope), "_id": {"$gte": ObjectId(first), "$lt": ObjectId(end)}})
        runs = self._find({"find": "runs", "filter": match, "sort": {"_id": 1}, "limit": limit}, RUN_COLUMNS)
        self._read_at = self._read_at or runs.read_at
        return runs

    def job_columns(self, scope: ReportScope, run_ids: Sequence[str]) -> Mapping[str, Column] | None:
        """The jobs of these runs, whichever the vendor. run_ids: in their order. None: they are too many to be held."""
        match = self._needed(scope, {**jobs_in(scope), **_of(scope, run_ids)})
        return self._of_runs({"find": "jobs", "filter": match}, run_ids, JOB_COLUMNS)

    def payment_columns(self, scope: ReportScope, run_ids: Sequence[str]) -> Mapping[str, Column] | None:
        match = self._needed(scope, {**_of(scope, run_ids), "network": scope.network})
        return self._of_runs({"find": "payments", "filter": match}, run_ids, PAYMENT_COLUMNS)

    def answers_of(self, scope: ReportScope, run_ids: Sequence[str]) -> Iterator[Document]:
        """Decisions that a planner charged for, in these runs."""
        match = {**_answers(scope, run_ids), "runId": {"$in": list(map(ObjectId, run_ids))}}  # far from each other
        return self._rows("observations", [{"$match": match}, {"$sort": {"timestamp": 1}}, {"$project": DECISION}])

    def answer_columns(self, scope: ReportScope, run_ids: Sequence[str]) -> Mapping[str, list[Any]] | None:
        """Their columns, in no order."""
        return self._columns("observations", [{"$match": _answers(scope, run_ids)}], ANSWER_COLUMNS)

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

    def _columns(
        self, collection: str, pipeline: Sequence[Mapping[str, Any]], fields: Mapping[str, Any]
    ) -> Mapping[str, list[Any]] | None:
        """None: what a document may hold is less."""
        arrays = {name: {"$push": {"$ifNull": [field, None]}} for name, field in fields.items()}
        with bounded(self._deadline_s):
            try:
                group = [*pipeline, {"$group": {"_id": None, **arrays}}]
                answer = self._answer(collection, {"aggregate": collection, "pipeline": group, "cursor": {}})
                return next(iter(answer["cursor"]["firstBatch"]), {name: [] for name in arrays})
            except OperationFailure as error:
                if error.code not in TOO_LARGE:
                    raise
                return None

    def _needed(self, scope: ReportScope, match: Document) -> Document:
        """What matches the same documents, without what is true of all."""
        if scope not in self._whole:
            with self._turn:
                self._whole[scope] = report_scopes.holds_all(self._database, self._session, scope)
        return {name: of for name, of in match.items() if not (self._whole[scope] and name in report_scopes.SHARED)}

    def _of_runs(self, find: Document, run_ids: Sequence[str], fields: Fields) -> Mapping[str, Column] | None:
        """Columns of what is found of some runs. None: more rows than are held at once, of several runs."""
        if len(run_ids) == 1:
            return self._find(find, fields)
        rows = self._find({**find, "limit": ROWS_MAX + 1}, fields)
        return None if rows.count > ROWS_MAX else rows

    def _find(self, find: Document, fields: Fields) -> BsonColumns:
        """Columns of what is found. The server projects whole fields alone, which costs it least."""
        batches, projection = Batches(), {"_id": 0, **{path: 1 for path, _ in fields.values()}}
        command = {**find, "projection": projection, "batchSize": BATCH_ROWS}
        self._read(find["find"], command, lambda cursor: batches.add(memoryview(cursor.raw)), codec_options=RAW)
        return BsonColumns(batches, fields)

    def _grouped(self, collection: str, pipeline: Sequence[Mapping[str, Any]]) -> list[Document]:
        """The rows of a pipeline, which a thread may read while another one reads the session's."""
        rows: list[Document] = []

        def take(cursor: Any) -> int:
            rows.extend(cursor.get("firstBatch") or cursor["nextBatch"])
            return int(cursor["id"])

        self._read(
            collection, {"aggregate": collection, "pipeline": pipeline, "cursor": {"batchSize": BATCH_ROWS}}, take
        )
        return rows

    def _read(self, collection: str, command: Document, take: Callable[[Any], int], **options: Any) -> None:
        """All answers to a command. take: called with the cursor in each, returns its id, 0 at the end."""
        while command:
            # The server refuses a time limit for a getMore: the first answer's is for all of them.
            limit = pymongo.timeout(None) if "getMore" in command else nullcontext()
            with bounded(self._deadline_s), limit:
                cursor_id = take(self._answer(collection, command, **options)["cursor"])
            more = {"getMore": Int64(cursor_id), "collection": collection, "batchSize": BATCH_ROWS}
            command = more if cursor_id else {}

    def _answer(self, collection: str, command: Document, **options: Any) -> Any:
        """A session serves one thread at a time: so each collection is read by one of its own, as of the moment of the
        runs that were read first; where the server does not say it, by the one that all share."""
        if self._read_at is None:
            with self._turn:
                return self._database.command(command, session=self._session, **options)
        if "getMore" not in command:
            command = {**command, "readConcern": {"level": "snapshot", "atClusterTime": self._read_at}}
        with self._snapshots.beside(collection) as session:
            return self._database.command(command, session=session, **options)


def _within(first: str, end: str) -> Document:
    return {"$match": {"runId": {"$gte": ObjectId(first), "$lt": ObjectId(end)}}}


def _leaf(path: str) -> Document:
    return {"$substrBytes": [{"$toString": path}, 0, LEAF_DIGITS]}


def _of(scope: ReportScope, run_ids: Sequence[str]) -> Document:
    """What matches documents of these runs, and of all between them where the scope leaves out none."""
    if scope.user or scope.tag:
        return {"runId": {"$in": list(map(ObjectId, run_ids))}}
    return {"runId": {"$gte": ObjectId(run_ids[0]), "$lte": ObjectId(run_ids[-1])}}


def _answers(scope: ReportScope, run_ids: Sequence[str]) -> Document:
    charged = {"type": "agent_reasoning", "data.cost": {"$gt": 0}}
    return {**_of(scope, run_ids), **charged, "timestamp": {"$lt": scope.until}}


def _units_of(value: Any) -> int:
    """A sum of amounts in atomic units; 0 where there was no amount at all."""
    return cut_off(value) if isinstance(value, Decimal128) else 0


@contextmanager
def history(client: MongoClient[Any], database: Database[Document], deadline_s: float) -> Iterator[MongoPartitions]:
    """deadline_s: for the rows of one collection, or one batch of them."""
    with ExitStack() as sessions:
        yield MongoPartitions(database, Snapshots(client, sessions), deadline_s)
