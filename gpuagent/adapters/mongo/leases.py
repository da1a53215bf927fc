"""The queue of runs to tick, shared among many workers: each claims a run for a short time.

A lease saves work that two would do twice; nothing about money rests on it. Its clock is the database's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.adapters.mongo.jobs import HELD
from gpuagent.adapters.mongo.original import OURS
from gpuagent.adapters.mongo.values import money

KEPT_S = 86_400

Stages = Sequence[Mapping[str, Any]]


class MongoLeases:
    """Short leases on runs, in the collection `leases`. Raises StoreError."""

    def __init__(self, database: Database[dict[str, Any]], deadline_s: float) -> None:
        self._runs, self._leases = database.runs, database.leases
        self._deadline_s = deadline_s
        with bounded(deadline_s):
            self._leases.create_indexes([IndexModel([("until", ASCENDING)], expireAfterSeconds=KEPT_S)])

    def due(self, limit: int) -> list[str]:
        """Ids of runs that have something to do now and that no worker has claimed, longest without a tick first.

        Something to do: a job of it is open, or it runs and does not wait for a later time.
        """
        with bounded(self._deadline_s):
            runs = self._runs.aggregate(
                [*_RUNS_TO_TICK, {"$sort": {"lease.tickedAt": ASCENDING, "_id": ASCENDING}}, {"$limit": limit}]
            )
            return [str(run["_id"]) for run in runs]

    def claim(self, run_id: str, worker: str, seconds: float) -> bool:
        """Claim the run for so long; True for one of all workers that claim it at once. worker: a unique name."""
        free = {"$lte": ["$until", "$$NOW"]}  # a missing date is less than any
        until = {"$add": ["$$NOW", int(seconds * 1000)]}
        claim = {"worker": {"$cond": [free, worker, "$worker"]}, "until": {"$cond": [free, until, "$until"]}}
        with bounded(self._deadline_s):
            try:
                lease = self._leases.find_one_and_update(
                    {"_id": ObjectId(run_id)}, [{"$set": claim}], upsert=True, return_document=ReturnDocument.AFTER
                )
            except DuplicateKeyError:  # another worker's first lease of the run came in between
                return False
        return lease is not None and bool(lease["worker"] == worker)

    def renew(self, run_id: str, worker: str, seconds: float) -> None:
        """Let the worker's lease of the run end so many seconds from now; one that another holds by now stays."""
        with bounded(self._deadline_s):
            self._leases.update_one(
                {"_id": ObjectId(run_id), "worker": worker},
                [{"$set": {"until": {"$add": ["$$NOW", int(seconds * 1000)]}}}],
            )

    def release(self, run_id: str, worker: str) -> None:
        """End the worker's lease of the run, which goes to the end of the queue."""
        with bounded(self._deadline_s):
            self._leases.update_one(
                {"_id": ObjectId(run_id), "worker": worker},
                [{"$set": {"until": "$$NOW", "tickedAt": "$$NOW"}}],
            )


_OPEN_JOBS: Stages = [
    {"$match": {"$or": [{"state": {"$in": HELD}}, {"state": "settled", "status": {"$in": ["submitted", "running"]}}]}},
    {"$limit": 1},
    {"$project": {"_id": 1}},
]
_RUNS_TO_TICK: Stages = [
    {"$match": {**OURS, "$or": [{"status": "running"}, {"held": {"$gt": money(0)}}]}},
    {
        "$lookup": {
            "from": "jobs",
            "localField": "_id",
            "foreignField": "runId",
            "pipeline": _OPEN_JOBS,
            "as": "open",
        }
    },
    # null, when it waits for nothing, is less than any date
    {"$match": {"$or": [{"open": {"$ne": []}}, {"$expr": {"$lte": ["$waitUntil", "$$NOW"]}}]}},
    {"$lookup": {"from": "leases", "localField": "_id", "foreignField": "_id", "as": "lease"}},
    {"$set": {"lease": {"$first": "$lease"}}},
    {"$match": {"$expr": {"$not": {"$gt": ["$lease.until", "$$NOW"]}}}},
    {"$project": {"lease": 1}},
]
