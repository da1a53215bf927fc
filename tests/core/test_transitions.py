"""The pure core: in any order of events the books balance, and what does not fit raises."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.core import budget, policy
from gpuagent.core.events import (
    CheckpointKept,
    CheckpointLost,
    CollectingBegan,
    CollectingHindered,
    Event,
    FilesKept,
    InputsDelivered,
    JobAnswered,
    JobClaimed,
    JobDropped,
    JobFinished,
    JobProgressed,
    JobStopped,
    JobWentSilent,
    PaymentAdopted,
    PaymentSettled,
    PaymentUnresolved,
    PaymentUnwanted,
    PaymentVoided,
    PlanAborted,
    PlannerCharged,
    PlanPostponed,
    PurchaseApproved,
    StepPostponed,
    StepTakenUp,
    VendorReadmitted,
)
from gpuagent.core.model import (
    HEADER_LOST,
    Approval,
    Authorized,
    Cause,
    Phase,
    Reserved,
    Run,
    RunStatus,
    Settled,
    Voided,
)
from gpuagent.core.observations import observations_of
from gpuagent.core.run_state import phase
from gpuagent.core.steps import Authorize, Claim, Collect, Pay, Plan, Poll, is_over, next_steps
from gpuagent.core.transitions import apply
from gpuagent.core.work import Collecting, Completed, Failed, FileKind, JobEnding, JobFile, Owed, Underway
from gpuagent.core.work_transitions import next_work
from gpuagent.errors import BudgetExceeded, IllegalTransition
from tests.support.factories import RUN, SETTLEMENT, authorization, decision, quote
from tests.support.run_states import (
    CHECKPOINT,
    CHECKPOINT_FILES,
    OFFER,
    STATES,
    collecting_began,
    payment_authorized,
    progressed,
    vendor_chosen,
)

JOB_IDS = ("one", "two", "three")
ids = st.sampled_from(JOB_IDS)
amounts = st.sampled_from([1, 400_000, 1_400_000, 3_000_000, 5_000_000, 5_000_001])
DISPUTE = Failed("disputed: ?", 3.0, "v", JobEnding.DISPUTED)
ends = st.sampled_from([Completed("v", 3.0), Failed("out of memory", 3.0, "v"), DISPUTE])


events: st.SearchStrategy[Event] = st.one_of(
    st.builds(vendor_chosen, ids, amounts),
    st.just(PlanPostponed(9.0, decision(), {})),
    st.just(PlanAborted("nobody can", {})),
    st.builds(PlannerCharged, st.just("lost"), st.just({}), amounts),
    st.builds(JobDropped, ids, st.just("price raised")),
    st.builds(payment_authorized, ids, amounts),
    st.builds(PaymentUnresolved, ids, st.text(max_size=3)),
    st.builds(PaymentSettled, ids, st.just(SETTLEMENT), st.just(2.0), st.sampled_from(["", "v"])),
    st.builds(PaymentVoided, ids, st.just("expired unused")),
    st.builds(JobClaimed, ids, st.just("v"), st.just(2.0)),
    st.builds(JobProgressed, ids, st.floats(0, 1), st.just(("line",))),
    st.builds(JobWentSilent, ids, st.just(2.5), st.just("timeout")),
    st.builds(JobAnswered, ids, st.just(2.75), st.just("queued")),
    st.builds(JobFinished, ids, ends),
    st.builds(InputsDelivered, ids),
    st.builds(progressed, ids, offer=st.sampled_from([None, OFFER])),
    st.builds(CollectingBegan, ids, st.builds(Collecting, ends, st.just(2.0))),
    st.builds(CheckpointKept, ids, st.just(CHECKPOINT), st.just(CHECKPOINT_FILES)),
    st.builds(FilesKept, ids, st.just(CHECKPOINT_FILES)),
    st.builds(JobStopped, ids, st.just("stopped")),
    st.builds(StepPostponed, ids, st.just("file store away")),
    st.builds(StepTakenUp, ids, st.just(2.5)),
    st.just(VendorReadmitted("gpu_vendor_1", "Ada", "they called")),
)


def assert_books(run: Run) -> None:
    parts = (budget.settled(run), budget.held(run), budget.available(run))
    assert sum(parts) + run.planner_cost == run.budget
    assert min(parts) >= 0


@given(st.lists(events, max_size=40))
def test_books_balance_in_any_order_of_events(happened: list[Event]) -> None:
    run = RUN
    for event in happened:
        before = run
        try:
            run = apply(run, event)
        except IllegalTransition:
            assert run is before
        assert_books(run)
        assert budget.settled(run) >= budget.settled(before)  # what is paid stays paid
        if before.status is not RunStatus.RUNNING:
            assert run.status is before.status
        assert all(budget.held(run) >= job.quote.amount for job in run.jobs if isinstance(job, Authorized)), (
            "whatever the vendor says of the work, only the chain ends a hold"
        )
        for was, now in zip(before.jobs, run.jobs, strict=False):
            assert was.quote == now.quote
            assert not isinstance(was, Settled | Voided) or type(now) is type(was)


@given(st.lists(events, max_size=40))
def test_something_is_due_until_the_run_is_over(happened: list[Event]) -> None:
    run = RUN
    for event in happened:
        try:
            run = apply(run, event)
        except IllegalTransition:
            continue
    assert bool(next_steps(run, now=1e12)) != is_over(run)
    assert phase(run) in Phase


OF_A_JOB: dict[str, Event] = {
    "dropped": JobDropped("one", "price raised"),
    "authorized": payment_authorized("one", 1_400_000),
    "unresolved": PaymentUnresolved("one", "503"),
    "settled": PaymentSettled("one", SETTLEMENT, 2.0),
    "voided": PaymentVoided("one", "expired unused"),
    "claimed": JobClaimed("one", "v", 2.0),
    "progressed": JobProgressed("one", 0.5, ()),
    "silent": JobWentSilent("one", 2.5, "timeout"),
    "answered": JobAnswered("one", 2.75, "come again"),
    "finished": JobFinished("one", Failed("oom", 3.0)),
    "delivered": InputsDelivered("one"),
    "collecting": collecting_began(Completed("v", 3.0)),
    "checkpoint kept": CheckpointKept("one", CHECKPOINT, CHECKPOINT_FILES),
    "checkpoint lost": CheckpointLost("one", OFFER.sha256, "altered", 1.0),
    "files kept": FilesKept("one", (JobFile("log", 1, "4" * 64, FileKind.OUTPUT, 3.0),)),
    "hindered": CollectingHindered("one", 3.5, "timeout"),
    "stopped": JobStopped("one", "stopped"),
    "postponed": StepPostponed("one", "file store away"),
    "taken up": StepTakenUp("one", 3.5),
}
UNDERWAY = {
    *("progressed", "silent", "answered", "finished", "collecting"),
    *("checkpoint lost", "files kept", "stopped", "postponed"),
}
COLLECTING = {"finished", "files kept", "postponed"}
UNPAID = {"unresolved", "settled", "voided"}
LEGAL = {
    "reserved": {"dropped", "authorized", "delivered", "postponed"},
    "delivered": {"dropped", "authorized", "postponed"},
    "delivery postponed": {"dropped", "authorized", "delivered", "postponed", "taken up"},
    "delivery taken up": {"dropped", "authorized", "delivered", "postponed"},
    # A job that is taken before it is paid is claimed; one whose name is another's is finished by that.
    "authorized": {"unresolved", "settled", "voided", "claimed", "finished"},
    "unpaid underway": UNDERWAY | UNPAID,
    "unpaid in silence": (UNDERWAY | UNPAID) - {"silent"},
    "unpaid and stopped": (UNDERWAY | UNPAID) - {"stopped"},
    "unpaid collecting": COLLECTING | {"hindered"} | UNPAID,
    "unpaid collecting postponed": COLLECTING | {"hindered", "taken up"} | UNPAID,
    "paid collecting postponed": COLLECTING | {"hindered", "taken up"},
    "unpaid completed": UNPAID,
    "unpaid failed": UNPAID,
    "paid underway": UNDERWAY,
    "owed": {"claimed", "silent", "answered", "finished", "postponed"},
    "owed in silence": {"claimed", "answered", "finished", "postponed"},
    "owed and answered": {"claimed", "silent", "answered", "finished", "postponed"},
    "claim postponed": {"claimed", "silent", "answered", "finished", "postponed", "taken up"},
    "underway": UNDERWAY,
    "queued": UNDERWAY,
    "offered": UNDERWAY | {"checkpoint kept"},
    "checkpoint postponed": UNDERWAY | {"checkpoint kept", "taken up"},
    "kept": UNDERWAY,
    "stopped": UNDERWAY - {"stopped"},
    "collecting": COLLECTING | {"hindered"},
    "hindered": COLLECTING,
    "collecting postponed": COLLECTING | {"hindered", "taken up"},
    "collecting a checkpoint": COLLECTING | {"hindered", "checkpoint kept", "checkpoint lost"},
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", OF_A_JOB)
def test_only_events_that_fit_a_state_are_accepted(state: str, name: str) -> None:
    run = STATES[state]()
    if name in LEGAL.get(state, set()):
        assert apply(run, OF_A_JOB[name]).jobs != run.jobs
    else:
        with pytest.raises(IllegalTransition):
            apply(run, OF_A_JOB[name])


@pytest.mark.parametrize("state", STATES)
def test_what_the_chain_proves_is_adopted_in_every_state(state: str) -> None:
    """In place of what the ledger held of the job, but never of another nonce's, nor beyond the budget."""
    run = STATES[state]()
    proven = PaymentAdopted("one", quote(1_300_000), authorization(1_300_000), SETTLEMENT, "Ada", "restored", 4.0)
    after = apply(run, proven)
    assert (budget.settled(after), budget.held(after)) == (1_300_000, 0)
    assert_books(after)
    assert [entry.data["kind"] for entry in observations_of(run, proven)] == ["adopted"]
    beyond = RUN.budget + 1
    wrong = [
        replace(proven, quote=quote(1)),
        replace(proven, quote=quote(beyond), authorization=authorization(beyond)),
    ]
    if isinstance(after.jobs[0], Settled) and after.jobs[0].header != HEADER_LOST:  # it was signed before
        wrong.append(replace(proven, authorization=authorization(1_300_000, nonce="0x" + "9" * 64)))
    for event in wrong:
        with pytest.raises(IllegalTransition):
            apply(run, event)


