"""Holds that are late: signed, and the authorization has expired; or reserved, and the quote has."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database

from gpuagent.adapters.mongo.jobs import HELD
from gpuagent.adapters.mongo.values import Document, date, money

LATE_MAX = 1_000
"""Holds that are read at once."""


def late_holds(database: Database[Document], ended_before: float) -> list[Document]:
    """Jobs as documents, with `runId`, `vendorId`, `state`, `expectedCost` and `lateSince`. ended_before: Unix time.

    By the index on what runs hold: however many runs there are, only those that hold something are read.
    """
    end = date(ended_before)
    stages: Sequence[Mapping[str, Any]] = [
        {"$match": {"held": {"$gt": money(0)}}},
        {"$lookup": {"from": "jobs", "localField": "_id", "foreignField": "runId", "as": "job", "pipeline": _HOLDS}},
        {"$unwind": "$job"},
        {"$replaceRoot": {"newRoot": "$job"}},
        {
            "$lookup": {
                "from": "payments",
                "localField": "_id",
                "foreignField": "jobId",
                "as": "payments",
                "pipeline": [{"$project": {"_id": 0, "validBefore": 1}}],
            }
        },
        {
            "$match": {
                "$or": [
                    {"state": "reserved", "quote.expiresAt": {"$lte": end}},
                    {"state": "authorized", "payments.validBefore": {"$lte": int(ended_before)}},
                ]
            }
        },
        {"$limit": LATE_MAX},
    ]
    return [{**job, "lateSince": _since(job)} for job in database.runs.aggregate(stages)]


def _since(job: Document) -> datetime:
    if job["state"] == "reserved":
        expired: datetime = job["quote"]["expiresAt"]
        return expired
    return datetime.fromtimestamp(max(payment["validBefore"] for payment in job["payments"]), UTC)


_HOLDS: Sequence[Mapping[str, Any]] = [
    {"$match": {"state": {"$in": HELD}}},
    {"$project": {"runId": 1, "vendorId": 1, "state": 1, "expectedCost": 1, "quote.expiresAt": 1}},
]
