"""The wait for work that was paid for: who answers is waited for, who is silent is not, and every wait ends."""

from typing import Any

import pytest

from gpuagent.core.events import JobAnswered, JobWentSilent
from gpuagent.core.observations import observations_of
from gpuagent.core.pace import Pace
from gpuagent.core.work import Failed, JobEnding, JobStatus, Owed, Underway
from gpuagent.errors import VendorBusy, VendorError, VendorTokenMissing, VendorUnauthorized
from tests.support.paid_job import Answer, PaidJob, report
from tests.support.run_states import STATES

QUEUED = report(JobStatus.SUBMITTED, word="queued")
DOWN, BUSY = VendorError("answered 500"), VendorBusy("answered 429 to /job-status: request 7f, come again")
ANSWERS = {
    "queued": QUEUED,
    "a new word": report(word="defragmenting"),
    "running": report(),
    "busy": BUSY,
    "our token refused": VendorUnauthorized("refuses the bearer token"),
}


def failed(work: object) -> Failed:
    assert isinstance(work, Failed)
    return work


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_vendor_that_answers_is_not_silent(answer: Answer) -> None:
    """Asked every seven minutes, which is longer than a silence is borne."""
    paid = PaidJob(STATES["underway"]())
    for _ in range(10):
        assert isinstance(paid.hears(answer, after_s=420), Underway)
    assert len([event for event in paid.events if event]) <= 1  # said once, however often


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_silence_counts_from_the_last_answer(answer: Answer) -> None:
    paid = PaidJob(STATES["underway"]())
    for _ in range(5):
        paid.hears(DOWN)
        assert isinstance(paid.hears(DOWN, after_s=200), Underway)
        work = paid.hears(answer, after_s=99)
        assert isinstance(work, Underway)
        assert work.silent_since is None
    paid.hears(DOWN)
    work = failed(paid.hears(DOWN, after_s=301))
    assert work.reason == "disputed: the vendor has been silent for 301 s (answered 500)"
    assert work.ending is JobEnding.DISPUTED


@pytest.mark.safety("a vendor that says queued for ever")
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_vendor_that_only_answers_is_left_at_last(answer: Answer) -> None:
    """Twice the one paid hour, and half an hour of patience, which an operator may change."""
    paid = PaidJob(STATES["underway"]())
    began_at = 2.0
    paid.now_s = began_at + 2 * 3600 + 1799
    assert isinstance(paid.hears(answer), Underway)
    work = failed(paid.hears(answer, after_s=2))
    assert work.reason.startswith("disputed: still ")
    assert "after 9000 s, of 1 hours paid" in work.reason
    assert work.ending is JobEnding.DISPUTED
    patient = PaidJob(STATES["underway"](), began_at + 9001, Pace(patience_s=3600))
    assert isinstance(patient.hears(answer), Underway)


def test_the_reason_for_leaving_names_the_vendors_word() -> None:
    assert failed(PaidJob(STATES["underway"](), 10_000).hears(QUEUED)).reason.startswith("disputed: still queued after")
    assert "come again" in failed(PaidJob(STATES["underway"](), 10_000).hears(BUSY)).reason


@pytest.mark.parametrize("answer", ["", BUSY, VendorUnauthorized("refuses the bearer token")])
def test_a_vendor_that_answers_and_names_no_job_is_asked_again_for_longer(answer: Answer) -> None:
    paid = PaidJob(STATES["owed"]())
    for _ in range(4):
        assert isinstance(paid.hears(answer, after_s=420), Owed)
    assert [type(event) for event in paid.events] == [JobAnswered, type(None), type(None), type(None)]
    assert isinstance(paid.hears("v", after_s=100), Underway)
    late = PaidJob(STATES["owed"]())
    late.hears(answer)
    work = failed(late.hears(answer, after_s=1801))
    assert work.reason.startswith("disputed: paid, but no job was named in 1801 s (")
    assert work.ending is JobEnding.DISPUTED


def test_a_vendor_that_answers_now_and_then_is_not_waited_for_for_ever() -> None:
    paid = PaidJob(STATES["owed"]())
    for _ in range(9):
        paid.hears(BUSY, after_s=100)
        paid.hears(DOWN, after_s=100)
    assert isinstance(paid.work, Owed)
    assert failed(paid.hears(DOWN, after_s=200)).ending is JobEnding.DISPUTED


def test_no_job_of_a_silent_vendor_is_a_dispute_after_the_silence() -> None:
    paid = PaidJob(STATES["owed"]())
    assert isinstance(paid.hears(DOWN, after_s=100_000), Owed)  # we were down: only now is it asked
    assert isinstance(paid.hears(DOWN, after_s=299), Owed)
    work = failed(paid.hears(DOWN, after_s=2))
    assert work.reason == "disputed: paid, but no job came of it (answered 500)"
    assert [type(event) for event in paid.events[:2]] == [JobWentSilent, type(None)]


@pytest.mark.parametrize(
    ("after_s", "ending"),
    [(0, JobEnding.AT_ONCE), (9, JobEnding.AT_ONCE), (10, JobEnding.REPORTED), (3600, JobEnding.REPORTED)],
)
def test_a_failure_within_seconds_is_not_like_one_after_work(after_s: float, ending: JobEnding) -> None:
    paid = PaidJob(STATES["underway"](), now_s=2.0)
    work = failed(paid.hears(report(JobStatus.FAILED, word="preempted"), after_s))
    assert (work.ending, work.reason) == (ending, "the vendor says preempted")


def test_what_the_vendor_answers_instead_is_told_once_as_it_changes() -> None:
    paid = PaidJob(STATES["underway"]())
    contents: list[str] = []
    for answer in (QUEUED, QUEUED, BUSY, BUSY, report(), DOWN, BUSY):
        before: Any = paid.run
        paid.hears(answer)
        event = paid.events[-1]
        contents += [observation.content for observation in observations_of(before, event)] if event else []
    assert contents == [
        "0% done; gpu_vendor_1 says: queued",
        "0% done",
        "gpu_vendor_1 does not answer about the job: answered 500",
        f"gpu_vendor_1 answers, without news of the job: {BUSY}",
    ]


@pytest.mark.parametrize("state", ["owed", "underway"])
def test_a_vendor_that_was_not_asked_is_not_silent(state: str) -> None:
    with pytest.raises(VendorTokenMissing):
        PaidJob(STATES[state](), 100_000).hears(VendorTokenMissing("set GPU_VENDOR_SECRET"))
