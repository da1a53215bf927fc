"""Every state of a run and of a job as a sentence, at the reader's time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gpuagent.core.model import Approval, Authorized, Cause, Job, Reserved, Run, RunStatus, Settled, Voided
from gpuagent.core.pace import Pace
from gpuagent.core.status import heard_at, planner_label, status_text
from gpuagent.core.work import Completed, Failed, Owed, Underway
from tests.support.factories import RUN, SETTLEMENT, authorization, quote

NOW = datetime(2026, 1, 2, 12, 40, 50, tzinfo=UTC).timestamp()
QUOTE = quote(expires_at=NOW + 60)
SIGNED = authorization(valid_before=int(NOW) + 70)
PACE = Pace(silence_s=300)


def reserved(expires_in_s: float = 60, approval: Approval | None = None) -> Reserved:
    return Reserved("j1", replace(QUOTE, expires_at=NOW + expires_in_s), NOW, approval)


def authorized(expires_in_s: int = 70, cancellation: str = "") -> Authorized:
    signed = replace(SIGNED, valid_before=int(NOW) + expires_in_s)
    return Authorized("j1", QUOTE, NOW, signed, "header", cancellation=cancellation)


def settled(work: Owed | Underway | Completed | Failed) -> Settled:
    return Settled("j1", QUOTE, NOW, SIGNED, "header", SETTLEMENT, work)


def sentence(job: Job, run: Run = RUN, heard: float | None = None) -> str:
    status = status_text(replace(run, jobs=(job,)), NOW, PACE, heard={} if heard is None else {"j1": heard})
    return status.jobs["j1"]


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (reserved(), "reserved, not signed yet; the quote ends at 12:41:50"),
        (reserved(-1), "reserved, the quote ended at 12:40:49; the next tick releases it"),
        (
            reserved(approval=Approval(NOW, NOW + 3600)),
            "reserved, waits for your approval until 13:40:50 UTC",
        ),
        (
            reserved(approval=Approval(NOW, NOW + 86_400)),
            "reserved, waits for your approval until 2026-01-03 12:40 UTC",
        ),
        (
            reserved(approval=Approval(NOW - 60, NOW)),
            "reserved, the request for approval ended at 12:40:50 UTC; the next tick releases it",
        ),
        (
            reserved(approval=Approval(NOW, NOW + 60, "Ada")),
            "reserved, approved by Ada, not signed yet; the quote ends at 12:41:50",
        ),
        (authorized(), "authorized, the chain has not decided; the authorization expires at 12:42:00"),
        (authorized(-1), "authorized, the chain has not decided; the authorization expired at 12:40:49"),
        (
            authorized(cancellation="0xc"),
            "authorized, no longer needed, the chain has not decided; the authorization expires at 12:42:00",
        ),
        (settled(Owed(NOW)), "paid, the vendor has named no job since 12:40:50; asking again at 12:40:51"),
        (
            settled(Owed(NOW - 10.5, NOW - 10)),
            "paid, the vendor has named no job since 12:40:39, no answer since 12:40:40, given up at 12:45:40; "
            "asking again at 12:40:51",
        ),
        (settled(Underway("v1", NOW - 10, 0.482)), "running, 48%"),
        (
            settled(Underway("v1", NOW - 10, 0.482, silent_since=NOW - 5)),
            "running, 48%, no answer since 12:40:45, given up at 12:45:45; asking again at 12:40:51",
        ),
        (settled(Underway("v1", NOW - 10, reply="QUEUED")), "running, 0%, the vendor says: QUEUED"),
        (
            settled(Owed(NOW, asked_at=NOW, reply="it names no job")),
            "paid, the vendor has named no job since 12:40:50, the vendor says: it names no job, given up at 13:10:50; "
            "asking again at 12:40:51",
        ),
        (settled(Completed("v1", NOW)), "completed at 12:40:50"),
        (settled(Failed("out of memory", NOW)), "paid, failed at 12:40:50: out of memory"),
        (settled(Failed("x" * 999, NOW)), f"paid, failed at 12:40:50: {'x' * 300}"),
        (
            Voided("j1", QUOTE, NOW, "Ada rejected it", cause=Cause.PERSON),
            "not paid, nothing was signed: Ada rejected it",
        ),
        (Voided("j1", QUOTE, NOW, "expired", SIGNED), "not paid, the authorization is void: expired"),
    ],
)
def test_each_state_of_a_job(job: Job, text: str) -> None:
    assert sentence(job) == text


def test_the_last_news_of_a_running_job() -> None:
    assert sentence(settled(Underway("v1", NOW - 10, 0.5)), heard=NOW - 1) == "running, 50%, last heard 12:40:49"


def test_the_news_of_a_job_are_what_its_vendor_answers() -> None:
    observations = [
        {"type": kind, "timestamp": datetime.fromtimestamp(NOW + at, UTC), "jobId": job_id}
        for kind, at, job_id in (("metric", 2, "j1"), ("job_log", 1, "j1"), ("error", 3, "j1"), ("metric", 1, "j2"))
    ]
    reasoning = {"type": "agent_reasoning", "timestamp": datetime.fromtimestamp(NOW, UTC)}
    assert heard_at([*observations, reasoning]) == {"j1": NOW + 2, "j2": NOW + 1}


@pytest.mark.parametrize("work", [Owed(NOW), Underway("v1", NOW)])
def test_a_job_of_a_run_that_has_ended_is_not_followed(work: Owed | Underway) -> None:
    ended = replace(RUN, status=RunStatus.FAILED, reason="cancelled by Ada: wrong goal")
    assert sentence(settled(work), ended).endswith("; not followed any more, the run has ended")


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (RUN, "planning: the next tick asks the vendors for quotes and the planner for a choice"),
        (replace(RUN, wait_until=NOW + 15), "waiting until 12:41:05, then the planner decides again"),
        (replace(RUN, jobs=(settled(Underway("v1", NOW, 0.5)),)), f"{QUOTE.vendor_id}: running, 50%"),
        (
            replace(RUN, status=RunStatus.COMPLETED, reason="acme completed the job"),
            "completed: acme completed the job",
        ),
        (
            replace(RUN, status=RunStatus.FAILED, reason="cancelled", jobs=(authorized(),)),
            "failed: cancelled; 1.40 USD stay held until the chain has decided",
        ),
    ],
)
def test_each_state_of_a_run(run: Run, text: str) -> None:
    assert status_text(run, NOW, PACE).run == text


def test_times_are_the_readers() -> None:
    zone = timezone(timedelta(hours=2))
    assert status_text(replace(RUN, wait_until=NOW + 15), NOW, PACE, zone).run.startswith("waiting until 14:41:05")


def test_the_deterministic_planner_goes_by_its_rules() -> None:
    assert [planner_label(name) for name in ("stub", "llm", "llm:some/model")] == ["rules", "llm", "llm:some/model"]


def test_a_job_that_is_polled_without_a_pause_is_asked_about_now() -> None:
    status = status_text(replace(RUN, jobs=(settled(Owed(NOW - 5)),)), NOW, Pace(poll_s=0))
    assert status.jobs["j1"] == "paid, the vendor has named no job since 12:40:45; asking again at 12:40:50"