def test_each_open_state_has_its_step() -> None:
    steps = {name: next_steps(make(), now=5) for name, make in STATES.items()}
    assert steps["reserved"] == (Authorize("one"),)
    assert steps["authorized"] == (Pay("one"),)
    assert steps["owed"] == (Claim("one"),)
    assert steps["underway"] == (Poll("one"),)
    assert steps["completed"] == ()
    assert steps["failed"] == steps["voided"] == steps["dropped"] == (Plan(),)


def test_a_run_waits_no_longer_than_it_decided() -> None:
    run = apply(RUN, PlanPostponed(9.0, decision(), {}))
    assert next_steps(run, now=8.9) == ()
    assert next_steps(run, now=9.0) == (Plan(),)


def test_two_jobs_can_be_open_and_events_find_theirs() -> None:
    run = replace(RUN, jobs_open_max=2)
    run = apply(apply(run, vendor_chosen("one", 1_400_000)), payment_authorized("one", 1_400_000))
    assert next_steps(run, now=5) == (Pay("one"), Plan())
    run = apply(run, vendor_chosen("two", 2_000_000))
    assert next_steps(run, now=5) == (Pay("one"), Authorize("two"))
    run = apply(run, PaymentSettled("one", SETTLEMENT, 2.0, "v"))
    assert [type(job) for job in run.jobs] == [Settled, Reserved]


