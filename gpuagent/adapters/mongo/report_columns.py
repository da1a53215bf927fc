"""The columns from which a report's summaries are made: of a range of runs, with their jobs and payments.

Documents come as the server has them, and are made columns of here (bson_columns.py): a million rows of a dozen fields
are so no million dicts. Times are milliseconds.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any, TypeAlias

import pymongo
from bson import Int64, ObjectId, Timestamp
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from gpuagent.adapters.mongo import report_scopes
from gpuagent.adapters.mongo.bson_batches import Batches
from gpuagent.adapters.mongo.bson_columns import BsonColumns
from gpuagent.adapters.mongo.bson_values import NO_TIME, Column, ColumnKind
from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.adapters.mongo.report_streams import MongoStreams, jobs_in, runs_in
from gpuagent.adapters.mongo.values import Document
from gpuagent.core.records import ReportScope

TOO_LARGE = {10334, 17419, 17420, 146}
"""MongoDB's error codes for an answer that is larger than a document may be."""
ROWS_MAX = 75_000
"""Jobs or payments that are read at once, some 25 MB of them, unless they are of one run; twice as many are held."""
BATCH_ROWS = 20_000  # of an answer, some 7 MB of them, of which there are two copies for a moment
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
Fields: TypeAlias = Mapping[str, tuple[str, ColumnKind]]
RUN_COLUMNS = {
    "runId": ("_id", ColumnKind.ID),
    **{name: (name, ColumnKind.TEXT) for name in ("userId", "planner", "status")},
    **{name: (name, ColumnKind.LIST) for name in ("tags", "plannerArms")},
    "createdAt": ("createdAt", ColumnKind.TIME),
    **{name: (name, ColumnKind.AMOUNT) for name in ("settled", "plannerCost", "budgetTotal")},
    "hasFile": ("workloadHash", ColumnKind.FILLED),
    "maxHours": ("maxHours", ColumnKind.NUMBER),
}
JOB_COLUMNS = {
    "jobId": ("_id", ColumnKind.ID),
    "runId": ("runId", ColumnKind.ID),
    "protocol": ("quote.protocol", ColumnKind.TEXT),
    "gpuType": ("jobParams.gpuType", ColumnKind.TEXT),
    "hours": ("jobParams.maxHours", ColumnKind.NUMBER),
    **{name: (name, ColumnKind.TEXT) for name in ("vendorId", "state", "status", "errorMessage")},
    **{name: (name, ColumnKind.AMOUNT) for name in ("expectedCost", "actualCost")},
    **{name: (name, ColumnKind.TIME) for name in ("createdAt", "settledAt", "completedAt")},
    "hoursSaved": ("hoursSaved", ColumnKind.NUMBER),
    "hedges": ("hedges", ColumnKind.ID),
}
PAYMENT_COLUMNS = {
    "jobId": ("jobId", ColumnKind.ID),
    "paymentStatus": ("status", ColumnKind.TEXT),
    "signedAt": ("createdAt", ColumnKind.TIME),
    **{name: (name, ColumnKind.AMOUNT) for name in ("refunded", "credit")},
}
ANSWER_COLUMNS = {
    "runId": {"$toString": "$runId"},
    "at": {"$ifNull": [{"$toLong": "$timestamp"}, Int64(NO_TIME)]},
    **{name: f"$data.{name}" for name in ("planner", "model", "cost", "tokens")},
}
"""As a pipeline makes them."""


class MongoColumns(MongoStreams):
    """The same rows, and those of a range of runs as columns. Every method raises StoreError.

    first, end: ids, first <= id of the run < end. Columns of each collection may be read by a thread.
    """

    _read_at: Timestamp | None = None
    """The moment of the runs that were read first, and of all columns since, as the server has it."""

    @cached_property
    def _whole(self) -> dict[ReportScope, bool]:
        """By scope, whether it leaves out no document for its network or its end."""
        return {}

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

    def answer_columns(self, scope: ReportScope, run_ids: Sequence[str]) -> Mapping[str, list[Any]] | None:
        """Their columns, in no order."""
        return self._columns("observations", [{"$match": answers_in_runs(scope, run_ids)}], ANSWER_COLUMNS)

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
            rows.extend(cursor["firstBatch"] if "firstBatch" in cursor else cursor["nextBatch"])
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


def _of(scope: ReportScope, run_ids: Sequence[str]) -> Document:
    """What matches documents of these runs, and of all between them where the scope leaves out none."""
    if scope.user or scope.tag:
        return {"runId": {"$in": list(map(ObjectId, run_ids))}}
    return {"runId": {"$gte": ObjectId(run_ids[0]), "$lte": ObjectId(run_ids[-1])}}


def answers_in_runs(scope: ReportScope, run_ids: Sequence[str]) -> Document:
    charged = {"type": "agent_reasoning", "data.cost": {"$gt": 0}}
    return {**_of(scope, run_ids), **charged, "timestamp": {"$lt": scope.until}}
