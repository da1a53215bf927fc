"""A vendor that let a paid job come to nothing is paid no more by the run; a disabled one is paid by none."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from click.testing import Result

from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.agent.approve import readmit
from gpuagent.agent.dry_run import simulate
from gpuagent.core.events import VendorChosen
from gpuagent.core.model import Authorized, Cause, Reserved, Run, RunStatus, Settled, Submitted, Voided
from gpuagent.core.observations import observations_of
from gpuagent.core.transitions import apply
from gpuagent.core.work import Failed, JobEnding, JobStatus
from gpuagent.errors import BadInput, DecisionRefused, PolicyRefused
from gpuagent.tick import step
from gpuagent.wiring.vendors import record_vendors
from tests.conftest import SafetyNote
from tests.support.attacks import FIRST, SECOND
from tests.support.factories import decision
from tests.support.odd_vendor import OddVendor
from tests.support.paid_job import report
from tests.support.scripted_planner import ScriptedPlanner, start
from tests.support.world import World

READMITTED = "only `gpuagent run readmit` lets the run pay it again"


def failing_at_once(world: World) -> World:
    """The world with vendors that take every payment, and say at the first poll that the job has failed."""
    return with_vendors(world, status=lambda *_: report(JobStatus.FAILED, error_message="out of GPUs"))


def with_vendors(world: World, **methods: Callable[..., Any]) -> World:
    ports = replace(world.ports, vendor_api=OddVendor(world.ports.vendor_api, **methods))
    return replace(world, agent=replace(world.agent, ports=ports))


def until_failed(world: World) -> Run:
    """A run with its first job failed at once, before it plans again."""
    run = world.start()
    while not (run.jobs and isinstance(run.jobs[0], Settled) and isinstance(run.jobs[0].work, Failed)):
        run = step(run.run_id, world.ports)
    assert run.status is RunStatus.RUNNING
    return run


def received(world: World) -> list[str]:
    return world.market.received_headers(world.ports.wallet.address)


def record(world: World, **changes: Any) -> None:
    """Change the first vendor's record."""
    record_vendors(world.database, [replace(world.market.vendors[0], **changes)])


@pytest.mark.safety(
    "a vendor that fails every job at once, or whose every job is disputed, and is the only one allowed"
)
@pytest.mark.parametrize("way", ["fails at once", "is disputed"])
def test_the_only_one_allowed_is_paid_once_by_a_run(world: World, way: str, safety_note: SafetyNote) -> None:
    if way == "fails at once":
        odd = failing_at_once(world)
    else:
        first = world.finish(world.start(vendor_ids=(FIRST,)))
        (job_id,) = [job["vendorJobId"] for job in world.jobs()]
        submit = world.ports.vendor_api.submit
        odd = with_vendors(world, submit=lambda *arguments: submit(*arguments) and Submitted(job_id))
        assert first.status is RunStatus.COMPLETED
    before = len(world.transfers())
    run = odd.tick(odd.start(vendor_ids=(FIRST,), budget=20))
    assert run.status is RunStatus.FAILED
    assert READMITTED in run.reason
    (job,) = run.jobs
    assert isinstance(job, Settled)
    assert isinstance(job.work, Failed)
    assert job.work.ending is (JobEnding.AT_ONCE if way == "fails at once" else JobEnding.DISPUTED)
    assert len(world.transfers()) - before == 1
    safety_note("one payment in the run, which ends and says why")


def test_a_run_pays_each_vendor_once_that_fails_at_once_and_ends(world: World) -> None:
    run = failing_at_once(world).tick(world.start(budget=50))
    assert run.status is RunStatus.FAILED
    assert len(run.jobs) == len({job.quote.vendor_id for job in run.jobs}) == len(world.market.vendors)
    world.assert_balanced(run, transfers=len(run.jobs))


def test_planners_guard_dry_run_and_database_all_know_that_a_vendor_is_ended_with(world: World) -> None:
    run = until_failed(failing_at_once(world))
    lines = {line.vendor.vendor_id: "; ".join(line.refusals) for line in simulate(run, world.ports).lines}
    assert READMITTED in lines[FIRST]
    assert lines[SECOND] == ""
    planner = ScriptedPlanner([start(FIRST)])
    with pytest.raises(DecisionRefused, match="run readmit"):
        step(run.run_id, replace(world.ports, planners={"stub": planner}))
    (candidate,) = [c for c in planner.asked[0][0].candidates if c.vendor_id == FIRST]
    assert READMITTED in "; ".join(candidate.refusals)
    assert "out of GPUs" not in "; ".join(candidate.refusals)  # a vendor's words are no rule
    quote = replace(run.jobs[0].quote, expires_at=world.market.clock.now() + 600)
    event = VendorChosen("f" * 24, quote, decision(FIRST), world.market.clock.now(), {})
    with pytest.raises(PolicyRefused, match="run readmit"):
        world.store.save(run, apply(run, event), observations_of(run, event), world.market.clock.now())


