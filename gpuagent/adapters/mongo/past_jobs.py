"""Ended jobs of each vendor across all runs of the database: what reliability is learned from."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.client_session import ClientSession
from pymongo.database import Database

from gpuagent.adapters.mongo.values import Document, seconds
from gpuagent.core.context import PastJob
from gpuagent.core.model import HOURS_MIN, Cause, Run
from gpuagent.core.money import UNIT
from gpuagent.core.work import Fault

FIELDS = ("vendorId", "status", "state", "jobParams.maxHours", "createdAt", "completedAt")
# In atomic units from the server: the driver takes longer to read a decimal than all else of such a record.
UNITS = {
    name: {"$toLong": {"$multiply": [f"${stored}", UNIT]}}
    for name, stored in (("amount", "expectedCost"), ("paid", "actualCost"))
}


def read(
    database: Database[dict[str, Any]],
    run: Run | None,
    network: str,
    vendor_ids: Sequence[str],
    limit: int,
    until: datetime | None = None,
    session: ClientSession | None = None,
) -> list[PastJob]:
    """The newest `limit` ended jobs of each vendor in all other runs on the network, oldest first, in one read.

    run: the run that asks, None for a report. until: only jobs reserved before then.
    """
    stages = pipeline(run, network, vendor_ids, limit, until)
    return past_jobs(database.vendors.aggregate(stages, session=session))


def pipeline(
    run: Run | None, network: str, vendor_ids: Sequence[str], limit: int, until: datetime | None = None
) -> list[Mapping[str, Any]]:
    """Of vendors their jobs, as read() has them.

    A purchase that fell through (voided) counts as a failure that cost nothing where the vendor was the cause; where a
    policy, an approver or another job's success was, it says nothing about the vendor and is left out. So is a job that
    is shorter than any that could have been bought: another program must have written it.
    """
    has_ended = {
        "$or": [
            {
                "state": "settled",
                "status": {"$in": ["completed", "failed"]},
                "fault": {"$nin": [Fault.PROGRAM.value, Fault.TIME.value, Fault.NONE.value]},
            },
            {"state": "voided", "cause": Cause.VENDOR.value},
        ]
    }
    # As an expression, as no index is to be chosen for it.
    not_this_run: Document = {"$expr": {"$ne": ["$runId", ObjectId(run.run_id)]}} if run else {}
    before: Document = {"createdAt": {"$lt": until}} if until else {}
    newest: list[Mapping[str, Any]] = [
        {"$match": {"quote.network": network, **not_this_run, **before, **has_ended}},
        {"$sort": {"createdAt": DESCENDING}},
        {"$limit": limit},
        {"$project": {"_id": 0, **dict.fromkeys(FIELDS, 1), **UNITS}},
    ]
    lookup = {"from": "jobs", "localField": "vendorId", "foreignField": "vendorId", "pipeline": newest, "as": "jobs"}
    return [
        {"$match": {"vendorId": {"$in": list(vendor_ids)}}},
        {"$lookup": lookup},
        {"$project": {"jobs": 1}},
        {"$unwind": "$jobs"},
        {"$replaceRoot": {"newRoot": "$jobs"}},
    ]


def past_jobs(documents: Iterable[Document]) -> list[PastJob]:
    """What pipeline() brings, oldest first."""
    jobs = sorted(((job, _hours(job)) for job in documents), key=lambda pair: pair[0]["createdAt"])
    return [_past_job(job, hours) for job, hours in jobs if hours >= HOURS_MIN]


def _hours(job: Document) -> Decimal:
    """The hours that were paid for, 0 where the record holds no number."""
    try:
        hours = Decimal(str(job["jobParams"].get("maxHours")))
    except InvalidOperation:
        return Decimal(0)
    return hours if hours.is_finite() else Decimal(0)


def _past_job(job: Document, hours: Decimal) -> PastJob:
    """The record as a PastJob. A voided job took no time: when it was known to be void is not stored."""
    began_at = seconds(job["createdAt"])
    ended_at = seconds(job["completedAt"]) if job["state"] == "settled" else began_at
    return PastJob(
        vendor_id=job["vendorId"],
        in_run=False,
        succeeded=job["status"] == "completed",
        amount=int(job["amount"]),
        paid=int(job["paid"]),
        hours=hours,
        started_at=began_at,
        ended_at=max(ended_at, began_at),
    )
