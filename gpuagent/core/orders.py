"""Orders: what one vendor is to do of a run's workload. What is quoted, reserved and sent is its canonical text.

`{"resume": {"files": [{"path", "bytes", "sha256"}], "sha256": …}, "workload": {…}}`, sorted and compact; without
`resume` the job begins anew.
"""

import hashlib
import json
from typing import Any

from gpuagent.core.model import Quote
from gpuagent.core.work import Checkpoint, FileEntry
from gpuagent.core.workload import Workload, from_canonical

WORKLOAD, FILES, CHECKPOINT, CANCEL = "workload", "files", "checkpoint", "cancel"
"""What a vendor may say that it accepts: a workload at all, files both ways, a checkpoint, the end of a job."""
INLINE_MAX = 64 * 1024
"""Bytes of an input that travels within the order. Larger ones go before it, to vendors that take files."""


def order_text(workload: str, resume: Checkpoint | None) -> str:
    """The order of a workload's canonical text; "" for none. resume: the checkpoint to go on from."""
    if not workload:
        return ""
    order: dict[str, Any] = {"workload": json.loads(workload)}
    if resume:
        order["resume"] = {"files": [_entry(file) for file in resume.files], "sha256": resume.sha256}
    return canonical(order)


def canonical(value: object) -> str:
    """The one JSON text of a value: sorted, compact, in characters as they are."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def manifest_sha256(files: tuple[FileEntry, ...]) -> str:
    """The SHA-256 of a manifest's canonical text, its files in the order of their paths."""
    return hashlib.sha256(
        canonical([_entry(file) for file in sorted(files, key=lambda file: file.path)]).encode()
    ).hexdigest()


def job_params(quote: Quote) -> dict[str, Any]:
    """The `jobParams` of a quote, 402 and submit: gpuType, maxHours, and of an order its workload and resume."""
    plain = {"gpuType": quote.gpu_type, "maxHours": float(quote.max_hours)}
    return plain | json.loads(quote.order) if quote.order else plain


def params_sha256(quote: Quote) -> str:
    """The SHA-256 of the job's parameters, as they are reserved and sent."""
    return hashlib.sha256(canonical(job_params(quote)).encode()).hexdigest()


def ordered_workload(quote: Quote) -> Workload | None:
    """The workload that was ordered, None where the job has none."""
    return from_canonical(canonical(json.loads(quote.order)["workload"])) if quote.order else None


def order_files(order: str) -> tuple[FileEntry, ...]:
    """The files that a vendor needs for an order, each content once: its inputs and the checkpoint's.

    An input whose bytes are not known yet is not kept here yet, and not among them.
    """
    if not order:
        return ()
    content = json.loads(order)
    inputs = [entry for entry in content["workload"]["inputs"] if "bytes" in entry]
    resume = content.get("resume", {}).get("files", [])
    files = [FileEntry(file["path"], file["bytes"], file["sha256"]) for file in (*inputs, *resume)]
    return tuple({file.sha256: file for file in files}.values())


def _entry(file: FileEntry) -> dict[str, Any]:
    return {"path": file.path, "bytes": file.bytes, "sha256": file.sha256}
