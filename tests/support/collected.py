"""Runs whose jobs have brought files, as documents and contents, without a vendor."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bson import ObjectId

from gpuagent.adapters.mongo.values import date
from gpuagent.core.ports.files import FileStore
from gpuagent.wiring.database import Database
from tests.support.factories import RUN
from tests.support.run_states import STATES

COLLECTED_AT = 1_700_000_000.0


def put_content(store: FileStore, content: bytes, upload: str) -> str:
    """Keeps a content; its SHA-256."""
    sha256 = hashlib.sha256(content).hexdigest()
    store.extend(upload, 0, [content], len(content))
    store.finish(upload, sha256, len(content))
    return sha256


def file_entry(path: str, content: bytes, kind: str = "output", at: float = COLLECTED_AT) -> dict[str, Any]:
    """An entry of `jobs.files`."""
    sha256 = hashlib.sha256(content).hexdigest()
    return {"path": path, "bytes": len(content), "sha256": sha256, "kind": kind, "collectedAt": date(at)}


def run_with_files(
    database: Database,
    store: FileStore,
    *jobs: Mapping[str, bytes],
    state: str = "completed",
    status: str = "completed",
    ended_at: float = COLLECTED_AT,
    kinds: Mapping[str, str] | None = None,
) -> str:
    """A run with one job for each mapping of paths to contents, at gpu_vendor_1, gpu_vendor_2, …; its id."""
    documents = database.connection.database
    run_id = database.store.new_id()
    for number, contents in enumerate(jobs):
        before = replace(RUN, run_id=run_id, version=number)
        if not number:
            database.store.create(before)
        (job,) = STATES[state]().jobs
        job = replace(job, job_id=database.store.new_id())
        if getattr(job, "authorization", None):
            job = replace(job, authorization=replace(job.authorization, nonce=f"0x{job.job_id:0>64}"))
        if state == "completed":  # of which a test may have several
            job = replace(job, work=replace(job.work, vendor_job_id=f"v-{job.job_id}"))
        database.store.save(before, replace(before, jobs=(job,)), [], ended_at)
        entries = [file_entry(path, content, (kinds or {}).get(path, "output")) for path, content in contents.items()]
        for content in contents.values():
            put_content(store, content, f"{job.job_id}-{hashlib.sha256(content).hexdigest()}")
        fields: dict[str, Any] = {"files": entries, "vendorId": f"gpu_vendor_{number + 1}", "ordinal": number}
        if state == "completed":
            fields["completedAt"] = date(ended_at)
        documents.jobs.update_one({"_id": ObjectId(job.job_id)}, {"$set": fields})
    documents.runs.update_one({"_id": ObjectId(run_id)}, {"$set": {"status": status, "updatedAt": date(ended_at)}})
    return run_id
