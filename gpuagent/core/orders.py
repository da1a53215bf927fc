"""Orders: what one vendor is to do of a run's workload. What is quoted, reserved and sent is its canonical text.

`{"resume": {"files": [{"path", "bytes", "sha256"}], "sha256": …}, "workload": {…}}`, sorted and compact; without
`resume` the job begins anew.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gpuagent.core.model import Quote
from gpuagent.core.text import canonical
from gpuagent.core.work import Checkpoint, FileEntry

WORKLOAD, FILES, CHECKPOINT, CANCEL = "workload", "files", "checkpoint", "cancel"
"""What a vendor may say that it accepts: a workload at all, files both ways, a checkpoint, the end of a job."""
ACCEPTS = (WORKLOAD, FILES, CHECKPOINT, CANCEL)
CREDIT = "credit"
"""Beside those: the protocol's vendors keep what is left of a cancelled job on a balance, and the job's news say so."""
INDEX_VARIABLE, COUNT_VARIABLE = "GPUAGENT_JOB_INDEX", "GPUAGENT_JOB_COUNT"
"""The variables of a job of a run with several: which it is, from 0, and how many there are."""
INLINE_MAX = 64 * 1024
"""Bytes of an input that travels within the order. Larger ones go before it, to vendors that take files."""
INLINE_TOTAL_MAX = 2**20
"""Bytes of all of them, which are sent with the unpaid order and with the paid one."""
ORDER_MAX = 2**20
"""Bytes of an order's text, without the files in it."""
MANIFEST_MAX = 128 * 1024
"""Bytes of the text of a checkpoint's manifest. It stands several times in its job, and in the next one's order: all
of a run's jobs are read as one document."""


def order_text(workload: str, resume: Checkpoint | None, index: int = 0, count: int = 1) -> str:
    """The order of a workload's canonical text; "" for none. resume: the checkpoint to go on from.

    index: which of `count` jobs this is, which its program learns from two variables. No vendor learns what else there
    is to buy.
    """
    if not workload:
        return ""
    work = json.loads(workload)
    work.pop("jobs", None)
    if count > 1:
        work["env"] |= {INDEX_VARIABLE: str(index), COUNT_VARIABLE: str(count)}
    order: dict[str, Any] = {"workload": work}
    if resume:
        order["resume"] = {"files": [_entry(file) for file in resume.files], "sha256": resume.sha256}
    return canonical(order)


def manifest_sha256(files: tuple[FileEntry, ...]) -> str:
    """The SHA-256 of a manifest's canonical text."""
    return hashlib.sha256(manifest_text(files).encode()).hexdigest()


def manifest_text(files: tuple[FileEntry, ...]) -> str:
    """A manifest's canonical text, its files in the order of their paths."""
    return canonical([_entry(file) for file in sorted(files, key=lambda file: file.path)])


def job_params(quote: Quote) -> dict[str, Any]:
    """The `jobParams` of a quote, 402 and submit: gpuType, maxHours, and of an order its workload and resume."""
    plain = {"gpuType": quote.gpu_type, "maxHours": float(quote.max_hours)}
    return plain | json.loads(quote.order) if quote.order else plain


def order_of(params: Mapping[str, Any]) -> str:
    """The order in the parameters of a job: the text from which job_params() makes them; "" where there is none."""
    order = {name: params[name] for name in ("workload", "resume") if name in params}
    return canonical(order) if order else ""


def params_sha256(quote: Quote) -> str:
    """The SHA-256 of the job's parameters, as they are reserved and sent."""
    return hashlib.sha256(canonical(job_params(quote)).encode()).hexdigest()


def has_inputs(order: str) -> bool:
    """Whether the job reads files that must be with the vendor before it is paid."""
    return bool(order) and bool(sent_files(order))


def sent_files(order: str) -> tuple[FileEntry, ...]:
    """The files that go to the vendor before the order: all but the small ones that travel within it."""
    inline = {file.sha256 for file in inline_files(order)}
    return tuple(file for file in order_files(order) if file.sha256 not in inline)


@lru_cache(maxsize=64)
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


def inline_files(order: str) -> tuple[FileEntry, ...]:
    """Those of order_files() that travel within the order: small ones, as far as all of them fit. The rest is sent
    before it."""
    inline, total = [], 0
    for file in order_files(order):
        if file.bytes <= min(INLINE_MAX, INLINE_TOTAL_MAX - total):
            inline.append(file)
            total += file.bytes
    return tuple(inline)


def secret_names(order: str) -> tuple[str, ...]:
    """The variables whose values go to the vendor with the paid order, and are stored nowhere."""
    return tuple(json.loads(order)["workload"].get("secrets", ())) if order else ()


def workload_sha256(order: str) -> str:
    """The SHA-256 of an order's workload, which the vendor's quote repeats."""
    return hashlib.sha256(canonical(json.loads(order)["workload"]).encode()).hexdigest()


def _entry(file: FileEntry) -> dict[str, Any]:
    return {"path": file.path, "bytes": file.bytes, "sha256": file.sha256}
