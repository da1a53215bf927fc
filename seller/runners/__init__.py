"""Runners: where a paid job runs. One protocol, which a container engine fits as a local process does."""

from seller.runners.base import (
    Checkpoint,
    FileEntry,
    JobOrder,
    JobState,
    Limits,
    Runner,
    RunnerError,
    UnknownJob,
    manifest_sha256,
)

__all__ = [
    "Checkpoint",
    "FileEntry",
    "JobOrder",
    "JobState",
    "Limits",
    "Runner",
    "RunnerError",
    "UnknownJob",
    "manifest_sha256",
]
