"""Indexes: for the reads of lists, caps and reports, and against duplicates."""

from typing import Any

from bson import Decimal128
from pymongo import ASCENDING, DESCENDING, TEXT, IndexModel

ALERTS_KEPT_S = 90 * 86_400


def _unique(*keys: str, where: dict[str, Any] | None = None) -> IndexModel:
    options = {"partialFilterExpression": where} if where else {}
    return IndexModel([(key, ASCENDING) for key in keys], unique=True, **options)


def _unique_of_ours(*keys: str, has: str) -> IndexModel:
    """Unique among the documents with that field: those of the original system lack it."""
    name = "_".join((*keys, "of_ours"))
    where = {has: {"$exists": True}}
    return IndexModel([(key, ASCENDING) for key in keys], unique=True, name=name, partialFilterExpression=where)


def _newest_first(field: str) -> IndexModel:
    """The order in which a list shows the runs with one value of the field."""
    return IndexModel([(field, ASCENDING), ("_id", DESCENDING)])


def _greatest_first(field: str) -> IndexModel:
    """The order of a list that is sorted by the field."""
    return IndexModel([(field, DESCENDING), ("_id", DESCENDING)])


def _times_of_settled(time: str) -> IndexModel:
    """The order in which exports are written."""
    return IndexModel([(time, ASCENDING)], name=f"{time}_of_settled", partialFilterExpression={"state": "settled"})


def _sums_of_a_day(field: str) -> IndexModel:
    """With all that a cap adds up over a day: no job is read for it."""
    names = (field, "state", "settledAt", "quote.network", "expectedCost", "_id")
    return IndexModel([(name, ASCENDING) for name in names])


INDEXES: dict[str, list[IndexModel]] = {
    "runs": [
        IndexModel([("createdAt", DESCENDING), ("_id", DESCENDING)]),
        IndexModel([("payer", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("held", ASCENDING)], partialFilterExpression={"held": {"$gt": Decimal128("0")}}),
        *(_newest_first(name) for name in ("phase", "userId", "tags")),
        # With the version, by which a report sees in the index alone which runs have changed.
        IndexModel([("network", ASCENDING), ("_id", DESCENDING), ("version", ASCENDING)]),
        # What lists are sorted by, and the words that they are searched for (run_list.py). No document says in which
        # language its goal is: every word counts as it is written.
        *(_greatest_first(name) for name in ("settled", "budgetTotal")),
        # With the status, by which those that failed lately are found in the index alone.
        IndexModel([("updatedAt", DESCENDING), ("_id", DESCENDING), ("status", ASCENDING)]),
        IndexModel([("goal", TEXT)], default_language="none", language_override="goalLanguage"),
    ],
    "jobs": [
        # With the cost, which an operator may set by hand: a report sees it in the index alone.
        IndexModel([("runId", ASCENDING), ("ordinal", ASCENDING), ("actualCost", ASCENDING)]),
        _unique_of_ours("runId", "ordinal", has="ordinal"),
        _unique("vendorId", "vendorJobId", where={"vendorJobId": {"$type": "string"}}),
        *(_sums_of_a_day(name) for name in ("payer", "vendorId")),
        IndexModel([("tags", ASCENDING), ("state", ASCENDING)]),
        IndexModel([("userId", ASCENDING), ("state", ASCENDING), ("settledAt", ASCENDING)]),
        IndexModel([("vendorId", ASCENDING), ("quote.network", ASCENDING), ("createdAt", DESCENDING)]),
        *(_times_of_settled(name) for name in ("settledAt", "completedAt")),
    ],
    "payments": [
        IndexModel([("jobId", ASCENDING)]),
        _unique_of_ours("jobId", "attempt", has="attempt"),
        _unique_of_ours("network", "asset", "payer", "nonce", has="network"),
        IndexModel([("runId", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("vendorId", ASCENDING), ("createdAt", ASCENDING)]),
        IndexModel([("payer", ASCENDING), ("status", ASCENDING)]),
    ],
    "observations": [
        IndexModel([("runId", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("timestamp", ASCENDING)], partialFilterExpression={"data.cost": {"$gt": 0}}),
        IndexModel(
            [("runId", ASCENDING)], name="runId_of_paid_answers", partialFilterExpression={"data.cost": {"$gt": 0}}
        ),
        _unique_of_ours("jobId", "position", has="position"),
    ],
    "vendors": [_unique("vendorId")],
    "policies": [_unique("version"), _unique("current", where={"current": True})],
    # A transfer is booked once, however often it is read; a vendor's word on a job once of each kind.
    "refunds": [
        _unique("network", "asset", "transaction", "logIndex"),
        IndexModel([("wallet", ASCENDING), ("_id", ASCENDING)]),
    ],
    "credits": [_unique("jobId", "kind"), IndexModel([("wallet", ASCENDING)])],
}
SUPERSEDED = {
    "runs": ("status_1_updatedAt_-1", "status_1__id_-1", "updatedAt_-1__id_-1"),
    "jobs": ("payer_1_state_1_settledAt_1", "vendorId_1_state_1_settledAt_1", "state_1"),
}
"""Indexes of earlier versions that others above take the place of: every write would keep them up for nothing."""
KEPT_S = 90 * 86_400
DERIVED_INDEXES: dict[str, list[IndexModel]] = {
    "report_summaries": [IndexModel([("keptAt", ASCENDING)], expireAfterSeconds=KEPT_S)],
}
"""Of what can be made anew: who may not make it goes without."""
FILE_INDEXES: dict[str, list[IndexModel]] = {
    "gpuagent_files.files": [_unique("filename"), IndexModel([("metadata.uploads", ASCENDING)])],
    "gpuagent_files.chunks": [_unique("files_id", "n")],
}
"""The file store's, in the format of GridFS (adapters/files/gridfs.py). They guard no money: what a file's content is
is proven by its hash."""
ALERT_INDEXES: dict[str, list[IndexModel]] = {
    "alerts": [
        IndexModel([("createdAt", ASCENDING)], expireAfterSeconds=ALERTS_KEPT_S),
        IndexModel([("kind", ASCENDING), ("open", ASCENDING)], partialFilterExpression={"open": True}),
    ],
}
"""They guard nothing: an alert's key is its _id. Its history is kept for a while, and not for ever."""
