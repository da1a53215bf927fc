"""The files of runs in their documents: what came back, which run holds which content, and what retention deleted.

`jobs.files` is the manifest; `filesDeleted`, of a job and of a run for its inputs, has by SHA-256 when its content was
deleted, in a field of its own, so that a later save of the job keeps it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database

from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.jobs import HELD
from gpuagent.adapters.mongo.original import OURS
from gpuagent.adapters.mongo.values import Document, date, seconds
from gpuagent.core.retention import Holding
from gpuagent.core.run_files import RunFile

_SHA256 = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])")
_ENDED = ("completed", "failed")


def run_files(database: Database[Document], run_id: ObjectId) -> list[RunFile]:
    """The collected files of a run, job by job."""
    fields = {"vendorId": 1, "status": 1, "files": 1, "filesDeleted": 1, "index": 1}
    jobs = database.jobs.find({"runId": run_id, "files.0": {"$exists": True}}, fields).sort("ordinal")
    return [_run_file(job, file) for job in jobs for file in job["files"]]


def _run_file(job: Document, file: Document) -> RunFile:
    deleted_at = job.get("filesDeleted", {}).get(file["sha256"])
    return RunFile(
        path=file["path"],
        bytes=int(file["bytes"]),
        sha256=file["sha256"],
        kind=file["kind"],
        vendor_id=job["vendorId"],
        job_id=str(job["_id"]),
        completed=job["status"] == "completed",
        collected_at=seconds(file["collectedAt"]),
        deleted_at=seconds(deleted_at) if deleted_at else None,
        index=job.get("index"),
    )


class MongoHoldings:
    """The record of which run holds which content (agent/retention.py). Raises StoreError."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self._database = connection, connection.database

    def holdings(self) -> Iterator[Holding]:
        """Every run that is not over, and every other one that has files which are not deleted yet, or an archive."""
        database = self._database
        with self.connection.deadline():
            with_files = database.jobs.distinct("runId", {"files.0": {"$exists": True}})
        named = [
            {"workload": {"$gt": ""}},
            {"status": "running"},
            {"_id": {"$in": with_files}},
            {"archive": {"$ne": None}},
        ]
        with_work: Document = {"$or": named}
        with self.connection.deadline():
            run_ids = [run["_id"] for run in database.runs.find({**OURS, **with_work}, {"_id": 1})]
        for run_id in run_ids:
            with self.connection.deadline():
                # Jobs first: one that is reserved in between makes its run look younger than it is.
                jobs = list(database.jobs.find({"runId": run_id}))
                run = database.runs.find_one({"_id": run_id})
            if run:
                yield _holding(run, jobs)

    def identity(self) -> str:
        """The id of this database, made when it is first asked for; a restored copy has the same."""
        with self.connection.deadline():
            document = self._database.identity.find_one_and_update(
                {"_id": "database"},
                {"$setOnInsert": {"identity": str(ObjectId())}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
            assert document is not None
            return str(document["identity"])

    def note_deleted(self, run_id: str, sha256: str, at: float) -> None:
        key, mark = ObjectId(run_id), {"$set": {f"filesDeleted.{sha256}": date(at)}}
        with self.connection.deadline():
            self._database.jobs.update_many({"runId": key}, mark)
            self._database.runs.update_one({"_id": key}, mark)


def _holding(run: Document, jobs: list[Document]) -> Holding:
    workload = json.loads(run.get("workload") or "{}")
    listed = dict(_contents([workload, *jobs]))
    deleted = run.get("filesDeleted", {}).keys()
    over = run["status"] != "running" and not any(map(is_open, jobs))
    ends = [run["updatedAt"], *(job["completedAt"] for job in jobs if job.get("completedAt"))]
    return Holding(
        run_id=str(run["_id"]),
        ended_at=seconds(max(ends)) if over else None,
        files={sha256: size for sha256, size in listed.items() if sha256 not in deleted},
        needs=frozenset(_SHA256.findall(str(run.get("archive", "") if over else [run, *jobs]))),
    )


def is_open(job: Document) -> bool:
    """Whether a stored job holds money or may still bring something."""
    return job["state"] in HELD or (job["state"] == "settled" and job["status"] not in _ENDED)


def _contents(value: Any) -> Iterator[tuple[str, int]]:
    """SHA-256 and bytes of everything in a document that looks like a file, wherever it stands."""
    match value:
        case {"path": str(), "sha256": str(sha256), "bytes": int(size)}:
            yield sha256, int(size)
        case Mapping():
            for part in value.values():
                yield from _contents(part)
        case list():
            for part in value:
                yield from _contents(part)
