"""The stored log lines of a run's jobs, for users who follow them."""

from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from gpuagent.adapters.mongo.values import Document
from gpuagent.core.records import JobLogLine

OVERLAP = timedelta(minutes=2)
"""Ids are of the clocks of the machines that write: a line may come to stand before one that was read already."""


def job_log(database: Database[Document], run_id: ObjectId, after: str = "") -> list[JobLogLine]:
    """The lines in the order in which they were stored. after: the id of a line; older ones are left out, and those
    shortly before it are among the answer again."""
    match: dict[str, Any] = {"runId": run_id, "type": "job_log"}
    if after:
        match["_id"] = {"$gte": ObjectId.from_datetime(ObjectId(after).generation_time - OVERLAP)}
    vendors = {job["_id"]: job.get("vendorId", "") for job in database.jobs.find({"runId": run_id}, {"vendorId": 1})}
    lines = database.observations.find(match, {"timestamp": 1, "jobId": 1, "content": 1}).sort("_id")
    return [
        JobLogLine(
            id=str(line["_id"]),
            at=line["timestamp"],
            job_id=str(line.get("jobId", "")),
            vendor_id=vendors.get(line.get("jobId"), ""),
            text=str(line.get("content", "")),
        )
        for line in lines
    ]
