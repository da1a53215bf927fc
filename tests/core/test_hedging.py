"""Hedges of late jobs: whatever happens, an index has at most two open jobs, of which one hedges the other."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.core import budget
from gpuagent.core.adoption import adopted
from gpuagent.core.events import (
    Event,
    HedgeDeclined,
    HedgePostponed,
    JobDropped,
    JobFinished,
    JobStopped,
    PaymentAdopted,
    PaymentSettled,
    PaymentVoided,
    RunCancelled,
    VendorChosen,
)
from gpuagent.core.hedging import expected_s, hedge_problem, late_s, next_late, winner
from gpuagent.core.indices import completed, is_open, is_paid_elsewhere, is_pair, slots_used, tries_max, unbought
from gpuagent.core.model import Approval, Authorized, Cause, Hedging, Run, RunStatus, Settled, Voided
from gpuagent.core.observations import observations_of
from gpuagent.core.status import status_text
from gpuagent.core.steps import Hedge, Plan, Poll, Stop, Supersede, is_over, next_steps
from gpuagent.core.transitions import apply
from gpuagent.core.work import Collecting, Completed, Failed, Fault, JobEnding, Owed, Underway
from gpuagent.errors import BudgetExceeded, IllegalTransition
from tests.support.factories import RUN, SETTLEMENT, authorization, decision, quote
from tests.support.run_states import payment_authorized

PRICE, LATE, WAIT = 1_000_000, 300, 60.0
SWEEP = replace(RUN, count=3, jobs_open_max=2, jobs_max=tries_max(3), hedging=Hedging(LATE))
ONE = replace(RUN, hedging=Hedging(LATE))
DONE, LOST = Completed("v", 900.0), Failed("node lost", 900.0, "v")
NOW = 2.0 + 60.0 + LATE
"""When a job that settled() began is late: it began at 2 and was expected to take 60 s."""
ALL = ("workload", "files", "checkpoint", "cancel")


def chosen(
    job_id: str, index: int = 0, hedges: str = "", vendor: str = "gpu_vendor_1", at: float = 1.0
) -> VendorChosen:
    terms = quote(PRICE, vendor, index=index, hedges=hedges, accepts=ALL)
    return VendorChosen(job_id, terms, decision(vendor), at, {})


def hedge(job_id: str, hedges: str, index: int = 0, vendor: str = "gpu_vendor_2", at: float = NOW) -> VendorChosen:
    return chosen(job_id, index, hedges, vendor, at)


def paid(run: Run, event: VendorChosen, named: str = "v") -> Run:
    run = apply(apply(run, event), payment_authorized(event.job_id, PRICE))
    return apply(run, PaymentSettled(event.job_id, SETTLEMENT, 2.0, named and f"{named} {event.job_id}"))


def pair(run: Run = SWEEP) -> Run:
    """A late job of index 0 and its hedge, both paid and at work."""
    return paid(paid(run, chosen("a")), hedge("b", "a"))


ids = st.sampled_from([f"job {number}" for number in range(9)])
vendors = st.sampled_from(["gpu_vendor_1", "gpu_vendor_2", "gpu_vendor_3"])
times = st.sampled_from([1.0, NOW - 1, NOW, 2 * NOW])
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(chosen, ids, st.integers(-1, 3), st.just(""), vendors, times),
    st.builds(chosen, ids, st.integers(-1, 3), ids, vendors, times),
    st.builds(chosen, ids, st.integers(0, 2), ids, vendors, st.just(2 * NOW)),
    st.builds(payment_authorized, ids, st.just(PRICE)),
    st.builds(PaymentSettled, ids, st.just(SETTLEMENT), st.just(2.0), st.just("v")),
    st.builds(PaymentVoided, ids, st.just("expired unused")),
    st.builds(JobDropped, ids, st.just("price raised")),
    st.builds(HedgePostponed, ids, st.just(NOW + WAIT), st.just(decision()), st.just({})),
    st.builds(HedgeDeclined, ids, st.just("too dear"), st.just({})),
    st.builds(JobFinished, ids, st.sampled_from([DONE, LOST])),
)


@pytest.mark.parametrize("begin", [SWEEP, ONE], ids=["several", "one"])
@given(st.lists(events, max_size=80))
def test_in_any_order_of_events_only_a_hedge_is_a_second_open_job(begin: Run, happened: list[Event]) -> None:
    """Money adds up; two open jobs of an index are a pair at two vendors; each job is hedged once."""
    run = replace(begin, budget=9 * PRICE)
    for event in happened:
        before = run
        try:
            run = apply(run, event)
        except (IllegalTransition, BudgetExceeded):
            continue
        assert budget.settled(run) + budget.held(run) + budget.available(run) == run.budget
        assert budget.available(run) >= 0
        for index in range(run.count):
            open_jobs = [job for job in run.jobs if job.quote.index == index and is_open(job)]
            if run.status is RunStatus.RUNNING and index not in completed(run):
                assert len(open_jobs) <= 2
                assert len(open_jobs) < 2 or is_pair(*open_jobs)
                assert len({job.quote.vendor_id for job in open_jobs}) == len(open_jobs), "never the same vendor"
        hedged = Counter(job.quote.hedges for job in run.jobs if job.quote.hedges)
        assert max(hedged.values(), default=0) <= 1
        assert set(completed(before)) <= set(completed(run)), "what is done stays done"
        assert (run.status is RunStatus.COMPLETED) == (len(completed(run)) == run.count)
        hedges = [step for step in next_steps(run, 2 * NOW) if isinstance(step, Hedge)]
        assert all(not hedge_problem(run, hedge("x", step.job_id, _index(run, step.job_id), "y").quote, 2 * NOW)
                   for step in hedges)  # fmt: skip


def _index(run: Run, job_id: str) -> int:
    return next(job.quote.index for job in run.jobs if job.job_id == job_id)


def test_a_job_is_late_so_long_after_its_vendors_word_and_no_sooner() -> None:
    run = paid(SWEEP, chosen("a"))
    assert next_late(run, NOW - 0.1) is None
    assert next_late(run, NOW) == run.jobs[0]
    assert Hedge("a") in next_steps(run, NOW)
    assert Hedge("a") not in next_steps(run, NOW - 0.1)
    assert late_s(run.jobs[0], NOW) == LATE


def test_expected_is_the_vendors_time_at_most_the_paid_hours() -> None:
    assert expected_s(quote(eta_s=90.0)) == 90
    assert expected_s(quote(eta_s=9e9)) == expected_s(quote(eta_s=0.0)) == 3600
    assert expected_s(quote(eta_s=9e9, max_hours=Decimal("0.5"))) == 1800


def test_a_job_that_its_vendor_has_not_named_is_late_since_it_is_paid() -> None:
    run = paid(SWEEP, chosen("a"), named="")
    (job,) = run.jobs
    assert isinstance(job, Settled)
    assert isinstance(job.work, Owed)
    assert (next_late(run, 2.0 + LATE - 1), next_late(run, 2.0 + LATE)) == (None, job)


def test_what_is_undecided_collected_or_waits_for_our_own_files_is_not_late() -> None:
    run = apply(apply(SWEEP, chosen("a")), payment_authorized("a", PRICE))
    assert next_late(run, 1e9) is None, "whether it is paid the chain has not said"
    run = paid(SWEEP, chosen("a"))
    (job,) = run.jobs
    assert isinstance(job, Settled)
    assert next_late(replace(run, jobs=(replace(job, postponed="no room"),)), 1e9) is None
    assert next_late(replace(run, jobs=(replace(job, work=Collecting(DONE, 2.0)),)), 1e9) is None


def test_no_run_hedges_that_was_not_told_to() -> None:
    run = paid(replace(SWEEP, hedging=Hedging()), chosen("a"))
    assert not any(isinstance(step, Hedge) for step in next_steps(run, 1e9))
    with pytest.raises(IllegalTransition, match="the run has no hedges"):
        apply(run, hedge("b", "a", at=1e9))


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (hedge("c", "a", at=NOW - 1), "is not late"),
        (hedge("c", "a", vendor="gpu_vendor_1"), "gpu_vendor_1 has the job that is late"),
        (hedge("c", "x"), "no job x to hedge"),
        (hedge("c", "a", index=1), "is of index 0, and its hedge of 1"),
        (chosen("c", 0, vendor="gpu_vendor_2", at=NOW), "open or completed already"),
        (hedge("a", "a"), "was chosen already"),
    ],
)
@pytest.mark.parametrize("begin", [SWEEP, ONE], ids=["several", "one"])
def test_no_other_second_job_is_admitted(begin: Run, event: VendorChosen, why: str) -> None:
    with pytest.raises(IllegalTransition, match=why):
        apply(paid(begin, chosen("a")), event)


def test_no_third_job_is_admitted_and_none_twice_for_the_same() -> None:
    run = pair()
    for late in ("a", "b"):
        with pytest.raises(IllegalTransition, match="no hedge"):
            apply(run, hedge("c", late, vendor="gpu_vendor_3", at=1e9))
    run = apply(run, JobFinished("b", LOST))
    with pytest.raises(IllegalTransition, match="bought or declined already"):
        apply(run, hedge("c", "a", vendor="gpu_vendor_3", at=1e9))


def test_the_other_goes_on_alone_where_one_fails_and_may_be_hedged_itself() -> None:
    run = apply(pair(), JobFinished("a", LOST))
    assert 0 not in unbought(run), "its hedge is open"
    assert next_late(run, 2 * NOW) == run.jobs[1]
    run = apply(run, hedge("c", "b", vendor="gpu_vendor_3", at=2 * NOW))
    assert slots_used(run) == 1
    run = apply(apply(run, JobDropped("c", "price raised")), JobFinished("b", LOST))
    assert 0 in unbought(run)


@pytest.mark.parametrize(("first", "other"), [("a", "b"), ("b", "a")])
def test_the_first_to_complete_wins_and_the_other_is_stopped_and_superseded(first: str, other: str) -> None:
    run = apply(pair(), JobFinished(first, DONE))
    assert run.status is RunStatus.RUNNING
    steps = next_steps(run, NOW)
    assert Stop(other) in steps
    assert Poll(other) not in steps
    run = apply(run, JobStopped(other, "stopped"))
    assert Supersede(other) in next_steps(run, NOW)
    end = JobFinished(other, Failed("superseded: x", NOW, "v", JobEnding.SUPERSEDED, fault=Fault.NONE))
    (told,) = observations_of(run, end)
    assert (told.data["kind"], "failed" in told.content) == ("superseded", False)
    run = apply(run, end)
    assert completed(run) == {0}
    assert budget.settled(run) == 2 * PRICE, "both are paid"
    assert next_steps(run, NOW) == (Plan(),)
    assert "superseded" in status_text(run, NOW).jobs[other]


def test_a_vendor_that_stops_no_jobs_is_not_asked_to() -> None:
    run = pair()
    run = replace(run, jobs=tuple(replace(job, quote=replace(job.quote, accepts=())) for job in run.jobs))
    run = apply(run, JobFinished("a", DONE))
    assert Supersede("b") in next_steps(run, NOW)


def test_a_run_with_one_job_ends_once_the_other_is_superseded() -> None:
    run = apply(pair(ONE), JobFinished("b", DONE))
    assert (run.status, run.reason) == (RunStatus.COMPLETED, "gpu_vendor_2 completed the job")
    assert not is_over(run)
    assert next_steps(run, NOW) == (Stop("a"),)
    run = apply(run, JobStopped("a", "stopped"))
    assert next_steps(run, NOW) == (Supersede("a"),)
    assert not is_over(run)
    run = apply(run, JobFinished("a", Failed("superseded", NOW, "v", JobEnding.SUPERSEDED, fault=Fault.NONE)))
    assert is_over(run)


def test_an_unsigned_hedge_is_dropped_and_a_signed_one_is_followed_to_its_end() -> None:
    run = paid(SWEEP, chosen("a"))
    reserved = apply(apply(run, hedge("b", "a")), JobFinished("a", DONE))
    assert isinstance(reserved.jobs[1], Voided)
    assert reserved.jobs[1].cause is Cause.UNNEEDED
    signed = apply(apply(run, hedge("b", "a")), payment_authorized("b", PRICE))
    signed = apply(signed, JobFinished("a", DONE))
    assert isinstance(signed.jobs[1], Authorized)
    assert winner(signed, signed.jobs[1]) is None, "its money is not decided"
    settled = apply(signed, PaymentSettled("b", SETTLEMENT, 9.0))
    assert Supersede("b") in next_steps(settled, NOW)


def test_a_hedge_takes_no_slot_of_the_others() -> None:
    run = pair()
    assert (slots_used(run), sum(map(is_open, run.jobs))) == (1, 2)
    assert Plan() in next_steps(run, NOW)
    run = paid(run, chosen("c", 1))
    assert slots_used(run) == 2
    assert Plan() not in next_steps(run, NOW)


def test_tries_that_others_need_are_not_spent_on_hedges() -> None:
    run = paid(replace(SWEEP, jobs_max=3), chosen("a"))
    assert unbought(run) == (1, 2)
    assert next_late(run, NOW) is None
    assert next_late(replace(run, jobs_max=4), NOW) == run.jobs[0]
    asked = VendorChosen("b", quote(PRICE, index=1), decision(), 1.0, {}, Approval(1.0, 1e6))
    run = apply(replace(run, jobs_max=4), asked)
    assert next_late(run, NOW) is None, "the request may stay unanswered"


def test_a_hedge_that_is_put_off_waits_and_one_that_is_declined_is_never_bought() -> None:
    run = paid(SWEEP, chosen("a"))
    waits = apply(run, HedgePostponed("a", NOW + WAIT, decision(), {}, cost=7))
    assert (waits.planner_cost, waits.hedging.waits, waits.waits, waits.wait_until) == (7, 1, 0, 0)
    assert Hedge("a") not in next_steps(waits, NOW + WAIT - 1)
    assert Hedge("a") in next_steps(waits, NOW + WAIT)
    assert Plan() in next_steps(waits, NOW), "the others are bought meanwhile"
    declined = apply(waits, HedgeDeclined("a", "too dear", {}))
    assert not any(isinstance(step, Hedge) for step in next_steps(declined, 1e9))
    with pytest.raises(IllegalTransition, match="bought or declined already"):
        apply(declined, hedge("b", "a", at=1e9))


def test_no_hedge_while_two_failures_of_the_program_would_end_the_run() -> None:
    """Of a program that has failed once already, the end of the second job says whether it is at fault."""
    run = replace(SWEEP, workload=WORKLOAD)
    work = Failed("exit code 1", 3.0, "v", fault=Fault.PROGRAM, exit_code=1)
    run = apply(paid(run, chosen("a")), JobFinished("a", work))
    assert next_late(paid(run, chosen("b", vendor="gpu_vendor_2")), NOW) is None
    assert next_late(paid(run, chosen("b", 1)), NOW) is not None, "another index"


def test_a_hedge_and_its_late_job_are_not_paid_elsewhere_and_a_third_is() -> None:
    """As after a kill, when a payment that the ledger did not know is adopted for the index."""
    run = pair()
    for job in run.jobs:
        assert not is_paid_elsewhere(run, job)
    third = replace(run.jobs[0], job_id="x", quote=quote(PRICE, "gpu_vendor_3"))
    assert all(is_paid_elsewhere(replace(run, jobs=(*run.jobs, third)), job) for job in run.jobs)


def test_an_adopted_hedge_stays_one() -> None:
    run = apply(paid(SWEEP, chosen("a")), hedge("b", "a"))
    event = PaymentAdopted("b", quote(PRICE, "gpu_vendor_2"), authorization(PRICE), SETTLEMENT, "ada", "restored", 9.0)
    assert adopted(run, event).jobs[1].quote.hedges == "a"


def test_a_cancelled_run_hedges_nothing_and_follows_what_is_out() -> None:
    run = apply(pair(), RunCancelled("ada", "wrong goal"))
    assert next_steps(run, 1e9) == (Stop("a"), Stop("b"))
    (first, second) = run.jobs
    assert isinstance(first, Settled)
    assert isinstance(second, Settled)
    assert isinstance(first.work, Underway)
    with pytest.raises(IllegalTransition):
        apply(run, HedgeDeclined("a", "too dear", {}))


WORKLOAD = '{"name":"tiny","command":"true","program_failures":2,"on_exit":{},"success":{"exit_code":0}}'
