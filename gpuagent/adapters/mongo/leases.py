"""The queue of runs to tick, shared among many workers: each claims a run for a short time.

A lease saves work that two would do twice; nothing about money rests on it. Its clock is the database's.
"""

import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, DeleteMany, IndexModel, UpdateMany, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from gpuagent.adapters.mongo import server
from gpuagent.adapters.mongo.deadline import bounded
from gpuagent.adapters.mongo.jobs import HELD
from gpuagent.adapters.mongo.original import OURS
from gpuagent.adapters.mongo.statuses import UNFINISHED

KEPT_S = 86_400
DUPLICATE_KEY = 11_000
SEARCH_S = 60.0
"""Between two looks at all runs for those that are in no queue; at late ones it looks each time."""
CLOCKS_S = 120
"""By how much the clocks of machines that start runs differ from the database's: ids say when, in whole seconds."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Stages = Sequence[Mapping[str, Any]]


class MongoLeases:
    """Short leases on runs, in the collection `leases`, which is their queue as well. Raises StoreError."""

    def __init__(self, database: Database[dict[str, Any]], deadline_s: float) -> None:
        self._runs, self._leases = database.runs, database.leases
        self._deadline_s = deadline_s
        self._newest, self._searched_at = ObjectId("0" * 24), -math.inf
        with bounded(deadline_s):
            self._leases.create_indexes(
                [
                    IndexModel([("until", ASCENDING)], expireAfterSeconds=KEPT_S),
                    IndexModel([("worker", ASCENDING)]),
                    IndexModel([("dueAt", ASCENDING)]),
                ]
            )

    def due(self, limit: int) -> list[str]:
        """Ids of runs that have something to do now and that no worker has claimed, longest due first; before
        them those that no worker ever had.

        Something to do: a job of it is open, or it runs and does not wait for a later time.
        """
        now = {"$lte": ["$dueAt", "$$NOW"]}, {"$lte": ["$until", "$$NOW"]}
        with bounded(self._deadline_s):
            run_ids = self._unknown(limit)
            if len(run_ids) < limit:
                leases = self._leases.find({"dueAt": {"$gt": EPOCH}, "$expr": {"$and": now}}, {"_id": 1})
                in_turn = leases.sort("dueAt", ASCENDING).limit(limit - len(run_ids))
                run_ids += [str(lease["_id"]) for lease in in_turn]
        return run_ids

    def _unknown(self, limit: int) -> list[str]:
        """Runs with something to do that no worker has ever claimed: of late ones always, of all now and then."""
        if searched := time.monotonic() - self._searched_at > SEARCH_S:
            self._newest, self._searched_at = ObjectId("0" * 24), time.monotonic()
        since = {"$match": {"_id": {"$gt": self._newest}, **_UNFINISHED}}
        run_ids = [run["_id"] for run in self._runs.aggregate([since, *_UNKNOWN_TO_TICK, {"$limit": limit}])]
        if len(run_ids) < limit and (run_ids or searched):  # these were all: the next are newer than this look
            now = datetime.fromtimestamp(server.clock(self._runs.database.client), UTC)
            self._newest = ObjectId.from_datetime(now - timedelta(seconds=CLOCKS_S))
        return [str(run_id) for run_id in run_ids]

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
        claim = {
            "worker": {"$cond": [free, worker, "$worker"]},
            "until": {"$cond": [free, until, "$until"]},
            "dueAt": {"$ifNull": ["$dueAt", "$$NOW"]},
        }
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

    def release(self, worker: str, rests: Mapping[str, float | None], keep: Sequence[str] = ()) -> None:
        """End the worker's leases but those to keep. rests: by run, the seconds after which it is due again; None: it
        is over. A run that is named in neither is due as it was.
        """
        by_rest: dict[float | None, list[ObjectId]] = {}
        for run_id, rest_s in rests.items():
            by_rest.setdefault(rest_s, []).append(ObjectId(run_id))
        over = by_rest.pop(None, [])
        free = {"until": "$$NOW", "worker": ""}
        changes: list[DeleteMany | UpdateMany] = [
            UpdateMany(
                {"_id": {"$in": ids}, "worker": worker},
                [{"$set": {**free, "dueAt": {"$add": ["$$NOW", int((rest_s or 0) * 1000)]}}}],
            )
            for rest_s, ids in by_rest.items()
        ]
        if over:
            changes.append(DeleteMany({"_id": {"$in": over}, "worker": worker}))
        others = {"_id": {"$nin": list(map(ObjectId, keep))}} if keep else {}
        changes.append(UpdateMany({"worker": worker, **others}, [{"$set": free}]))
        with bounded(self._deadline_s):
            self._leases.bulk_write(changes)


_OPEN_JOBS: Stages = [
    {"$match": {"$or": [{"state": {"$in": HELD}}, {"state": "settled", "status": {"$in": ["submitted", "running"]}}]}},
    {"$limit": 1},
    {"$project": {"_id": 1}},
]
_UNFINISHED: Mapping[str, Any] = {**OURS, "$or": UNFINISHED}
_UNKNOWN_TO_TICK: Stages = [
    {"$lookup": {"from": "leases", "localField": "_id", "foreignField": "_id", "as": "lease"}},
    # A version before this one left leases that say nothing of when the run is due.
    {"$match": {"lease.dueAt": {"$exists": False}, "$expr": {"$lte": [{"$max": "$lease.until"}, "$$NOW"]}}},
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
    {"$project": {"_id": 1}},
]
