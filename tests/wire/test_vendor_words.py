"""The words of vendors for the states of a job: alive, over, and those that are new."""

import pytest

from gpuagent.core.work import JobStatus
from gpuagent.wire.vendor_words import COMPLETED, FAILED, RUNNING, STATES, SUBMITTED, status_of


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("running", JobStatus.RUNNING),
        ("Queued", JobStatus.SUBMITTED),
        ("IN_PROGRESS", JobStatus.RUNNING),
        ("in-progress", JobStatus.RUNNING),
        ("inProgress", JobStatus.RUNNING),
        ("in progress ", JobStatus.RUNNING),
        ("JOB_STATE_QUEUED", JobStatus.SUBMITTED),
        ("JOB_STATE_SUCCEEDED", JobStatus.COMPLETED),
        ("STATUS_FAILED", JobStatus.FAILED),
        ("Terminating", JobStatus.RUNNING),
        ("terminated", JobStatus.FAILED),
        ("Cancelled", JobStatus.FAILED),
        ("canceled", JobStatus.FAILED),
        ("timed_out", JobStatus.FAILED),
        ("OOMKilled", JobStatus.FAILED),
        ("Done", JobStatus.COMPLETED),
    ],
)
def test_a_word_counts_however_it_is_written(word: str, status: JobStatus) -> None:
    assert status_of(word) is status


@pytest.mark.parametrize(
    "word", ["", "defragmenting", "not_completed", "completed with errors", "unfailed", "run", "✓"]
)
def test_a_new_word_ends_nothing(word: str) -> None:
    """Nor does one that only holds a word for an end."""
    assert status_of(word) is None


def test_each_word_has_one_meaning_and_ours_are_among_them() -> None:
    assert len(STATES) == len(SUBMITTED) + len(RUNNING) + len(COMPLETED) + len(FAILED)
    assert all(status_of(status.value) is status for status in JobStatus)
    assert all(word.isalpha() and word == word.lower() for word in STATES)
