"""Notes on a run's jobs in words: time so far and to go, where one went on, the checkpoint that is kept, a fault."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gpuagent.core.text import counted
from gpuagent.core.units import show_duration, show_size
from gpuagent.panels.metric_chart import resumed_at

FAULTS = {"program": "the program's own doing", "time": "the paid hours ended"}
"""Whose doing a failure is, where it is not the vendor's."""
PROGRESS_MIN = 0.02
"""Below it, progress says nothing yet about the time to go."""


def job_notes(job: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    """Sentences on one job of a run, without their full stops."""
    return [note for note in (_time(job, now), _resumed(job, jobs), _fetched(job), _kept(job), _exit(job)) if note]


def run_time(run: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]], now: datetime) -> str:
    """The time that a run has taken, and what its job that is under way still needs."""
    if run["status"] != "running":
        return f"It took {_between(run['createdAt'], run['updatedAt'])}."
    remaining = [seconds for job in jobs if (seconds := seconds_to_go(job, now)) is not None]
    rest = f", about {show_duration(max(remaining))} to go" if remaining else ""
    return f"{_between(run['createdAt'], now)} so far{rest}."


def seconds_to_go(job: Mapping[str, Any], now: datetime) -> float | None:
    """By the progress that the vendor reports; None where it says nothing."""
    progress = float(job.get("progress") or 0)
    works = job["status"] == "running" and job.get("startedAt") and not job.get("collecting")
    if not works or not PROGRESS_MIN <= progress <= 1:
        return None
    elapsed: float = (now - job["startedAt"]).total_seconds()
    return max(0.0, elapsed) * (1 - progress) / progress


def _time(job: Mapping[str, Any], now: datetime) -> str:
    started_at, ended_at = job.get("startedAt"), job.get("completedAt")
    if not started_at:
        return ""
    paid = f"of {show_duration(float(job['jobParams']['maxHours']) * 3600)} paid"
    if ended_at:
        return f"took {_between(started_at, ended_at)} {paid}"
    remaining = seconds_to_go(job, now)
    rest = "" if remaining is None else f", about {show_duration(remaining)} to go"
    return f"{_between(started_at, now)} so far {paid}{rest}"


def _resumed(job: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]]) -> str:
    where = resumed_at(job)
    source = [other for other in jobs if where and other["_id"] == job["resumedFrom"].get("jobId")]
    return f"{where}, from try {source[0]['ordinal'] + 1} at {source[0]['vendorId']}" if source else where


def _fetched(job: Mapping[str, Any]) -> str:
    """How many of the files of a job that is over have been fetched, while that goes on."""
    fetching = job.get("collecting")
    if job["status"] != "running" or not fetching:
        return ""
    listed = fetching["files"] or (fetching["offer"] or {}).get("files", ())
    stored = {(file["path"], file["sha256"]) for file in job.get("files") or ()}
    count = sum((file["path"], file["sha256"]) in stored for file in listed)
    return f"{count} of {counted(len(listed), 'file')} fetched and proven"


def _kept(job: Mapping[str, Any]) -> str:
    """The newest checkpoint that is in the file store."""
    checkpoint = job.get("checkpoint")
    if not checkpoint:
        return ""
    files = checkpoint.get("files") or []
    size = f"{counted(len(files), 'file')}, {show_size(sum(file['bytes'] for file in files))}"
    fraction = checkpoint.get("fraction")
    place = "of unknown progress" if fraction is None else f"at {fraction:.0%}"
    return f"checkpoint {place} is kept: {size}"


def _exit(job: Mapping[str, Any]) -> str:
    code, fault = job.get("exitCode"), FAULTS.get(job.get("fault") or "", "")
    if job["status"] != "failed" or (code is None and not fault):
        return ""
    return ", ".join([*([] if code is None else [f"exit code {code}"]), *([fault] if fault else [])])


def _between(start: datetime, end: datetime) -> str:
    return show_duration(max(0.0, (end - start).total_seconds()))
