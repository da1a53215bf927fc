"""A run as the console shows it: bounded reads, however long its log is, and nothing that was signed."""

import re
from collections.abc import Sequence

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.database import Database

from gpuagent.adapters.mongo.values import Document
from gpuagent.core.model import SECRET_FIELDS
from gpuagent.core.records import RunSnapshot


def glance(
    database: Database[Document], run_id: ObjectId, types: Sequence[str], text: str, limit: int
) -> RunSnapshot | None:
    """None where there is no such run. types, text: which observations; text is searched as it is, case ignored."""
    run = database.runs.find_one({"_id": run_id})
    if run is None:
        return None
    match: Document = {"runId": run_id, "type": {"$in": list(types)}}
    if text:
        match["content"] = {"$regex": re.escape(text), "$options": "i"}
    newest = [("_id", DESCENDING)]
    return RunSnapshot(
        run,
        list(database.jobs.find({"runId": run_id}).sort("ordinal")),
        list(database.payments.find({"runId": run_id}, dict.fromkeys(SECRET_FIELDS, 0)).sort("_id")),
        database.observations.find_one({"runId": run_id, "type": "agent_reasoning"}, sort=newest),
        list(database.observations.find(match, {"data": 0}).sort(newest).limit(limit)),
    )