def test_a_payment_that_arrives_while_the_file_store_is_away_leaves_its_step_postponed() -> None:
    run = STATES["unpaid collecting"]()
    (job,) = run.jobs
    run = apply(run, StepPostponed(job.job_id, "file store away"))
    (paid,) = apply(run, PaymentSettled(job.job_id, SETTLEMENT, 4.0)).jobs
    assert isinstance(paid, Settled)
    assert paid.postponed == "file store away"


def test_what_is_signed_is_followed_before_anything_is_signed_anew() -> None:
    """A refusal of the new signature would hold up what is out."""
    run = apply(apply(replace(RUN, jobs_open_max=2), vendor_chosen("one", 1)), vendor_chosen("two", 2))
    run = apply(run, payment_authorized("two", 2))
    assert next_steps(run, now=5) == (Pay("two"), Authorize("one"))


def test_a_job_is_chosen_once() -> None:
    run = apply(replace(RUN, jobs_open_max=2), vendor_chosen("one", 1))
    with pytest.raises(IllegalTransition, match="chosen already"):
        apply(run, vendor_chosen("one", 1))


def test_an_approval_that_comes_with_the_expiry_of_its_request_is_none() -> None:
    chosen = replace(vendor_chosen("one", 1), approval=Approval(1.0, 60.0))
    run = apply(RUN, chosen)
    with pytest.raises(IllegalTransition, match="expired"):
        apply(run, PurchaseApproved("one", "Ada", 60.0))
    approved = apply(run, PurchaseApproved("one", "Ada", 59.9))
    assert next_steps(approved, now=59.9) == (Authorize("one"),)


