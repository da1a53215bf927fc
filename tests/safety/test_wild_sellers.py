"""What sellers of other protocols can do to a buyer, played at their stubs with real payments."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from click.testing import Result

from gpuagent.adapters.vendors.adapter import Parts
from gpuagent.adapters.vendors.http import no_content
from gpuagent.adapters.vendors.registry import VendorRegistry
from gpuagent.core.model import Authorized, Quote, Run, RunStatus, Settled, Voided
from gpuagent.core.money import show_usd
from gpuagent.core.steps import is_over
from gpuagent.core.work import Failed
from gpuagent.tick import step
from mock_vendor.stubs.serve import StubMarket
from tests.conftest import SafetyNote
from tests.support.books import Interrupted
from tests.support.eventually import eventually
from tests.support.market import Market
from tests.support.protocols import PROTOCOLS, Killed, Purchases, is_underway
from tests.support.stub_market import running_stubs
from tests.support.world import World

BY_NAME = {protocol.name: protocol for protocol in PROTOCOLS}
GOOD_SALES = 10
Buys = Callable[[str], Purchases]


@pytest.fixture(scope="module")
def stubs(shared_market: Market) -> Iterator[StubMarket]:
    with running_stubs(shared_market.environment) as stubs:
        yield stubs


@pytest.fixture
def buys(make_world: Callable[..., World], market: Market, stubs: StubMarket) -> Iterator[Buys]:
    with closing(VendorRegistry(Parts(market.environment.get, market.clock.now, no_content))) as vendor_api:
        yield lambda name: Purchases(make_world(vendor_api=vendor_api), stubs, BY_NAME[name])
    stubs.heal()


def paid(purchases: Purchases) -> str:
    amounts = [transfer.amount for transfer in purchases.world.transfers()]
    return f"{len(amounts)} transfers, {show_usd(sum(amounts))} in all"


def assert_unsigned(purchases: Purchases, run: Run) -> None:
    assert purchases.world.payments(run) == []
    assert purchases.world.transfers() == ()
    assert purchases.stubs.stub(purchases.protocol.name).payments == []


@pytest.mark.safety("a token of another's job opens nothing of ours, and is not paid for twice")
@pytest.mark.parametrize("name", ["hypercli", "prism"])
def test_a_job_token_that_is_another_s(buys: Buys, safety_note: SafetyNote, name: str) -> None:
    purchases = buys(name)
    first = purchases.until(purchases.start("echo first"), is_over)
    purchases.stubs.stub(name).switch("foreign_token")
    run = purchases.outlast(purchases.start("echo second"))
    assert (first.status, run.status) == (RunStatus.COMPLETED, RunStatus.FAILED)
    # Prism takes its pay after the work: it may, or may not, before the authorization ends.
    assert len(purchases.world.transfers()) in (1, 2)
    assert [entry["content"] for entry in purchases.world.observations(run, "job_log")] == []
    safety_note("the second job fails, its log is not read, and no more than its own price is paid for it, once")


@pytest.mark.safety("a URL on another host that a seller names is called by nobody")
@pytest.mark.parametrize("name", ["hypercli", "prism", "openvps"])
def test_a_poll_url_on_another_host(buys: Buys, safety_note: SafetyNote, name: str) -> None:
    purchases = buys(name)
    purchases.stubs.stub(name).switch("foreign_poll")
    run = purchases.until(purchases.start("echo hello"), is_over)
    assert run.status is RunStatus.COMPLETED
    job = run.jobs[0]
    assert isinstance(job, Settled)
    assert job.access.poll_url == ""
    assert "elsewhere" not in str(purchases.world.reads.documents(run.run_id))
    safety_note(f"the job is followed at the seller's own host; {paid(purchases)}")


@pytest.mark.safety("charged: true without a transfer is no payment")
def test_charged_without_a_transfer(buys: Buys, stubs: StubMarket, safety_note: SafetyNote) -> None:
    purchases = buys("prism")
    stubs.prism.switch("claims_charged")
    run = purchases.outlast(purchases.start("echo hello"))
    assert purchases.world.transfers() == ()
    assert isinstance(run.jobs[0], Voided)
    purchases.world.assert_balanced(run, 0)
    safety_note(f"held until the authorization had expired, then released; {paid(purchases)}")


@pytest.mark.safety(
    "a failed job that is settled at the last second is counted as spent, and nothing was bought beside it"
)
def test_a_failed_job_that_is_settled_after_all(buys: Buys, stubs: StubMarket, safety_note: SafetyNote) -> None:
    purchases = buys("prism")
    stubs.prism.switch("lease_fails", "settles_failed")
    run = purchases.start("echo hello")

    def failed() -> Run | None:
        current = purchases.world.tick(run)
        return current if current.jobs and isinstance(getattr(current.jobs[0], "work", None), Failed) else None

    run = eventually(failed)
    assert isinstance(run.jobs[0], Authorized)
    assert len(run.jobs) == 1
    assert purchases.world.books(run).ledger.held == run.jobs[0].quote.amount
    purchases.pass_time(900)
    assert len(stubs.prism.settle_kept()) == 1
    run = purchases.outlast(run)
    assert isinstance(run.jobs[0], Settled)
    assert run.status is RunStatus.FAILED
    purchases.world.assert_balanced(run, 1)
    safety_note(f"held for as long as the signature could be used, then spent; {paid(purchases)}")


@pytest.mark.safety("a seller recorded with version 2 that answers in version 1 gets no signature")
@pytest.mark.parametrize("name", ["hypercli", "prism", "openvps"])
def test_a_downgrade(buys: Buys, stubs: StubMarket, safety_note: SafetyNote, name: str) -> None:
    purchases = buys(name)
    stubs.stub(name).payments.clear()
    run = step(purchases.start("echo hello").run_id, purchases.world.ports)
    stubs.stub(name).switch("v1_only")
    run = step(run.run_id, purchases.world.ports)
    assert isinstance(run.jobs[0], Voided)
    assert_unsigned(purchases, run)
    assert "version 1" in run.jobs[0].reason or "version 2" in run.jobs[0].reason
    safety_note("refused before a signature; nothing sent, nothing held")


@pytest.mark.safety("an extension of 14 KB in a 402 is neither signed for nor sent back")
@pytest.mark.parametrize("name", ["hypercli", "prism", "openvps"])
def test_a_large_extension(buys: Buys, stubs: StubMarket, safety_note: SafetyNote, name: str) -> None:
    purchases = buys(name)
    stubs.stub(name).payments.clear()
    stubs.stub(name).switch("large_extension")
    run = purchases.tries(purchases.start("echo hello"))
    assert_unsigned(purchases, run)
    safety_note("the offer is too large to be read: no quote, nothing sent, nothing held")


@pytest.mark.safety("a payee that changes after ten good sales")
def test_a_payee_that_changes_after_ten_good_sales(
    buys: Buys, stubs: StubMarket, safety_note: SafetyNote, gpuagent: Callable[..., Result]
) -> None:
    purchases = buys("openvps")
    world, orders = purchases.world, Orders(purchases)
    for _ in range(GOOD_SALES):
        assert purchases.until(purchases.start("true"), is_over).status is RunStatus.COMPLETED
    run = step(purchases.start("true").run_id, world.ports)
    stubs.openvps.payments.clear()
    stubs.openvps.switch("other_payee")
    run = step(run.run_id, world.ports)
    assert isinstance(run.jobs[0], Voided)
    assert "another payee" in run.jobs[0].reason
    halt = world.store.policy().vendor_halts["openvps"]
    assert (halt.by, halt.at > 0) == ("gpuagent", True)
    assert purchases.vendor.pay_to in halt.why
    second, orders.count = purchases.tries(purchases.start("true")), 0
    second = purchases.tries(second)
    assert (second.status, orders.count) == (RunStatus.FAILED, 0)
    assert "gpuagent halted vendor openvps" in second.reason
    assert_never_signed(purchases, run, second)
    # An approver lets it be asked again, and it is held against the pinned record as before.
    resume = ("policy", "resume", "vendor", "openvps", "--by", "Ada")
    assert gpuagent(*resume).exit_code == 2
    assert gpuagent(*resume, "--why", "they say it was a slip").exit_code == 0
    third = world.tick(purchases.start("true"))
    assert orders.count > 0
    assert "openvps" in world.store.policy().vendor_halts
    assert_never_signed(purchases, run, second, third)
    stubs.heal()
    assert gpuagent(*resume, "--why", "it names the recorded payee again").exit_code == 0
    assert purchases.until(purchases.start("true"), is_over).status is RunStatus.COMPLETED
    safety_note(
        "refused before a signature, and halted: no run asks it again until an approver resumes it; "
        f"{paid(purchases)}, all to the recorded payee"
    )


class Orders:
    """The orders and prices that the agent asks a seller for."""

    def __init__(self, purchases: Purchases) -> None:
        self.count, inner = 0, purchases.world.ports.vendor_api.quote

        def quote(*order: Any) -> Quote:
            self.count += 1
            return inner(*order)

        purchases.world.ports.vendor_api.quote = quote  # type: ignore[method-assign]


def assert_never_signed(purchases: Purchases, *runs: Run) -> None:
    assert [purchases.world.payments(run) for run in runs] == [[]] * len(runs)
    assert purchases.stubs.openvps.payments == []
    assert len(purchases.world.transfers()) == GOOD_SALES


@pytest.mark.safety("two of three sellers, each of another protocol, fail: the third does the work, and why is said")
def test_two_of_three_protocols_fail(buys: Buys, stubs: StubMarket, safety_note: SafetyNote) -> None:
    purchases = buys("hypercli")
    purchases.world.give_gas()
    stubs.hypercli.switch("machine_lost")
    stubs.prism.switch("lease_fails")
    run = purchases.start("echo hello", vendors=("hypercli", "prism", "gpu_vendor_3"), budget=3)
    run = purchases.until(run, is_over)
    assert run.status is RunStatus.COMPLETED
    assert [job.quote.vendor_id for job in run.jobs] == ["hypercli", "prism", "gpu_vendor_3"]
    assert isinstance(run.jobs[1], Voided)
    purchases.world.assert_balanced(run, 2)
    reasons = [entry["content"] for entry in purchases.world.observations(run, "agent_reasoning")]
    assert all(any(text.startswith(name) for text in reasons) for name in ("hypercli", "prism", "gpu_vendor_3"))
    safety_note(f"HyperCLI's failure is paid for, Prism's is cancelled on chain; {paid(purchases)}")


@pytest.mark.safety("a seller that gives back to a balance of its own, or says that it owes, gives back no money")
def test_a_credit_is_no_money(buys: Buys, stubs: StubMarket, safety_note: SafetyNote) -> None:
    """HyperCLI keeps what is left of a cancelled job; Prism takes the money, fails, and says that it owes all of it."""
    purchases = buys("hypercli")
    run = purchases.until(purchases.start("sleep 120"), is_underway)
    before = purchases.world.reads.recorded(run.run_id)
    stubs.clock.advance(60)
    purchases.cancel(run)
    store = Interrupted(purchases.world.store, "save", killed)
    with pytest.raises(Killed):  # after the vendor's word is booked, before the step is
        step(run.run_id, replace(purchases.world.ports, store=store))
    run = purchases.outlast(run)
    kept = purchases.world.reads.credits()["hypercli"]
    assert 0 < kept < run.jobs[0].quote.amount
    assert purchases.world.reads.recorded(run.run_id) == before
    assert purchases.world.books(run).balanced
    spoken = [entry["content"] for entry in purchases.world.observations(run, "payment_event")]
    assert [text for text in spoken if "credit" in text] == [
        f"hypercli says that {show_usd(kept)} is on its platform: a credit, no money"
    ]
    purchases = Purchases(purchases.world, stubs, BY_NAME["prism"])
    stubs.prism.switch("owes_refund")
    run = purchases.outlast(purchases.start("echo hello"))
    price = run.jobs[0].quote.amount
    assert purchases.world.reads.credits() == {"hypercli": kept, "prism": price}
    recorded = purchases.world.reads.recorded(run.run_id)
    assert (recorded.settled, recorded.held) == (price, 0)
    assert purchases.world.books(run).balanced
    safety_note("booked as the seller's word, once; what is spent stays spent, and nothing more may be bought for it")


def killed() -> None:
    raise Killed("before the step is saved")
