"""Documents of a run whose work travelled: one vendor lost it after a checkpoint, the next went on and delivered.

What MongoDB holds of it, as the console and the report read it: metrics, files, the checkpoint, where it was resumed.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from gpuagent.core.ports.files import FileStore

STARTED_AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
WORKLOAD = json.dumps({"name": "tiny-llm", "success": {"exit_code": 0, "metric": {"name": "loss", "at_most": "2.2"}}})
MODEL = b"a model " * 20_000
CONTENTS = {
    "model.npz": MODEL,
    "metrics.jsonl": b'{"step": 0, "loss": 4.1}\n',
    "out/sample.txt": b"The run of a tick\n",
}
STATE, PROGRESS = b"weights" * 9_000, b'{"fraction": 0.47}'
FRACTION = 0.47
POSITION = 1_000_000
"""Of the first metric: beyond those of any log line."""


def loss(step: int) -> float:
    """A loss that falls, and jitters while it does."""
    return 1.7 + 2.6 * math.exp(-step / 45) + 0.07 * math.sin(step * 1.7)


def metrics(first: int, last: int, every: int = 2) -> list[dict[str, Any]]:
    return [{"step": step, "loss": loss(step), "tokens": step * 512} for step in range(first, last + 1, every)]


def stored(contents: Mapping[str, bytes], kind: str) -> list[dict[str, Any]]:
    """The entries of jobs.files."""
    return [
        {
            "path": path,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "kind": kind,
            "collectedAt": STARTED_AT + timedelta(minutes=40),
        }
        for path, content in contents.items()
    ]


def checkpoint(files: Iterable[Mapping[str, Any]], fraction: float | None = FRACTION) -> dict[str, Any]:
    """A job's checkpoint as it is stored."""
    entries = [{name: file[name] for name in ("path", "bytes", "sha256")} for file in files]
    return {"sha256": "c" * 64, "fraction": fraction, "at": STARTED_AT + timedelta(minutes=30), "files": entries}


def lost_job(job_id: ObjectId) -> dict[str, Any]:
    """What the first job's document has of its work: it was lost at 50 %, and its checkpoint is kept."""
    files = stored({"state.npz": STATE, "progress.json": PROGRESS}, "checkpoint")
    return {
        "_id": job_id,
        "ordinal": 0,
        "status": "failed",
        "errorMessage": "the node was lost",
        "fault": "vendor",
        "exitCode": None,
        "progress": 0.5,
        "startedAt": STARTED_AT + timedelta(minutes=1),
        "completedAt": STARTED_AT + timedelta(minutes=32),
        "files": files,
        "checkpoint": checkpoint(files),
    }


def resumed_job(job_id: ObjectId, source: ObjectId) -> dict[str, Any]:
    """What the second job's document has of its work: it went on from the checkpoint, and delivered."""
    return {
        "_id": job_id,
        "ordinal": 1,
        "status": "completed",
        "exitCode": 0,
        "progress": 1.0,
        "startedAt": STARTED_AT + timedelta(minutes=34),
        "completedAt": STARTED_AT + timedelta(minutes=66),
        "files": stored(CONTENTS, "output"),
        "resumedFrom": {"jobId": source, "sha256": "c" * 64, "fraction": FRACTION},
        "hoursSaved": 0.47,
    }


def metric_rows(job_id: ObjectId, values: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Metrics of a job as RunSnapshot has them."""
    return [{"jobId": job_id, "position": place, "metric": dict(value)} for place, value in enumerate(values)]


def write_metrics(database: Any, run_id: str, job_id: ObjectId, values: Iterable[Mapping[str, Any]]) -> None:
    """Write a job's metrics as observations."""
    database.observations.insert_many(
        {
            "runId": ObjectId(run_id),
            "jobId": job_id,
            "type": "metric",
            "content": f"step {value['step']}",
            "data": {"kind": "metric", "metric": dict(value)},
            "position": POSITION + value["step"],
            "tick": 1,
            "timestamp": STARTED_AT,
        }
        for value in values
    )


def keep_files(store: FileStore) -> None:
    """Put the content of all files of the run into a file store."""
    for content in (*CONTENTS.values(), STATE, PROGRESS):
        sha256 = hashlib.sha256(content).hexdigest()
        store.extend(sha256, store.received(sha256), [content], len(content))
        store.finish(sha256, sha256, len(content))


def deliver(database: Any, store: FileStore, run_id: str) -> None:
    """Write the files, the checkpoint and the metrics into the records of a run whose second job completed."""
    keep_files(store)
    first, second = (job["_id"] for job in database.jobs.find({"runId": ObjectId(run_id)}).sort("ordinal"))
    times = {"startedAt", "completedAt", "_id"}
    for job_id, work in ((first, lost_job(first)), (second, resumed_job(second, first))):
        fields = {name: value for name, value in work.items() if name not in times}
        database.jobs.update_one({"_id": job_id}, {"$set": fields})
    work = {"workload": WORKLOAD, "workloadHash": hashlib.sha256(WORKLOAD.encode()).hexdigest()}
    database.runs.update_one({"_id": ObjectId(run_id)}, {"$set": work})
    write_metrics(database, run_id, first, metrics(0, 100))
    write_metrics(database, run_id, second, metrics(94, 200))