def test_a_completed_run_releases_the_unsigned_and_follows_the_signed() -> None:
    run = replace(RUN, jobs_open_max=3)
    run = apply(apply(run, vendor_chosen("one", 1_000_000)), payment_authorized("one", 1_000_000))
    run = apply(run, PaymentSettled("one", SETTLEMENT, 2.0, "v"))
    run = apply(apply(run, vendor_chosen("two", 1_000_000)), payment_authorized("two", 1_000_000))
    run = apply(run, vendor_chosen("three", 1_000_000))
    completed = JobFinished("one", Completed("v", 3.0))
    contents = [(observation.job_id, observation.content) for observation in observations_of(run, completed)]
    run = apply(run, completed)
    assert contents == [
        ("one", "gpu_vendor_1 completed the job"),
        ("three", "gpu_vendor_1 was not paid, 1.00 USD released: another job completed first"),
    ]
    assert run.status is RunStatus.COMPLETED
    assert [type(job) for job in run.jobs] == [Settled, Authorized, Voided]
    assert budget.held(run) == 1_000_000
    assert next_steps(run, now=5) == (Pay("two"),)
    assert not is_over(run)
    run = apply(run, PaymentVoided("two", "expired unused"))
    assert is_over(run)
    assert budget.available(run) == 4_000_000


def test_a_run_is_not_given_up_while_a_job_is_open() -> None:
    for state in ("reserved", "authorized", "owed", "underway"):
        with pytest.raises(IllegalTransition):
            apply(STATES[state](), PlanAborted("nobody can", {}))
    assert apply(STATES["failed"](), PlanAborted("nobody can", {})).status is RunStatus.FAILED


def test_a_job_that_ends_ends_the_wait() -> None:
    run = apply(replace(STATES["underway"](), jobs_open_max=2), PlanPostponed(9.0, decision(), {}))
    assert next_steps(run, now=5) == (Poll("one"),)
    assert next_steps(apply(run, OF_A_JOB["finished"]), now=5) == (Plan(),)


def test_the_budget_is_not_passed() -> None:
    run = apply(replace(RUN, jobs_open_max=2), vendor_chosen("one", 3_000_000))
    with pytest.raises(BudgetExceeded):
        apply(run, vendor_chosen("two", 2_000_001))
    assert budget.available(apply(run, vendor_chosen("two", 2_000_000))) == 0


def test_an_authorization_is_for_the_quoted_amount_only() -> None:
    with pytest.raises(IllegalTransition):
        apply(STATES["reserved"](), payment_authorized("one", 1_400_001))


def test_log_positions_and_progress_only_grow() -> None:
    run = apply(STATES["underway"](), JobProgressed("one", 0.5, ("a", "b")))
    run = apply(run, JobProgressed("one", 0.4, ("c",)))
    (job,) = run.jobs
    assert isinstance(job, Settled)
    assert job.work == Underway("v", 2.0, 0.5, 3, notes=2)


