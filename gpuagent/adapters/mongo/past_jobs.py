"""Ended jobs of each vendor across all runs, from which its reliability is learned."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.client_session import ClientSession
from pymongo.database import Database

from gpuagent.adapters.mongo.values import Document, cut_off, seconds
from gpuagent.core.context import PastJob
from gpuagent.core.model import HOURS_MIN, Cause, Run
from gpuagent.core.work import Fault

# Fields as they are stored: what the server computes for a record costs it more than to read the record.
FIELDS = (
    *("_id", "runId", "vendorId", "status", "state", "jobParams.maxHours", "createdAt", "completedAt"),
    *("expectedCost", "actualCost"),
)

OF_NO_VENDOR = (Fault.PROGRAM.value, Fault.TIME.value, Fault.NONE.value)
"""Faults that say nothing of a vendor."""
HAS_ENDED: Document = {
    "$or": [
        {"state": "settled", "status": {"$in": ["completed", "failed"]}, "fault": {"$nin": list(OF_NO_VENDOR)}},
        {"state": "voided", "cause": Cause.VENDOR.value},
    ]
}
"""Matches what is_ended() says."""


def is_ended(job: Document) -> bool:
    """Whether a vendor's reliability is learned from the recorded job, as pipeline() has it."""
    if job["state"] == "voided":
        return bool(job["cause"] == Cause.VENDOR)
    is_over = job["state"] == "settled" and job["status"] in ("completed", "failed")
    return is_over and job.get("fault") not in OF_NO_VENDOR


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
    # As an expression, as no index is to be chosen for it.
    not_this_run: Document = {"$expr": {"$ne": ["$runId", ObjectId(run.run_id)]}} if run else {}
    before: Document = {"createdAt": {"$lt": until}} if until else {}
    newest: list[Mapping[str, Any]] = [
        {"$match": {"quote.network": network, **not_this_run, **before, **HAS_ENDED}},
        {"$sort": {"createdAt": DESCENDING}},
        {"$limit": limit},
        {"$project": dict.fromkeys(FIELDS, 1)},
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
    return [past for job in sorted(documents, key=lambda job: job["createdAt"]) if (past := past_job(job))]


def _hours(job: Document) -> Decimal:
    """The hours that were paid for, 0 where the record holds no number."""
    try:
        hours = Decimal(str(job["jobParams"].get("maxHours")))
    except InvalidOperation:
        return Decimal(0)
    return hours if hours.is_finite() else Decimal(0)


def past_job(job: Document) -> PastJob | None:
    """The record as a PastJob, None for one of no time. A voided job took none: when it was known to be void is not
    stored."""
    hours = _hours(job)
    if hours < HOURS_MIN:
        return None
    began_at = seconds(job["createdAt"])
    ended_at = seconds(job["completedAt"]) if job["state"] == "settled" else began_at
    return PastJob(
        vendor_id=job["vendorId"],
        in_run=False,
        succeeded=job["status"] == "completed",
        amount=cut_off(job["expectedCost"]),
        paid=cut_off(job["actualCost"]),
        hours=hours,
        started_at=began_at,
        ended_at=max(ended_at, began_at),
    )
