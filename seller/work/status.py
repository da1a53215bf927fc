"""A look at a job that is really run: its state, news since a cursor, its files and its newest checkpoint."""

import json
import re
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from seller.api.answers import Answer, Refusal
from seller.api.wire import ListedCheckpoint, ListedFile, WorkStatusAnswer
from seller.payments.market import to_usd
from seller.records import Job
from seller.runners import Checkpoint, FileEntry, JobState, Runner, RunnerError, UnknownJob
from seller.shop import Shop
from seller.work.order import CHECKPOINT, FILES

CURSOR = re.compile(r"(\d{1,15})\.(\d{1,15})")
PROGRESS, PROGRESS_BYTES = "progress.json", 64 * 1024


def look_at_work(shop: Shop, job: Job, after: str) -> Answer:
    """The status of a job with a workload. Raises Refusal for a cursor that is none of ours."""
    job = settled_start(shop, job)
    logs_from, metrics_from = _cursor(after)
    accepts = shop.conduct.accepts(shop.vendors[job.vendor_id])
    runner = shop.workshop.runner
    present = _kept_state(shop, job)
    state, checkpoint = present or _stored_state(job), None
    logs: list[str] = []
    metrics: list[dict[str, Any]] = []
    files: list[FileEntry] = []
    if present:
        logs, logs_from = runner.logs(job.job_id, logs_from)
        metrics, metrics_from = runner.metrics(job.job_id, metrics_from)
        checkpoint = runner.checkpoint(job.job_id) if CHECKPOINT in accepts else None
        files = runner.files(job.job_id)
    ended = state.phase == "ended"
    progress = 1.0 if state.exit_code == 0 else _fraction(runner, job.job_id, checkpoint)
    answer = WorkStatusAnswer(
        vendor_job_id=job.job_id,
        status=status_of(state),
        phase=state.phase,
        exit_code=state.exit_code,
        progress=progress,
        logs=logs,
        metrics=metrics,
        cursor=f"{logs_from}.{metrics_from}",
        files=[ListedFile(**asdict(file)) for file in files] if ended and FILES in accepts else None,
        checkpoint=_listed(checkpoint),
        estimated_remaining_minutes=0.0 if ended else round((1 - progress) * float(job.hours) * 60, 2),
        cost_so_far=float(to_usd(job.amount) * Decimal(str(round(progress, 6)))),
        error_message=_error(state),
    )
    if not ended:
        shop.conduct.look(job, checkpoint, runner)
    return Answer(200, answer.model_dump(mode="json"))


def settled_start(shop: Shop, job: Job) -> Job:
    """The job once it is decided whether it runs. Only a kill leaves one waiting that nobody holds the key of."""
    if job.start != "waiting":
        return job
    with shop.locks.hold(job.vendor_id, job.key):
        current = shop.database.job(job.vendor_id, job.job_id) or job
        if current.start == "waiting":
            shop.workshop.settle_start(current)
        return shop.database.job(job.vendor_id, job.job_id) or job


def state_of(shop: Shop, job: Job) -> JobState:
    """The state of a job with a workload."""
    return _kept_state(shop, job) or _stored_state(job)


def _stored_state(job: Job) -> JobState:
    """The state of a job of which the runner has nothing: it has not come there, never will, or is forgotten."""
    if job.start == "waiting":
        return JobState("queued")
    return JobState("ended", job.exit_code, job.failure, job.ended_at)


def _kept_state(shop: Shop, job: Job) -> JobState | None:
    """The state of a job that the runner has, and what it wrote can be read of; None of any other."""
    if job.start not in ("started", "ended"):
        return None
    try:
        return shop.workshop.runner.state(job.job_id)
    except UnknownJob:
        return None  # its folder is gone, and the dispatcher will note it


def status_of(state: JobState) -> Any:
    if state.phase != "ended":
        return "running"
    return "completed" if state.exit_code == 0 else "failed"


def _cursor(after: str) -> tuple[int, int]:
    if not after:
        return 0, 0
    match = CURSOR.fullmatch(after)
    if not match:
        raise Refusal(400, "cursor_unknown", "`after` is to be the cursor of an earlier status, or nothing")
    return int(match[1]), int(match[2])


def _fraction(runner: Runner, job_id: str, checkpoint: Checkpoint | None) -> float:
    """How far the checkpoint reaches by the program's own word, from 0 to 1."""
    if not checkpoint or not any(file.path == PROGRESS and file.bytes <= PROGRESS_BYTES for file in checkpoint.files):
        return 0.0
    try:
        progress = json.loads(b"".join(runner.read(job_id, PROGRESS, 0, checkpoint.sha256)))
        fraction = float(progress["fraction"])
    except (RunnerError, OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return 0.0
    return min(max(fraction, 0.0), 1.0) if fraction == fraction else 0.0  # NaN is no number that equals itself


def _listed(checkpoint: Checkpoint | None) -> ListedCheckpoint | None:
    if not checkpoint:
        return None
    return ListedCheckpoint(sha256=checkpoint.sha256, files=[ListedFile(**asdict(file)) for file in checkpoint.files])


def _error(state: JobState) -> str | None:
    if state.phase != "ended" or state.exit_code == 0:
        return None
    return state.reason or f"the program ended with exit code {state.exit_code}"