@pytest.mark.parametrize(("ending", "ends"), [("reported", False), ("at_once", True), ("disputed", True)])
def test_a_dispute_or_a_failure_at_once_ends_its_vendor_until_it_is_readmitted(ending: str, ends: bool) -> None:
    run = apply(STATES["underway"](), JobFinished("one", Failed("?", 3.0, "v", JobEnding(ending))))
    assert policy.has_ended_with(run, "gpu_vendor_1") is ends
    assert not policy.has_ended_with(run, "gpu_vendor_2")
    if not ends:
        with pytest.raises(IllegalTransition, match="has not ended with gpu_vendor_1"):
            apply(run, VendorReadmitted("gpu_vendor_1", "Ada", "why"))
        return
    with pytest.raises(IllegalTransition):
        apply(run, VendorReadmitted("gpu_vendor_2", "Ada", "why"))
    run = apply(run, PlanPostponed(9.0, decision(), {}))
    readmission = VendorReadmitted("gpu_vendor_1", "Ada", "they called")
    (observation,) = observations_of(run, readmission)
    assert observation.content == "Ada allows to pay gpu_vendor_1 again: they called"
    run = apply(run, readmission)
    assert not policy.has_ended_with(run, "gpu_vendor_1")
    assert next_steps(run, now=5) == (Plan(),)  # what the wait was decided on has changed
    assert budget.settled(run) == 1_400_000  # what was paid stays paid
    with pytest.raises(IllegalTransition):
        apply(run, readmission)
    with pytest.raises(IllegalTransition):
        apply(apply(run, PlanAborted("no hope", {})), readmission)


def test_a_readmitted_vendor_that_takes_its_pay_for_failed_work_is_disputed_anew() -> None:
    run = apply(STATES["unpaid underway"](), JobFinished("one", Failed("?", 3.0, "v", JobEnding.AT_ONCE)))
    run = apply(run, VendorReadmitted("gpu_vendor_1", "Ada", "they called"))
    assert not policy.has_ended_with(run, "gpu_vendor_1")
    run = apply(run, PaymentSettled("one", SETTLEMENT, 4.0))
    assert policy.has_ended_with(run, "gpu_vendor_1"), "what was forgiven was a failure, not this"


def test_phase_is_what_people_see() -> None:
    phases = {name: phase(make()) for name, make in STATES.items()}
    assert phases == {
        "reserved": Phase.EXECUTING,
        "authorized": Phase.EXECUTING,
        "owed": Phase.WAITING,
        "owed in silence": Phase.WAITING,
        "owed and answered": Phase.WAITING,
        "underway": Phase.WAITING,
        "queued": Phase.WAITING,
        "delivered": Phase.EXECUTING,
        **dict.fromkeys(("offered", "kept", "collecting", "hindered", "collecting a checkpoint"), Phase.WAITING),
        **dict.fromkeys(("delivery postponed", "delivery taken up"), Phase.EXECUTING),
        **dict.fromkeys(("claim postponed", "checkpoint postponed", "collecting postponed"), Phase.WAITING),
        "stopped": Phase.WAITING,
        **dict.fromkeys(
            ("unpaid underway", "unpaid in silence", "unpaid and stopped", "unpaid collecting", "paid underway"),
            Phase.WAITING,
        ),
        **dict.fromkeys(("unpaid collecting postponed", "paid collecting postponed"), Phase.WAITING),
        **dict.fromkeys(("unpaid completed", "paid completed", "completed for nothing"), Phase.SUCCESS),
        **dict.fromkeys(("unpaid failed", "paid after it failed", "failed for nothing"), Phase.PLANNING),
        "completed": Phase.SUCCESS,
        "failed": Phase.PLANNING,
        "disputed": Phase.PLANNING,
        "readmitted": Phase.PLANNING,
        "voided": Phase.PLANNING,
        "dropped": Phase.PLANNING,
    }
    assert isinstance(STATES["owed"]().jobs[0], Settled)
    assert STATES["owed"]().jobs[0].work == Owed(2.0)  # type: ignore[union-attr]


