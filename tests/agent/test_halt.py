"""The kill switch and cancelling: no new signature anywhere, and what is out is followed or cancelled on chain."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from click.testing import Result

from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.agent.approve import cancel
from gpuagent.agent.market import ADDRESS, survey
from gpuagent.core.model import Authorization, Authorized, Cause, Quote, Run, RunStatus, Settled, Vendor, Voided
from gpuagent.core.policy import EVERY_WALLET, Halt
from gpuagent.core.ports.chain import Chain, Gas, Outcome
from gpuagent.errors import BadInput, ChainError, PolicyRefused, VendorUnauthorized
from gpuagent.tick import step, tick
from tests.conftest import SafetyNote
from tests.support.world import World


def halt(world: World, kind: str, name: str) -> None:
    world.allow(halts=(Halt(kind, name, "Ada", "something is wrong"),))


def authorized(world: World, fault: str = "never_settle") -> Run:
    """A run whose payment is in the vendor's hands, and not on chain."""
    world.market.fault("gpu_vendor_1", fault)
    run = world.tick(world.start())
    assert isinstance(run.jobs[0], Authorized)
    return run


def received(world: World) -> list[str]:
    return world.market.received_headers(world.ports.wallet.address)


def test_a_vendor_halted_after_its_reservation_gets_no_signature(world: World) -> None:
    run = step(world.start().run_id, world.ports)
    halt(world, "vendor", "gpu_vendor_1")
    run = world.finish(run)
    assert isinstance(run.jobs[0], Voided)
    assert run.jobs[0].cause is Cause.POLICY
    assert [job.quote.vendor_id for job in run.jobs if isinstance(job, Settled)] == ["gpu_vendor_2"]
    world.assert_balanced(run, transfers=1)


@pytest.mark.parametrize("steps", [0, 1])
def test_a_halted_wallet_stands_still_and_goes_on_when_resumed(world: World, steps: int) -> None:
    run = world.start()
    for _ in range(steps):
        run = step(run.run_id, world.ports)
    halt(world, "wallet", world.ports.wallet.address.lower())
    with pytest.raises(PolicyRefused, match="something is wrong"):
        world.tick(run)
    assert world.store.load(run.run_id) == run
    assert (received(world), world.payments(run)) == ([], [])
    world.allow(halts=())
    run = world.finish(run)
    assert run.status is RunStatus.COMPLETED
    world.assert_balanced(run, transfers=1)


@pytest.mark.safety("the kill switch, thrown while a payment is out")
@pytest.mark.parametrize("kind", ["vendor", "wallet"])
def test_what_is_out_when_the_switch_is_thrown_is_still_reconciled(
    world: World, kind: str, safety_note: SafetyNote
) -> None:
    run = authorized(world, "settle_late")
    headers = received(world)
    halt(world, kind, "gpu_vendor_1" if kind == "vendor" else EVERY_WALLET)
    run = world.tick(run)
    assert received(world) == headers  # not sent again
    world.market.control("POST", "settle")  # the vendor takes what it has
    run = world.tick(run)
    assert isinstance(run.jobs[0], Settled)
    world.assert_balanced(run, transfers=1)
    safety_note("not sent again; its settlement is recorded; books balanced")


@pytest.mark.safety("a cancelled run whose payment is out")
def test_a_cancelled_run_cancels_on_chain_what_is_out(world: World, safety_note: SafetyNote) -> None:
    run = authorized(world)
    world.give_gas()
    cancel(run.run_id, "Ada", "wrong goal", world.store, world.market.clock)
    run = world.finish_payments(run)
    (job,) = run.jobs
    assert isinstance(job, Voided)
    assert (run.reason, job.reason, job.cause) == ("cancelled by Ada: wrong goal", "cancelled on chain", Cause.UNNEEDED)
    world.market.heal()
    world.market.control("POST", "settle")  # too late for the vendor
    world.assert_balanced(run, transfers=0)
    assert any(
        "cancellation sent: 0x" in observation["content"] for observation in world.observations(run, "payment_event")
    )
    safety_note("cancelled on chain; held 0; the vendor that settles later gets nothing")


