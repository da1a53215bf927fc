"""Runs with several jobs: whatever happens, no index is bought twice at once, and all are done at the end."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.core import budget
from gpuagent.core.events import (
    Event,
    JobClaimed,
    JobDropped,
    JobFinished,
    PaymentAdopted,
    PaymentSettled,
    PaymentVoided,
    VendorChosen,
)
from gpuagent.core.indices import completed, has_completed, is_open, missing, next_index, tries_left, tries_max
from gpuagent.core.model import COUNT_MAX, Cause, Reserved, Run, RunStatus, Settled, Voided
from gpuagent.core.observations import observations_of
from gpuagent.core.status import status_text
from gpuagent.core.steps import Authorize, Plan, is_over, next_steps
from gpuagent.core.transitions import apply
from gpuagent.core.work import Completed, Failed, Fault
from gpuagent.errors import BudgetExceeded, IllegalTransition
from tests.support.factories import RUN, SETTLEMENT, authorization, decision, quote
from tests.support.run_states import payment_authorized

SWEEP = replace(RUN, count=3, jobs_open_max=2, jobs_max=tries_max(3))
PRICE = 1_000_000
COMPLETED, LOST = Completed("v", 3.0), Failed("node lost", 3.0, "v")


def chosen(job_id: str, index: int, amount: int = PRICE) -> VendorChosen:
    return VendorChosen(job_id, quote(amount, index=index), decision(), 1.0, {})


def begun(run: Run, job_id: str, index: int) -> Run:
    """With a job of this index at work, paid."""
    run = apply(apply(run, chosen(job_id, index)), payment_authorized(job_id, PRICE))
    return apply(run, PaymentSettled(job_id, SETTLEMENT, 2.0, job_id))


def done(run: Run, job_id: str, index: int) -> Run:
    return apply(begun(run, job_id, index), JobFinished(job_id, COMPLETED))


ids = st.sampled_from([f"job {number}" for number in range(8)])
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(chosen, ids, st.integers(-1, 3), st.sampled_from([1, PRICE, 3 * PRICE])),
    st.builds(payment_authorized, ids, st.just(PRICE)),
    st.builds(PaymentSettled, ids, st.just(SETTLEMENT), st.just(2.0), st.just("v")),
    st.builds(PaymentVoided, ids, st.just("expired unused")),
    st.builds(JobDropped, ids, st.just("price raised")),
    st.builds(JobFinished, ids, st.sampled_from([COMPLETED, LOST])),
)


@given(st.lists(events, max_size=60))
def test_in_any_order_of_events_each_index_is_bought_for_itself(happened: list[Event]) -> None:
    """Money adds up; of an index one job is open at a time, none once it is done; the last one ends the run."""
    run = SWEEP
    for event in happened:
        before = run
        try:
            run = apply(run, event)
        except (IllegalTransition, BudgetExceeded):
            continue
        assert budget.settled(run) + budget.held(run) + budget.available(run) == run.budget
        assert budget.available(run) >= 0
        open_now = Counter(job.quote.index for job in run.jobs if is_open(job))
        if run.status is RunStatus.RUNNING:
            assert max(open_now.values(), default=0) <= 1
            assert not completed(run) & set(open_now)
        assert (run.status is RunStatus.COMPLETED) == (completed(run) == {0, 1, 2})
        done_twice = Counter(job.quote.index for job in run.jobs if has_completed(job))
        assert max(done_twice.values(), default=0) <= 1
        assert set(completed(before)) <= set(completed(run)), "what is done stays done"
        assert any(isinstance(step, Plan) for step in next_steps(run, 9.0)) == (
            run.status is RunStatus.RUNNING and open_now.total() < 2 and len(open_now) < len(missing(run))
        )


def test_a_run_ends_with_the_last_of_its_jobs_and_not_before() -> None:
    run = done(SWEEP, "a", 0)
    assert (run.status, next_index(run)) == (RunStatus.RUNNING, 1)
    run = begun(begun(run, "b", 1), "c", 2)
    assert next_index(run) is None
    assert not any(isinstance(step, Plan) for step in next_steps(run, 9.0)), "all that is missing is open"
    run = apply(run, JobFinished("c", COMPLETED))
    last = JobFinished("b", COMPLETED)
    assert [o.content for o in observations_of(run, last)][1:] == ["job 1: 3 of 3 jobs are completed"]
    run = apply(run, last)
    assert (run.status, run.reason) == (RunStatus.COMPLETED, "all 3 jobs are completed")
    assert is_over(run)


@pytest.mark.parametrize("index", [-1, 0, 1, 3])
def test_no_index_is_bought_that_is_done_or_open_or_none_of_the_run(index: int) -> None:
    run = begun(done(SWEEP, "a", 0), "b", 1)
    with pytest.raises(IllegalTransition, match="open or completed already"):
        apply(run, chosen("c", index))


def test_a_failed_index_is_bought_again_after_the_others() -> None:
    run = apply(begun(SWEEP, "a", 0), JobFinished("a", LOST))
    assert next_index(run) == 1, "one that fails keeps no other waiting"
    run = done(done(run, "b", 1), "c", 2)
    assert next_index(run) == 0
    run = done(run, "d", 0)
    assert run.status is RunStatus.COMPLETED
    assert sum(isinstance(job, Settled) for job in run.jobs) == 4


def test_a_job_that_completes_late_drops_what_is_reserved_for_its_index() -> None:
    """As after a payment that was adopted: the ledger held it as void, and its index was to be bought anew."""
    run = begun(SWEEP, "a", 0)
    late = replace(run.jobs[0], quote=quote(PRICE, index=1))
    run = apply(apply(run, chosen("b", 1)), chosen("c", 2))
    run = replace(run, jobs=(late, *run.jobs[1:]))
    run = apply(run, JobFinished("a", COMPLETED))
    dropped, kept = run.jobs[1:]
    assert isinstance(dropped, Voided)
    assert dropped.cause is Cause.UNNEEDED
    assert not isinstance(kept, Voided), "of another index"


def test_who_reported_a_failing_program_is_blamed_for_its_own_index_alone() -> None:
    work = Failed("exit code 1", 3.0, "v", fault=Fault.PROGRAM, exit_code=1)
    run = replace(SWEEP, workload=WORKLOAD)
    for job_id, index in (("a", 0), ("b", 1)):
        run = apply(begun(run, job_id, index), JobFinished(job_id, work))
    run = done(run, "c", 1)
    faults = [job.work.fault for job in run.jobs if isinstance(job, Settled) and isinstance(job.work, Failed)]
    assert faults == [Fault.PROGRAM, Fault.VENDOR]


def test_tries_are_limited_for_each_and_in_all() -> None:
    assert (tries_max(1), tries_max(3), tries_max(COUNT_MAX)) == (8, 10, 300)
    run = SWEEP
    for number in range(8):
        run = apply(begun(run, str(number), 0), JobFinished(str(number), LOST)) if number < 5 else run
    assert (tries_left(run, 0), tries_left(run, 1)) == (3, 3), "one each is kept for the others"


WORKLOAD = '{"name":"tiny","command":"true","program_failures":2,"on_exit":{},"success":{"exit_code":0}}'


def test_the_status_says_how_many_are_done() -> None:
    run = begun(begun(SWEEP, "a", 0), "b", 1)
    assert status_text(run, 9.0).run == "0 of 3 jobs are completed, 2 are open"
    run = apply(apply(run, JobFinished("a", COMPLETED)), JobFinished("b", LOST))
    assert status_text(run, 9.0).run.startswith("1 of 3 jobs are completed; planning")
    chosen_for = [o.content for o in observations_of(run, chosen("c", 1))]
    assert chosen_for[-1] == "reserved 1.00 USD for gpu_vendor_1, job 1 of 3"


def adoption(job_id: str, amount: int = PRICE, *, written_off: bool = False) -> PaymentAdopted:
    signed = authorization(amount)
    return PaymentAdopted(job_id, quote(amount), signed, SETTLEMENT, "Ada", "restored", 4.0, written_off=written_off)


def test_an_adopted_job_that_is_owed_drops_what_is_reserved_for_its_index() -> None:
    run = apply(apply(SWEEP, chosen("a", 1)), payment_authorized("a", PRICE))
    run = apply(run, PaymentVoided("a", "expired unused"))  # by a node that lied, or an older database
    run = apply(apply(run, chosen("b", 1)), chosen("c", 2))
    notes = observations_of(run, adoption("a"))
    run = apply(run, adoption("a"))
    assert is_open(run.jobs[0])
    assert Authorize("b") not in next_steps(run, 5.0), "the index would be paid twice"
    assert isinstance(run.jobs[1], Voided)
    assert isinstance(run.jobs[2], Reserved)
    assert len(notes) == 2


def test_an_index_that_is_done_stays_done_when_its_payment_is_written_off() -> None:
    run = apply(apply(SWEEP, chosen("a", 0)), payment_authorized("a", PRICE))
    run = apply(run, JobClaimed("a", "v", 2.0))
    run = apply(run, JobFinished("a", COMPLETED))
    run = apply(run, adoption("a", PRICE + 1, written_off=True))
    assert completed(run) == {0}, "it would be bought again"
