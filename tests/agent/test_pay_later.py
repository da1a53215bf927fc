"""Work that is paid for once it is done: held until the chain has decided, whatever vendors say and whoever dies."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.agent.approve import cancel
from gpuagent.core import budget
from gpuagent.core.events import JobClaimed
from gpuagent.core.model import JOBS_MAX, Authorized, Phase, Run, RunStatus, Settled, Voided
from gpuagent.core.run_state import phase
from gpuagent.core.status import status_text
from gpuagent.core.steps import is_over, next_steps
from gpuagent.core.transitions import apply
from gpuagent.core.work import Completed, Failed, JobEnding, JobReport, JobStatus, Underway
from gpuagent.errors import DuplicateVendorJob
from gpuagent.tick import perform, tick
from tests.conftest import SafetyNote
from tests.support.pay_later import ACCESS, LIFE_S, PayLater
from tests.support.step_ticker import Ticker
from tests.support.workshop import HOUR_PRICE, Seller, SoldJob, exits, report, works


def takes_long(_: SoldJob) -> JobReport:
    return report(JobStatus.RUNNING, progress=0.4)


def fails(_: SoldJob) -> JobReport:
    return report(JobStatus.FAILED, error_message="node lost")


def test_work_is_followed_while_its_payment_is_only_held() -> None:
    world = PayLater(seller=Seller(takes_long))
    world.ticks(3)
    assert isinstance(world.job, Authorized)
    assert isinstance(world.job.work, Underway)
    assert world.job.work.progress == 0.4
    assert (budget.settled(world.run), budget.held(world.run), phase(world.run)) == (0, HOUR_PRICE, Phase.WAITING)
    assert world.job.authorization.valid_before == 1_000 + LIFE_S, (
        "as long as the seller asks, not the usual two minutes"
    )
    assert len(world.orders) == 1, "an order that is taken is not sent again"
    text = status_text(world.run, world.at).jobs[world.job.job_id]
    assert text.startswith("running, 40%")
    assert "1.00 USD held, not paid" in text


@pytest.mark.safety("a vendor that is paid after the work, and takes its pay, or does not")
def test_the_chain_alone_says_that_work_is_paid(safety_note: SafetyNote) -> None:
    """The run has its result at once; its money is spent once it has left the wallet, and free once it never can."""
    spent = {}
    for takes in (True, False):
        world = PayLater(seller=Seller(works))
        world.ticks(5)
        assert world.run.status is RunStatus.COMPLETED
        assert isinstance(world.job, Authorized)
        assert isinstance(world.job.work, Completed)
        assert (budget.settled(world.run), budget.held(world.run)) == (0, HOUR_PRICE)
        assert not is_over(world.run)
        if takes:
            assert world.chain.take(world.job.authorization)
        else:
            world.at += LIFE_S
        world.ticks(2)
        assert is_over(world.run)
        assert isinstance(world.job, Settled if takes else Voided)
        assert isinstance(world.job.work, Completed)
        assert world.job.files, "what came back is kept"
        assert not world.chain.cancelled, "work that is done may be paid for"
        spent[takes] = budget.settled(world.run)
        assert spent[takes] == world.chain.paid
    assert spent == {True: HOUR_PRICE, False: 0}
    safety_note("held until the chain had decided; spent 1.00 USD where it was taken, 0 where it was not")


@pytest.mark.safety("a job that failed is settled at the last second all the same")
def test_failed_work_that_is_taken_for_at_the_last_second_is_booked_and_disputed(safety_note: SafetyNote) -> None:
    world = PayLater(a=Seller(fails), b=Seller(works))
    world.chain.has_gas = False
    world.ticks(2)
    failed = world.run.jobs[0]
    assert isinstance(failed, Authorized)
    assert isinstance(failed.work, Failed)
    assert budget.held(world.run) == 2 * HOUR_PRICE, "what failed by the vendor's word is held as well"
    world.at = failed.authorization.valid_before - 1
    (*_, completed) = world.run.jobs
    assert world.chain.take(failed.authorization)
    assert world.chain.take(completed.authorization)
    world.ticks(6)
    failed, completed = world.run.jobs
    assert isinstance(failed, Settled)
    assert isinstance(failed.work, Failed)
    assert failed.work.ending is JobEnding.DISPUTED
    assert completed.quote.vendor_id == "b"
    assert is_over(world.run)
    assert budget.settled(world.run) == world.chain.paid == 2 * HOUR_PRICE
    assert budget.held(world.run) == 0
    safety_note("booked as spent, disputed, and the vendor is paid no more by the run")


def test_what_was_held_for_failed_work_is_cancelled_once_and_bought_elsewhere() -> None:
    world = PayLater(a=Seller(fails), b=Seller(works))
    world.run = replace(world.run, budget=HOUR_PRICE)
    world.ticks(10)
    failed, completed = world.run.jobs
    assert isinstance(failed, Voided)
    assert failed.quote.vendor_id == "a"
    assert world.run.status is RunStatus.COMPLETED
    assert world.chain.cancelled == {world.wallet.signed[0].nonce}
    assert world.chain.take(completed.authorization)
    world.ticks(2)
    assert budget.settled(world.run) == world.chain.paid == HOUR_PRICE


def test_a_run_waits_for_what_is_held_rather_than_giving_up() -> None:
    """With no gas to cancel, the hold ends with the authorization; then its amount buys elsewhere."""
    world = PayLater(a=Seller(fails), b=Seller(works))
    world.run = replace(world.run, budget=HOUR_PRICE)
    world.chain.has_gas = False
    world.ticks(5)
    assert world.run.status is RunStatus.RUNNING
    assert isinstance(world.job, Authorized)
    assert isinstance(world.job.work, Failed)
    assert world.run.wait_until == world.job.authorization.valid_before
    (unwanted,) = [o for o in world.observations if o.data.get("kind") == "unwanted"]
    assert "not cancelled on chain" in unwanted.content
    assert "still held for failed work" in world.observations[-1].content
    context = world.observations[-1].data["context"]
    assert isinstance(context, dict)
    assert (context["hold"], context["hold_ends_at"]) == (HOUR_PRICE, world.job.authorization.valid_before)
    world.at += LIFE_S
    world.ticks(6)
    assert [type(job) for job in world.run.jobs] == [Voided, Authorized]
    assert world.run.status is RunStatus.COMPLETED


@pytest.mark.safety("the cancellation of a long-lived authorization fails at first")
def test_a_long_lived_authorization_is_cancelled_as_soon_as_that_can_be(safety_note: SafetyNote) -> None:
    """It would else be the vendor's to take for as long as it lives, though its work has failed."""
    world = PayLater(a=Seller(fails), b=Seller(takes_long))
    world.chain.has_gas = False
    world.ticks(4)
    assert not world.chain.cancelled
    world.chain.has_gas = True
    world.ticks(3)
    failed = world.run.jobs[0]
    assert world.chain.cancelled == {failed.authorization.nonce}  # type: ignore[union-attr]
    assert isinstance(failed, Voided)
    unwanted = [o.content for o in world.observations if o.data.get("kind") == "unwanted"]
    assert len(unwanted) == 2, "the first failure, and what was sent at last"
    safety_note("tried again at every tick, sent 1 time, and the hold ends with it")