def test_an_operator_readmits_a_vendor_and_the_run_records_who_and_why(
    world: World, gpuagent: Callable[..., Result]
) -> None:
    run = until_failed(failing_at_once(world))
    for vendor_id, why in ((SECOND, "never paid"), ("nobody", "typo"), (FIRST, " ")):
        with pytest.raises(BadInput):
            readmit(run.run_id, vendor_id, "Ada", why, world.store, world.market.clock)
    said = gpuagent("run", "readmit", run.run_id, FIRST, "--why", "they called", "--by", "Ada")
    assert (said.exit_code, said.stdout) == (0, f"{FIRST} may be paid again: tick the run\n")
    contents = [observation["content"] for observation in world.observations(run, "payment_event")]
    assert f"Ada allows to pay {FIRST} again: they called" in contents
    (job,) = world.store.load(run.run_id).jobs
    assert isinstance(job, Settled)
    assert isinstance(job.work, Failed)
    assert job.work.readmitted_by == "Ada"
    planner = ScriptedPlanner([start(FIRST)])
    run = replace(world, agent=replace(world.agent, ports=replace(world.ports, planners={"stub": planner}))).finish(run)
    assert run.status is RunStatus.COMPLETED
    assert [job.quote.vendor_id for job in run.jobs] == [FIRST, FIRST]
    with pytest.raises(BadInput, match="has completed already"):
        readmit(run.run_id, FIRST, "Ada", "again", world.store, world.market.clock)


def test_a_second_signature_for_a_vendor_that_the_run_has_ended_with_is_sent_no_more(world: World) -> None:
    """Two jobs may be open at once, and what is signed goes before polls: until the first one's dispute is saved."""
    planner = ScriptedPlanner([start(FIRST)])
    ports = replace(world.ports, planners={"stub": planner})
    odd = failing_at_once(replace(world, agent=replace(world.agent, ports=ports)))
    run = odd.start(jobs_open_max=2)
    while len(run.jobs) < 2:
        run = step(run.run_id, odd.ports)
    while not isinstance(run.jobs[1], Authorized):
        run = step(run.run_id, odd.ports)
    world.market.fault("gpu_vendor_1", "never_settle")
    run = step(run.run_id, odd.ports)
    assert isinstance(run.jobs[0], Settled)
    assert isinstance(run.jobs[0].work, Failed)
    sent = received(world)
    with suppress(DecisionRefused):  # its planner insists
        step(run.run_id, odd.ports)
    run = world.store.load(run.run_id)
    assert received(world) == sent
    assert isinstance(run.jobs[1], Authorized)
    assert run.jobs[1].cancellation


@pytest.mark.safety("a vendor disabled, or given another payee, after its reservation")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"enabled": False}, "has been disabled"),
        ({"pay_to": "0x" + "1" * 40}, "another payee"),
        ({"network": "eip155:8453"}, "network"),
        ({"asset": "0x" + "1" * 40}, "asset"),
    ],
    ids=["disabled", "payee", "network", "asset"],
)
def test_the_reservation_of_a_vendor_whose_record_changed_is_released(
    world: World, changes: dict[str, Any], reason: str, safety_note: SafetyNote
) -> None:
    run = step(world.start().run_id, world.ports)
    assert isinstance(run.jobs[0], Reserved)
    record(world, **changes)
    run = step(run.run_id, world.ports)
    (job,) = run.jobs
    assert isinstance(job, Voided)
    assert (job.authorization, job.cause) == (None, Cause.POLICY)
    assert reason in job.reason
    assert (received(world), world.payments(run), world.books(run).ledger.held) == ([], [], 0)
    safety_note("not signed; released, with the reason")


@pytest.mark.safety("a vendor disabled after its signature was stored")
@pytest.mark.parametrize("changes", [{"enabled": False}, {"pay_to": "0x" + "1" * 40}], ids=["disabled", "payee"])
def test_a_stored_signature_is_not_sent_to_a_vendor_that_was_disabled(
    world: World, changes: dict[str, Any], safety_note: SafetyNote
) -> None:
    run = step(step(world.start().run_id, world.ports).run_id, world.ports)
    assert isinstance(run.jobs[0], Authorized)
    record(world, **changes)
    run = world.tick(run)
    assert isinstance(run.jobs[0], Authorized)
    assert run.jobs[0].cancellation
    assert received(world) == []
    world.market.pass_time(200)
    run = step(run.run_id, world.ports)
    assert isinstance(run.jobs[0], Voided)
    world.assert_balanced(run, transfers=0)
    safety_note("not sent; cancelled, or left to expire; released by the chain")


@pytest.mark.safety("a vendor disabled while the wallet signs")
def test_a_vendor_disabled_while_the_wallet_signs_gets_nothing(world: World, safety_note: SafetyNote) -> None:
    class SlowWallet(LocalWallet):
        def sign(self, *arguments: object) -> str:  # type: ignore[override]
            header = super().sign(*arguments)  # type: ignore[arg-type]
            record(world, enabled=False)
            return header

    run = step(world.start().run_id, world.ports)
    slow = SlowWallet(world.environment["X402_PRIVATE_KEY"], world.ports.wallet.token)
    run = step(run.run_id, replace(world.ports, wallet=slow))
    assert isinstance(run.jobs[0], Voided)
    assert "has been disabled" in run.jobs[0].reason
    assert (received(world), world.payments(run)) == ([], [])
    safety_note("the signature is neither stored nor sent")