def test_work_that_is_paid_afterwards_is_followed_beside_its_payment() -> None:
    """Its amount stays held whatever the vendor says, and its end is not the end of the payment."""
    steps = {name: next_steps(make(), now=5) for name, make in STATES.items()}
    assert steps["unpaid underway"] == (Pay("one"), Poll("one"))
    assert steps["unpaid collecting"] == (Pay("one"), Collect("one"))
    assert steps["unpaid completed"] == (Pay("one"),)
    assert steps["unpaid failed"] == (Pay("one"), Plan())
    assert steps["completed for nothing"] == steps["paid completed"] == ()
    assert [
        phase(STATES[name]()) for name in ("authorized", "unpaid underway", "unpaid completed", "unpaid failed")
    ] == [
        Phase.EXECUTING,
        Phase.WAITING,
        Phase.SUCCESS,
        Phase.PLANNING,
    ]
    for name in ("unpaid underway", "unpaid completed", "unpaid failed"):
        run = STATES[name]()
        assert (budget.settled(run), budget.held(run)) == (0, 1_400_000)
        assert not is_over(run)
    for name in ("completed for nothing", "failed for nothing"):
        assert (budget.settled(STATES[name]()), budget.held(STATES[name]())) == (0, 0)
    assert STATES["completed for nothing"]().status is RunStatus.COMPLETED
    assert is_over(STATES["completed for nothing"]())


def test_a_run_may_be_given_up_while_only_holds_of_failed_work_are_left() -> None:
    run = apply(STATES["unpaid failed"](), PlanAborted("nobody can", {}))
    assert (run.status, budget.held(run), is_over(run)) == (RunStatus.FAILED, 1_400_000, False)
    assert next_steps(run, now=5) == (Pay("one"),)


def test_what_a_vendor_takes_for_work_that_it_says_has_failed_is_disputed() -> None:
    (job,) = STATES["paid after it failed"]().jobs
    assert isinstance(job, Settled)
    assert isinstance(job.work, Failed)
    assert job.work.ending is JobEnding.DISPUTED
    assert "took the payment" in job.work.reason
    program = Failed("exit code 1", 3.0, "v", exit_code=1)
    run = apply(apply(STATES["unpaid underway"](), JobFinished("one", program)), PaymentSettled("one", SETTLEMENT, 4.0))
    assert isinstance(run.jobs[0], Settled)
    assert run.jobs[0].work == program, "it ran the program, and may be paid for that"


def test_whose_doing_it_is_that_a_payment_was_never_taken() -> None:
    """A vendor that worked and did not take its pay has done no wrong; one that failed the work has."""

    def cause(work: Completed | Failed | None) -> Cause:
        run = STATES["unpaid underway"]()
        run = apply(run, JobFinished("one", work)) if work else run
        (job,) = apply(run, PaymentVoided("one", "expired unused")).jobs
        assert isinstance(job, Voided)
        return job.cause

    assert cause(None) is Cause.VENDOR, "its time was over, and it had not ended the work"
    stopped = apply(STATES["unpaid underway"](), PaymentUnwanted("one", "0x" + "c" * 64))
    (job,) = apply(stopped, PaymentVoided("one", "cancelled on chain")).jobs
    assert isinstance(job, Voided)
    assert job.cause is Cause.UNNEEDED, "it was asked to let go"
    assert cause(Failed("oom", 3.0, "v")) is Cause.VENDOR
    assert cause(Failed("exit code 1", 3.0, "v", exit_code=1)) is Cause.UNNEEDED
    assert cause(Completed("v", 3.0)) is Cause.UNNEEDED


@pytest.mark.parametrize("state", ["authorized", "unpaid underway", "owed", "underway", "completed"])
def test_news_of_the_work_leaves_the_money_as_it_is(state: str) -> None:
    """Whatever a vendor tells: quote, signature and settlement are those of before, and so is the kind of state."""
    (job,) = STATES[state]().jobs
    assert isinstance(job, Authorized | Settled)
    for event in OF_A_JOB.values():
        after = next_work(job, event)
        if after is None:
            continue
        assert type(after) is type(job)
        assert (after.quote, after.authorization, after.header) == (job.quote, job.authorization, job.header)
        if isinstance(job, Settled) and isinstance(after, Settled):
            assert after.settlement == job.settlement
