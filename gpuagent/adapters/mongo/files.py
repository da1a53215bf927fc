"""The files of a job, its checkpoint, and the states of fetching them, to documents and back."""

from typing import Any

from gpuagent.adapters.mongo.values import Document, date, seconds
from gpuagent.core.model import Ordered, Voided
from gpuagent.core.work import (
    Checkpoint,
    CheckpointOffer,
    Collecting,
    Completed,
    Failed,
    Fault,
    FileEntry,
    FileKind,
    JobEnding,
    JobFile,
    Underway,
)


def files_fields(job: Ordered | Voided) -> Document:
    """The manifest of what is kept of the job, and its newest checkpoint."""
    checkpoint = job.checkpoint
    return {
        "files": [
            {
                "path": file.path,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "kind": file.kind.value,
                "collectedAt": date(file.collected_at),
            }
            for file in job.files
        ],
        "checkpoint": checkpoint
        and {
            "sha256": checkpoint.sha256,
            "fraction": checkpoint.fraction,
            "at": date(checkpoint.at),
            "files": _entries(checkpoint.files),
        },
    }


def files_from(document: Document) -> tuple[tuple[JobFile, ...], Checkpoint | None]:
    """The files and the checkpoint; none in older records."""
    files = tuple(
        JobFile(file["path"], file["bytes"], file["sha256"], FileKind(file["kind"]), seconds(file["collectedAt"]))
        for file in document.get("files", ())
    )
    checkpoint = document.get("checkpoint")
    if not checkpoint:
        return files, None
    entries, at = _entries_from(checkpoint["files"]), seconds(checkpoint["at"])
    return files, Checkpoint(checkpoint["sha256"], entries, checkpoint["fraction"], at)


def underway_fields(work: Underway) -> Document:
    return {
        "cursor": work.cursor,
        "metrics": dict(work.metrics),
        "metricsSeen": work.metrics_seen,
        "offer": _offer_document(work.offer),
        "lostCheckpoint": work.lost,
        "askedToStop": work.asked_to_stop,
        "lostAt": None if work.lost_at is None else date(work.lost_at),
        "notes": work.notes,
    }


def underway_from(document: Document) -> dict[str, Any]:
    """The fields of Underway that older records lack."""
    lost_at = document.get("lostAt")
    return {
        "cursor": document.get("cursor", ""),
        "metrics": document.get("metrics", {}),
        "metrics_seen": document.get("metricsSeen", 0),
        "offer": _offer_from(document.get("offer")),
        "lost": document.get("lostCheckpoint", ""),
        "asked_to_stop": document.get("askedToStop", False),
        "lost_at": seconds(lost_at) if lost_at else None,
        "notes": document.get("notes", 0),
    }


def collecting_fields(work: Collecting) -> Document:
    """The state of fetching, with what the job comes to after it."""
    return {
        "collecting": {
            "files": _entries(work.files),
            "offer": _offer_document(work.offer),
            "hinderedSince": None if work.hindered_since is None else date(work.hindered_since),
            "problem": work.problem,
            "outcome": _outcome_document(work.outcome),
        }
    }


def collecting_from(document: Document) -> Collecting:
    fetching = document["collecting"]
    hindered_since = fetching["hinderedSince"]
    return Collecting(
        outcome=_outcome_from(fetching["outcome"]),
        started_at=seconds(document["startedAt"]),
        files=_entries_from(fetching["files"]),
        offer=_offer_from(fetching["offer"]),
        hindered_since=None if hindered_since is None else seconds(hindered_since),
        problem=fetching["problem"],
    )


def _outcome_document(outcome: Completed | Failed) -> Document:
    end: Document = {"vendorJobId": outcome.vendor_job_id, "at": date(outcome.at), "exitCode": outcome.exit_code}
    if isinstance(outcome, Completed):
        return {**end, "finalMetrics": dict(outcome.final_metrics), "artifactUrl": outcome.artifact_url}
    return {**end, "reason": outcome.reason, "ending": outcome.ending.value, "fault": outcome.fault.value}


def _outcome_from(document: Document) -> Completed | Failed:
    vendor_job_id, at, exit_code = document["vendorJobId"], seconds(document["at"]), document["exitCode"]
    if "reason" not in document:
        return Completed(vendor_job_id, at, document["finalMetrics"], document["artifactUrl"], exit_code)
    ending, fault = JobEnding(document["ending"]), Fault(document["fault"])
    return Failed(document["reason"], at, vendor_job_id, ending, fault=fault, exit_code=exit_code)


def _offer_document(offer: CheckpointOffer | None) -> Document | None:
    return {"sha256": offer.sha256, "files": _entries(offer.files)} if offer else None


def _offer_from(document: Document | None) -> CheckpointOffer | None:
    return CheckpointOffer(document["sha256"], _entries_from(document["files"])) if document else None


def _entries(files: tuple[FileEntry, ...]) -> list[Document]:
    return [{"path": file.path, "bytes": file.bytes, "sha256": file.sha256} for file in files]


def _entries_from(documents: list[Document]) -> tuple[FileEntry, ...]:
    return tuple(FileEntry(file["path"], file["bytes"], file["sha256"]) for file in documents)