def test_without_gas_what_is_out_dies_by_itself(world: World) -> None:
    run = authorized(world)
    cancel(run.run_id, "Ada", "wrong goal", world.store, world.market.clock)
    run = world.tick(run)
    assert isinstance(run.jobs[0], Authorized)
    assert "gas" in run.jobs[0].cancellation
    assert world.books(run).ledger.held == run.jobs[0].quote.amount
    world.market.pass_time(200)
    run = world.tick(run)
    assert isinstance(run.jobs[0], Voided)
    world.assert_balanced(run, transfers=0)


def test_what_a_node_says_of_a_cancellation_is_kept_as_inert_text(world: World) -> None:
    class Hostile:
        def __init__(self, inner: Chain) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def gas(self, address: str) -> Gas:
            raise ChainError(f"no {address}\x1b[31m\n\ud800" + "x" * 10_000)

    run = authorized(world)
    cancel(run.run_id, "Ada", "wrong goal", world.store, world.market.clock)
    step(run.run_id, replace(world.ports, chain=Hostile(world.chain)))
    (job,) = world.store.load(run.run_id).jobs
    assert isinstance(job, Authorized)
    assert job.cancellation.startswith(f"no {world.ports.wallet.address}")
    assert job.cancellation.isprintable()
    assert len(job.cancellation) == 300
    world.market.pass_time(200)
    world.assert_balanced(world.tick(run), transfers=0)


@pytest.mark.safety("a vendor that settles before the cancellation")
def test_a_vendor_that_settles_before_the_cancellation_is_paid_and_the_books_say_so(
    world: World, safety_note: SafetyNote
) -> None:
    run = authorized(world, "settle_late")
    world.give_gas()
    cancel(run.run_id, "Ada", "wrong goal", world.store, world.market.clock)
    world.market.control("POST", "settle")
    run = world.finish_payments(run)
    assert run.status is RunStatus.FAILED
    assert isinstance(run.jobs[0], Settled)
    world.assert_balanced(run, transfers=1)
    safety_note("paid once, and recorded as paid; the run has ended")


def test_a_cancelled_run_signs_nothing_any_more(world: World) -> None:
    run = step(world.start().run_id, world.ports)
    run = cancel(run.run_id, "Ada", "wrong goal", world.store, world.market.clock)
    assert isinstance(run.jobs[0], Voided)
    assert world.tick(run) == run
    assert received(world) == []
    with pytest.raises(BadInput, match="has failed already"):
        cancel(run.run_id, "Ada", "again", world.store, world.market.clock)
    for by, why in (("", "why"), ("Ada", " "), ("Ada", "x" * 501), ("A\x1bda", "why")):
        with pytest.raises(BadInput):
            cancel(run.run_id, by, why, world.store, world.market.clock)
    world.assert_balanced(run, transfers=0)


@pytest.mark.safety("the kill switch, thrown while the wallet signs")
def test_a_halt_in_the_middle_of_signing_keeps_the_signature_from_the_vendor(
    world: World, safety_note: SafetyNote
) -> None:
    """The owner's halt is saved after the wallet has signed, before the signature is stored."""

    class SlowWallet(LocalWallet):
        def sign(self, *arguments: object) -> str:  # type: ignore[override]
            header = super().sign(*arguments)  # type: ignore[arg-type]
            halt(world, "vendor", "gpu_vendor_1")
            return header

    run = step(world.start().run_id, world.ports)
    slow = SlowWallet(world.environment["X402_PRIVATE_KEY"], world.ports.wallet.token)
    run = step(run.run_id, replace(world.ports, wallet=slow))
    assert isinstance(run.jobs[0], Voided)
    assert (received(world), world.payments(run)) == ([], [])
    safety_note("the signature is neither stored nor sent")


