"""A run as the console shows it: read in bounded time, however long its log, and without signatures."""

import re
from collections.abc import Sequence

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.database import Database

from gpuagent.adapters.mongo.values import Document
from gpuagent.core.model import SECRET_FIELDS
from gpuagent.core.records import RunSnapshot

METRICS_MAX = 4_000
"""Metrics that are read of a run, all its jobs together; a few more, for the last of each job is always read."""

DECISIONS_MAX = 200
"""Decisions of a run that can be chosen, the newest."""


def glance(
    database: Database[Document], run_id: ObjectId, types: Sequence[str], text: str, limit: int, decision: str = ""
) -> RunSnapshot | None:
    """None where there is no such run. types, text: which observations; text is searched as it is, case ignored.

    decision: the id of the one to read whole; "", or one that is not this run's: the newest.
    """
    run = database.runs.find_one({"_id": run_id})
    if run is None:
        return None
    match: Document = {"runId": run_id, "type": {"$in": list(types)}}
    if len(types) > 1:  # a job's metrics are drawn: in a list of everything they would leave no room for the rest
        match["data.kind"] = {"$ne": "metric"}
    if text:
        match["content"] = {"$regex": re.escape(text), "$options": "i"}
    newest = [("_id", DESCENDING)]
    decisions = {"runId": run_id, "type": "agent_reasoning"}
    return RunSnapshot(
        run,
        list(database.jobs.find({"runId": run_id}, dict.fromkeys(SECRET_FIELDS, 0)).sort("ordinal")),
        list(database.payments.find({"runId": run_id}, dict.fromkeys(SECRET_FIELDS, 0)).sort("_id")),
        _decision(database, run_id, decision) or database.observations.find_one(decisions, sort=newest),
        list(database.observations.find(match, {"data": 0}).sort(newest).limit(limit)),
        _metrics(database, run_id),
        list(database.observations.find(decisions, {"data": 0}).sort(newest).limit(DECISIONS_MAX))[::-1],
    )


def _decision(database: Database[Document], run_id: ObjectId, decision: str) -> Document | None:
    if not ObjectId.is_valid(decision):
        return None
    return database.observations.find_one({"_id": ObjectId(decision), "runId": run_id, "type": "agent_reasoning"})


def _metrics(database: Database[Document], run_id: ObjectId) -> list[Document]:
    """The metrics of a run's jobs: every one, or of many every second, third and so on, and the last of each job."""
    match = {
        "runId": run_id,
        "type": "metric",
        "data.kind": "metric",
        "data.metric": {"$type": "object"},
        "position": {"$type": "number"},
    }
    counts = {"_id": "$jobId", "count": {"$sum": 1}, "last": {"$max": "$position"}}
    jobs = list(database.observations.aggregate([{"$match": match}, {"$group": counts}]))
    stride = -(-sum(job["count"] for job in jobs) // METRICS_MAX) or 1
    last = [{"jobId": job["_id"], "position": job["last"]} for job in jobs]
    fields = {"_id": 0, "jobId": 1, "position": 1, "metric": "$data.metric"}
    chosen = database.observations.find({**match, "$or": [{"position": {"$mod": [stride, 0]}}, *last]}, fields)
    return list(chosen.sort([("jobId", 1), ("position", 1)]))
