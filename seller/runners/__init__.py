"""Runners: where a paid job runs. One protocol, which a container engine fits as a local process does."""

from seller.runners.base import FileEntry, JobOrder, JobState, Runner, RunnerError

__all__ = ["FileEntry", "JobOrder", "JobState", "Runner", "RunnerError"]