def test_a_run_cancelled_after_its_signature_was_stored_sends_nothing(world: World) -> None:
    """A person cancels between the save and the send of the same tick."""

    class Cancelling:
        def __init__(self, inner: Chain) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def outcome(self, authorization: Authorization, transaction: str = "") -> Outcome:
            if world.store.load(run.run_id).status is RunStatus.RUNNING:
                cancel(run.run_id, "Ada", "wrong goal", world.store, world.market.clock)
            return self.inner.outcome(authorization, transaction)

    run = step(step(world.start().run_id, world.ports).run_id, world.ports)
    assert isinstance(run.jobs[0], Authorized)
    step(run.run_id, replace(world.ports, chain=Cancelling(world.chain)))
    assert received(world) == []
    world.market.pass_time(200)
    world.assert_balanced(world.tick(run), transfers=0)


def test_a_halt_names_a_wallet_that_can_be(gpuagent: Callable[..., Result]) -> None:
    for name in ("0x" + "O" * 40, "0x12", "me"):
        refused = gpuagent("policy", "halt", "wallet", name, "--why", "leak")
        assert refused.exit_code == 2
        assert "is no address" in refused.stderr


def test_two_ticks_at_once_halt_a_changed_payee_once(world: World) -> None:
    """Both have its quote before either halts it; the halt is one version of the policy, and says who, why and when."""
    world.market.fault("gpu_vendor_1", "wrong_payee_in_quote")
    both, inner = threading.Barrier(2), world.ports.vendor_api

    class AtOnce:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def quote(self, *order: Any) -> Quote:
            both.wait(60)
            return inner.quote(*order)

    runs = [world.start(vendor_ids=("gpu_vendor_1",)) for _ in range(2)]
    version, ports = world.store.policy().version, replace(world.ports, vendor_api=AtOnce())
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda run: tick(run.run_id, ports), runs))
    policy = world.store.policy()
    assert policy.version == version + 1
    (stop,) = policy.halts
    assert (stop.kind, stop.name, stop.by) == ("vendor", "gpu_vendor_1", "gpuagent")
    assert stop.at > 0
    assert [run.status for run in ended] == [RunStatus.FAILED] * 2
    assert (received(world), [world.payments(run) for run in runs]) == ([], [[], []])
    # A planner sees why it is not to be chosen, and no address in that.
    candidate = survey(runs[0], policy, world.ports).context.candidate("gpu_vendor_1")
    assert candidate
    assert candidate.amount is None
    assert candidate.refusals == (candidate.problem,)
    assert candidate.problem.startswith("not asked: gpuagent halted vendor gpu_vendor_1: it wants 0x… paid")
    assert not ADDRESS.search(candidate.problem)


def test_a_payee_is_halted_only_by_the_record_that_it_was_held_against(world: World) -> None:
    """An operator who pins another payee meanwhile is right, and a vendor without a record stops nothing."""
    vendor = world.market.vendors[0]
    for other in (replace(vendor, pay_to="0x" + "9" * 40), replace(vendor, vendor_id="gone")):
        assert not world.store.halt_payee(other, "another payee", 1.0)
    assert world.store.policy().halts == ()
    assert world.store.halt_payee(replace(vendor, pay_to=vendor.pay_to.lower()), "another payee", 1.0)
    assert not world.store.halt_payee(vendor, "again", 2.0)
    assert world.store.policy().halts == (Halt("vendor", vendor.vendor_id, "gpuagent", "another payee", 1.0),)


def test_a_changed_payee_is_halted_where_another_vendor_refuses_our_token(world: World) -> None:
    """Nobody quoted, and the tick is an error for its operator: that keeps no halt back."""
    world.market.fault("gpu_vendor_1", "wrong_payee_in_quote")
    inner = world.ports.vendor_api

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def quote(self, vendor: Vendor, *order: Any) -> Quote:
            if vendor.vendor_id != "gpu_vendor_1":
                raise VendorUnauthorized("the token is refused")
            return inner.quote(vendor, *order)

    run = world.start(vendor_ids=("gpu_vendor_1", "gpu_vendor_2"))
    with pytest.raises(VendorUnauthorized):
        tick(run.run_id, replace(world.ports, vendor_api=Refusing()))
    assert [stop.name for stop in world.store.policy().halts] == ["gpu_vendor_1"]
    assert world.store.load(run.run_id) == run