def test_a_program_that_failed_was_run_and_may_be_paid_for() -> None:
    world = PayLater({"program_failures": 1}, seller=Seller(exits(3, "no such file")))
    world.ticks(6)
    assert world.run.status is RunStatus.FAILED
    assert isinstance(world.job, Authorized)
    assert not world.chain.cancelled
    assert world.chain.take(world.job.authorization)
    world.ticks(2)
    assert budget.settled(world.run) == world.chain.paid == HOUR_PRICE


def test_a_cancelled_run_tells_the_vendor_and_cancels_on_chain() -> None:
    world = PayLater(seller=Seller(takes_long))
    world.ticks(3)
    cancel(world.run.run_id, "Ada", "wrong goal", world.ports.store, world.ports.clock)
    world.ticks(3)
    assert is_over(world.run)
    (sold,) = world.sellers["seller"].jobs.values()
    assert sold.stopped
    assert world.chain.cancelled == {world.wallet.signed[0].nonce}
    assert isinstance(world.job, Voided)


def test_an_order_that_no_vendor_took_is_sent_no_longer_than_its_price_is_good() -> None:
    world = PayLater(seller=Seller(works))
    world.refusing = True
    world.ticks(2)
    assert world.orders
    world.at = world.job.quote.expires_at
    world.orders.clear()
    world.ticks(3)
    assert world.wallet.signed[0] not in world.orders
    assert world.wallet.signed[0].nonce in world.chain.cancelled
    assert isinstance(world.run.jobs[0], Voided)


