"""The timeline of a run, by page, and the record of an entry. Metrics and bare progress are left to charts."""

from collections.abc import Sequence

from bson import ObjectId
from pymongo import ASCENDING
from pymongo.database import Database

from gpuagent.adapters.mongo.values import Document
from gpuagent.core.model import SECRET_FIELDS, ObservationType
from gpuagent.core.timeline import ENTRIES, EntryKind, TimelineEntry, TimelinePage, TimelineRecord
from gpuagent.errors import BadInput

WITHOUT_SECRETS = dict.fromkeys(SECRET_FIELDS, 0)
DETAILS = {"$nor": [{"data.kind": "metric"}, {"data.progress": {"$exists": True}}, {"data.of": "checkpoint"}]}


def timeline(
    database: Database[Document], run_id: ObjectId, after: str, kinds: Sequence[EntryKind], limit: int
) -> TimelinePage:
    """Raises BadInput where `after` is no entry's id."""
    types = [type_ for type_, kind in ENTRIES.items() if kind in kinds]
    match: Document = {"runId": run_id, "type": {"$in": types}, **DETAILS}
    if after:
        match["_id"] = {"$gt": _id(after)}
    fields = {"type": 1, "content": 1, "timestamp": 1, "jobId": 1}
    rows = list(database.observations.find(match, fields).sort("_id", ASCENDING).limit(limit + 1))
    vendors = {job["_id"]: job["vendorId"] for job in database.jobs.find({"runId": run_id}, {"vendorId": 1})}
    decisions = _decisions_before(database, run_id, rows)
    entries = []
    for row in rows[:limit]:
        kind = ENTRIES[row["type"]]
        decisions += kind is EntryKind.DECISION
        job_id = row.get("jobId")
        number = decisions if kind is EntryKind.DECISION else 0
        vendor, job = vendors.get(job_id, ""), str(job_id or "")
        entries.append(TimelineEntry(str(row["_id"]), kind, row["timestamp"], row["content"], job, vendor, number))
    return TimelinePage(entries, entries[-1].id if len(rows) > limit else "")


def timeline_record(database: Database[Document], run_id: ObjectId, entry_id: str) -> TimelineRecord:
    """Raises BadInput where the run has no such entry."""
    observation = database.observations.find_one({"_id": _id(entry_id), "runId": run_id})
    if observation is None:
        raise BadInput(f"run {run_id} has no entry {entry_id}: `gpuagent run timeline {run_id}` shows them")
    job_id = observation.get("jobId")
    if job_id is None:
        return TimelineRecord(observation)
    job = database.jobs.find_one({"_id": job_id, "runId": run_id}, WITHOUT_SECRETS)
    payment = database.payments.find_one({"jobId": job_id, "runId": run_id}, WITHOUT_SECRETS)
    return TimelineRecord(observation, job, payment)


def _decisions_before(database: Database[Document], run_id: ObjectId, rows: Sequence[Document]) -> int:
    """How many decisions the run made before these rows."""
    if not any(row["type"] == ObservationType.REASONING for row in rows):
        return 0
    before = {"runId": run_id, "type": ObservationType.REASONING.value, "_id": {"$lt": rows[0]["_id"]}}
    return database.observations.count_documents(before)


def _id(text: str) -> ObjectId:
    if not ObjectId.is_valid(text):
        raise BadInput(f"{text[:40]!r} is no entry of a timeline: take an entry's id, or `next` of the page before")
    return ObjectId(text)
