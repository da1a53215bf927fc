"""The queue of runs to tick, shared among many workers: each claims a run for a short time.

A lease saves work that two would do twice; nothing about money rests on it. Its clock is the database's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, IndexModel, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.adapters.mongo.jobs import HELD
from gpuagent.adapters.mongo.original import OURS
from gpuagent.adapters.mongo.values import money

KEPT_S = 86_400
DUPLICATE_KEY = 11_000

Stages = Sequence[Mapping[str, Any]]


class MongoLeases:
    """Short leases on runs, in the collection `leases`. Raises StoreError."""

    def __init__(self, database: Database[dict[str, Any]], deadline_s: float) -> None:
        self._runs, self._leases = database.runs, database.leases
        self._deadline_s = deadline_s
        with bounded(deadline_s):
            self._leases.create_indexes(
                [IndexModel([("until", ASCENDING)], expireAfterSeconds=KEPT_S), IndexModel([("worker", ASCENDING)])]
            )

    def due(self, limit: int, rest_s: float = 0) -> list[str]:
        """Ids of runs that have something to do now and that no worker has claimed, longest without a tick first.

        Something to do: a job of it is open, or it runs and does not wait for a later time. rest_s: those that were
        released less than so many seconds ago rest.
        """
        rested = {"$lte": ["$lease.tickedAt", {"$subtract": ["$$NOW", int(rest_s * 1000)]}]}
        pipeline: list[Mapping[str, Any]] = [*_RUNS_TO_TICK, *([{"$match": {"$expr": rested}}] if rest_s else [])]
        order = {"$sort": {"lease.tickedAt": ASCENDING, "_id": ASCENDING}}
        with bounded(self._deadline_s):
            return [str(run["_id"]) for run in self._runs.aggregate([*pipeline, order, {"$limit": limit}])]

    def unfinished(self) -> bool:
        """Whether a run is there that is not over: it runs, or holds money."""
        with bounded(self._deadline_s):
            return self._runs.find_one(_UNFINISHED, {"_id": 1}) is not None

    def claim(self, run_ids: Sequence[str], worker: str, seconds: float) -> list[str]:
        """Claim runs for so long, in two commands. The ids of those that are the worker's now; of all workers that
        claim a run at once, it is one's.

        worker: a name that is used for one claim.
        """
        free = {"$lte": ["$until", "$$NOW"]}  # a missing date is less than any
        until = {"$add": ["$$NOW", int(seconds * 1000)]}
        claim = {"worker": {"$cond": [free, worker, "$worker"]}, "until": {"$cond": [free, until, "$until"]}}
        claims = [UpdateOne({"_id": ObjectId(run_id)}, [{"$set": claim}], upsert=True) for run_id in run_ids]
        if not claims:
            return []
        with bounded(self._deadline_s):
            try:
                self._leases.bulk_write(claims, ordered=False)
            except BulkWriteError as error:
                # Another worker's first lease of a run came in between.
                if any(problem["code"] != DUPLICATE_KEY for problem in error.details["writeErrors"]):
                    raise
            ids = {"_id": {"$in": [ObjectId(run_id) for run_id in run_ids]}, "worker": worker}
            claimed = {str(lease["_id"]) for lease in self._leases.find(ids, {"_id": 1})}
        return [run_id for run_id in run_ids if run_id in claimed]

    def renew(self, worker: str, seconds: float) -> None:
        """Let the worker's leases end so many seconds from now; those that another holds by now stay."""
        with bounded(self._deadline_s):
            self._leases.update_many(
                {"worker": worker}, [{"$set": {"until": {"$add": ["$$NOW", int(seconds * 1000)]}}}]
            )

    def release(self, worker: str) -> None:
        """End the worker's leases. Their runs go to the end of the queue."""
        with bounded(self._deadline_s):
            self._leases.update_many(
                {"worker": worker}, [{"$set": {"until": "$$NOW", "tickedAt": "$$NOW", "worker": ""}}]
            )


_OPEN_JOBS: Stages = [
    {"$match": {"$or": [{"state": {"$in": HELD}}, {"state": "settled", "status": {"$in": ["submitted", "running"]}}]}},
    {"$limit": 1},
    {"$project": {"_id": 1}},
]
_UNFINISHED: Mapping[str, Any] = {**OURS, "$or": [{"status": "running"}, {"held": {"$gt": money(0)}}]}
_RUNS_TO_TICK: Stages = [
    {"$match": _UNFINISHED},
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
