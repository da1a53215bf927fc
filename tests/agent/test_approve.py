"""A purchase above the threshold waits for an approver: nothing is signed before, and the price approved is paid."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from gpuagent.agent.approve import approve, cancel, reject
from gpuagent.core.events import PaymentAuthorized
from gpuagent.core.model import Cause, Phase, Reserved, Run, RunStatus, Settled, Voided
from gpuagent.core.money import UNIT
from gpuagent.core.run_state import phase
from gpuagent.core.transitions import apply
from gpuagent.errors import BadInput, IllegalTransition
from gpuagent.tick import step
from tests.conftest import SafetyNote
from tests.support.factories import authorization
from tests.support.world import World


@pytest.fixture
def asking(world: World) -> Run:
    """A run that has reserved gpu_vendor_1 at 1.40 USD and waits."""
    world.allow(approval_above=UNIT, approval_s=300)
    return world.tick(world.start())


def assert_nothing_signed(world: World, run: Run) -> None:
    assert world.payments(run) == []
    assert world.market.received_headers(world.ports.wallet.address) == []


def test_the_run_waits_in_phase_approval_and_signs_nothing(world: World, asking: Run) -> None:
    assert phase(asking) is Phase.APPROVAL
    assert world.reads.documents(asking.run_id)["runs"][0]["phase"] == "APPROVAL"
    assert world.tick(world.tick(asking)) == asking
    assert_nothing_signed(world, asking)
    assert world.books(asking).ledger.held == 1_400_000
    with pytest.raises(IllegalTransition, match="is not approved"):
        apply(asking, PaymentAuthorized(asking.jobs[0].job_id, authorization(), "header"))


def test_what_is_approved_is_paid(world: World, asking: Run) -> None:
    approve(asking.run_id, "Ada", 1_400_000, world.store, world.market.clock)
    run = world.finish(asking)
    world.assert_balanced(run, transfers=1)
    assert world.transfers()[0].amount == asking.jobs[0].quote.amount
    (job,) = world.reads.documents(run.run_id)["jobs"]
    assert job["approval"]["by"] == "Ada"
    assert "Ada approved 1.40 USD for gpu_vendor_1" in [
        observation["content"] for observation in world.observations(run, "payment_event")
    ]


def test_what_a_cancelled_run_had_reserved_is_said_to_be_dropped(world: World, asking: Run) -> None:
    cancel(asking.run_id, "Ada", "wrong goal", world.store, world.market.clock)
    errors = [observation["content"] for observation in world.observations(asking, "error")]
    assert errors == [
        "Ada cancelled the run: wrong goal",
        "gpu_vendor_1 was not paid, 1.40 USD released: the run was cancelled",
    ]


@pytest.mark.safety("the price is raised after a person approved it")
def test_another_price_than_the_approved_one_is_not_paid(world: World, asking: Run, safety_note: SafetyNote) -> None:
    approve(asking.run_id, "Ada", 1_400_000, world.store, world.market.clock)
    world.market.fault("gpu_vendor_1", "raise_price")
    run = world.tick(asking)
    assert isinstance(run.jobs[0], Voided)
    assert [type(job) for job in run.jobs[1:]] == [Reserved]  # the next purchase asks anew
    assert phase(run) is Phase.APPROVAL
    assert_nothing_signed(world, run)
    safety_note("signed 0; the next purchase asks the person anew")


def test_a_rejected_purchase_is_looked_for_elsewhere_and_not_asked_again(world: World, asking: Run) -> None:
    reject(asking.run_id, "Ada", "not this one", world.store, world.market.clock)
    run = world.tick(asking)
    assert isinstance(run.jobs[0], Voided)
    assert (run.jobs[0].cause, run.jobs[0].reason) == (Cause.PERSON, "rejected by Ada: not this one")
    assert [job.quote.vendor_id for job in run.jobs] == ["gpu_vendor_1", "gpu_vendor_2"]
    approve(run.run_id, "Ada", 1_750_000, world.store, world.market.clock)
    run = world.finish(run)
    assert [job.quote.vendor_id for job in run.jobs if isinstance(job, Settled)] == ["gpu_vendor_2"]
    world.assert_balanced(run, transfers=1)


def test_a_request_that_nobody_answers_expires_and_is_made_anew(world: World, asking: Run) -> None:
    world.market.pass_time(301)
    with pytest.raises(BadInput, match="expired"):
        approve(asking.run_id, "Ada", 1_400_000, world.store, world.market.clock)
    run = world.tick(asking)
    first, second = run.jobs
    assert isinstance(first, Voided)
    assert (first.cause, first.reason) == (Cause.POLICY, "the purchase was not approved in time")
    assert isinstance(second, Reserved)
    assert second.unapproved
    assert second.quote.vendor_id == "gpu_vendor_1"  # it did nothing wrong
    assert_nothing_signed(world, run)


def test_a_threshold_lowered_after_the_reservation_holds_for_it(world: World) -> None:
    run = step(world.start().run_id, world.ports)
    world.allow(approval_above=0)
    run = world.tick(run)
    assert [type(job) for job in run.jobs] == [Voided, Reserved]
    assert phase(run) is Phase.APPROVAL
    assert_nothing_signed(world, run)


def test_an_approval_never_given_or_given_twice(world: World, asking: Run) -> None:
    for _ in range(8):
        world.market.pass_time(301)
        asking = world.tick(asking)
    assert asking.status is RunStatus.FAILED
    with pytest.raises(BadInput, match="waits for approval"):
        approve(asking.run_id, "Ada", 1_400_000, world.store, world.market.clock)
    assert_nothing_signed(world, asking)
    world.assert_balanced(asking, transfers=0)


def test_the_commands_approve_and_reject_what_waits(gpuagent: Callable[..., Result]) -> None:
    def output(*arguments: str) -> Any:
        result = gpuagent(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    assert gpuagent("policy", "set", "--approval-above", "1", "--by", "Ada").exit_code == 0
    run_id = str(output("run", "start", "--goal", "Fine-tune", "--budget", "5")["run"]["_id"])
    assert output("run", "tick", run_id)["run"]["phase"] == "APPROVAL"
    assert "--why" in gpuagent("run", "reject", run_id).stderr
    assert gpuagent("run", "approve", run_id, "--amount", "1.40", "--job", "f" * 24).exit_code == 2
    assert "--amount" in gpuagent("run", "approve", run_id).stderr
    assert output("run", "reject", run_id, "--why", "no", "--by", "Ada")["phase"] == "PLANNING"
    assert output("run", "tick", run_id)["run"]["phase"] == "APPROVAL"
    seen_before = gpuagent("run", "approve", run_id, "--amount", "1.40")
    assert seen_before.exit_code == 2
    assert "what waits now is 1.75 USD for gpu_vendor_2, not 1.40 USD" in seen_before.stderr
    approved = output("run", "approve", run_id, "--amount", "1.75", "--by", "Ada")
    assert approved["said"] == "approved 1.75 USD: tick the run"
    assert gpuagent("run", "approve", run_id, "--amount", "1.75").exit_code == 2
    assert output("run", "tick", run_id)["payments"][0]["status"] == "completed"