def test_an_answer_that_was_lost_is_asked_for_with_the_same_bytes() -> None:
    world = PayLater(seller=Seller(takes_long))
    while not isinstance(world.run.jobs[-1] if world.run.jobs else None, Authorized):
        for step in next_steps(world.run, world.at):
            event = perform(step, world.run, world.ports)
            assert event
            world.run = world.save(world.run, apply(world.run, event), (), world.at)
    (due, *_) = next_steps(world.run, world.at)
    assert isinstance(perform(due, world.run, world.ports), JobClaimed), "the seller has it, and we die"
    tick(world.run.run_id, world.ports)
    assert [order.nonce for order in world.orders] == [world.wallet.signed[0].nonce] * 2
    assert len(world.sellers["seller"].jobs) == 1
    assert world.job.access == ACCESS
    assert ACCESS.token not in repr(world.run)
    assert ACCESS.token not in str([observation.content for observation in world.observations])


@pytest.mark.safety("a vendor that is paid after the work names a job that is another purchase's")
def test_a_name_that_is_anothers_ends_the_job_and_what_was_held_for_it() -> None:
    world = PayLater(seller=Seller(takes_long))
    save = world.save

    def refusing(before: Run, after: Run, observations: Any, at: float) -> Run:
        if any(isinstance(job, Authorized) and isinstance(job.work, Underway) for job in after.jobs):
            raise DuplicateVendorJob("the vendor named job x, which is another purchase's")
        return save(before, after, observations, at)

    world.save = refusing  # type: ignore[method-assign]
    world.ticks(4)
    first = world.run.jobs[0]
    assert isinstance(first, Voided)
    assert isinstance(first.work, Failed)
    assert first.work.ending is JobEnding.DISPUTED
    assert first.authorization
    assert first.authorization.nonce in world.chain.cancelled


MOVES = ("make", "make", "make", "kill", "take", "take all", "time", "late", "refuse")
moves = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 7), st.integers(0, 1)), max_size=60)
scripts = st.sampled_from([works, fails, takes_long, exits(3)])


@given(moves, scripts, scripts, st.sampled_from([1, 2]), st.booleans(), st.integers(0, 2))
def test_however_it_is_ticked_killed_and_taken_the_books_are_the_chains(
    happened: list[tuple[str, int, int]], one: Any, two: Any, jobs_open: int, has_gas: bool, ticks: int
) -> None:
    """Two tickers, sellers that settle whatever they have whenever they like, and time that passes in jumps.

    ticks: made before that, so that there is something to settle.
    """
    world = PayLater(one=Seller(one), two=Seller(two))
    world.run = replace(world.run, budget=3 * HOUR_PRICE, jobs_open_max=jobs_open)
    world.chain.has_gas = has_gas
    world.ticks(ticks)
    tickers = [Ticker(world, world.run), Ticker(world, world.run)]
    for move, number, who in happened:
        match move:
            case "make" | "kill":
                tickers[who].make(number, move == "kill")
            case "take" if world.orders:
                world.chain.take(world.orders[number % len(world.orders)])
            case "take all":
                for order in world.orders:
                    world.chain.take(order)
            case "time":
                world.at += 10 * number
            case "late":
                world.at += LIFE_S
            case "refuse":
                world.refusing = not world.refusing
        assert budget.settled(world.run) + budget.held(world.run) <= world.run.budget
        assert world.chain.paid <= budget.settled(world.run) + budget.held(world.run), "nothing unknown was paid"
        nonces = [transfer.nonce for transfer in world.chain.transfers]
        assert len(set(nonces)) == len(nonces)
        assert len({order.nonce for order in world.wallet.signed}) <= len(world.run.jobs) + 1
    world.refusing = False
    for _ in range(JOBS_MAX * 10):
        if is_over(world.run):
            break
        tick(world.run.run_id, world.ports)
        world.at += LIFE_S / 6
    assert is_over(world.run) or world.run.status is RunStatus.RUNNING
    if is_over(world.run):
        assert budget.settled(world.run) == world.chain.paid
        assert budget.held(world.run) == 0
    assert budget.available(world.run) == world.run.budget - budget.settled(world.run) - budget.held(world.run)


def test_events_that_a_hold_brings_are_told_to_readers() -> None:
    world = PayLater(seller=Seller(works))
    world.ticks(4)
    texts = [observation.content for observation in world.observations]
    assert any("stay held, and it takes them once the work is done" in text for text in texts)
    world.at += LIFE_S
    world.ticks(2)
    assert "though it completed the job" in world.observations[-1].content
    assert "never took its payment" in status_text(world.run, world.at).jobs[world.job.job_id]
