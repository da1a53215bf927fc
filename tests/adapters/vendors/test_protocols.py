"""One contract for all protocols: the same purchases from a seller of each, with real payments, and what they come to.

`make protocols` writes the table of docs/vendors/README.md from a run of these.
"""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from gpuagent.adapters.vendors.adapter import Parts
from gpuagent.adapters.vendors.http import no_content
from gpuagent.adapters.vendors.registry import VendorRegistry
from gpuagent.core.model import RunStatus, Voided
from gpuagent.core.steps import is_over
from gpuagent.tick import step
from mock_vendor.stubs.serve import StubMarket
from tests.support.market import Market
from tests.support.protocols import PROTOCOLS, Killer, Protocol, Purchases, is_underway
from tests.support.stub_market import running_stubs
from tests.support.world import World

Cell = Callable[[str], None]
each = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)


@pytest.fixture(scope="module")
def stubs(shared_market: Market) -> Iterator[StubMarket]:
    with running_stubs(shared_market.environment) as stubs:
        yield stubs


@pytest.fixture
def purchases(
    make_world: Callable[..., World], market: Market, stubs: StubMarket, protocol: Protocol
) -> Iterator[Purchases]:
    with closing(VendorRegistry(Parts(market.environment.get, market.clock.now, no_content))) as vendor_api:
        purchases = Purchases(make_world(vendor_api=vendor_api), stubs, protocol)
        yield purchases
        purchases.heal()


@pytest.fixture
def cell(record_property: Callable[[str, object], None]) -> Cell:
    """A recorder of what a purchase came to, for the table."""
    return lambda text: record_property("cell", text)


@each
def test_success(purchases: Purchases, cell: Cell) -> None:
    """a command that succeeds"""
    run = purchases.until(purchases.start("echo hello"), is_over)
    assert run.status is RunStatus.COMPLETED
    assert len(purchases.world.transfers()) == 1
    name, (job,) = purchases.protocol.name, run.jobs
    assert (job.quote.protocol, dict(purchases.world.books(run).protocols)) == (name, {name: job.quote.amount})
    logs = [entry["content"] for entry in purchases.world.observations(run, "job_log")]
    assert logs[0] == "hello"  # behind it may stand what the seller's own ssh says
    cell(purchases.outcome(run))


@each
def test_failure(purchases: Purchases, cell: Cell) -> None:
    """the seller fails the job"""
    run = purchases.outlast(purchases.start_failing())
    assert run.status is RunStatus.FAILED
    assert len(purchases.world.transfers()) == (not purchases.protocol.after)
    cell(purchases.outcome(run))


@each
def test_non_zero_exit(purchases: Purchases, cell: Cell) -> None:
    """a program that ends with exit code 3"""
    run = purchases.until(purchases.start("echo no >&2; exit 3"), is_over)
    assert run.status is RunStatus.FAILED
    assert len(purchases.world.transfers()) == 1
    text = purchases.outcome(run)
    assert "exit code 3" in text
    cell(text)


@each
def test_lost_answer(purchases: Purchases, cell: Cell) -> None:
    """the answer to the payment is lost"""
    purchases.switch("lose_answer")
    run = purchases.until(purchases.start("echo hello"), lambda _: bool(purchases.world.transfers()))
    purchases.heal()
    run = purchases.until(run, is_over) if purchases.protocol.repeats else purchases.outlast(run)
    assert (run.status is RunStatus.COMPLETED) is purchases.protocol.repeats
    assert len(purchases.world.transfers()) == 1
    cell(purchases.outcome(run))


@each
def test_kill_anywhere(purchases: Purchases, cell: Cell) -> None:
    """the agent is killed before and after every effect"""
    killer, run = Killer(purchases.world.ports, purchases.protocol.repeats), purchases.start("echo hello")
    run = purchases.survive(run, killer)
    assert run.status is RunStatus.COMPLETED
    assert len(purchases.world.transfers()) == 1
    assert sum(killer.deaths.values()) > 20
    cell(purchases.outcome(run))


@each
def test_cancel(purchases: Purchases, cell: Cell) -> None:
    """the run is cancelled while its job runs"""
    run = purchases.until(purchases.start("sleep 120"), is_underway)
    purchases.cancel(run)
    run = purchases.outlast(run)
    assert len(purchases.world.transfers()) == (not purchases.protocol.after)
    stops = [entry for entry in purchases.world.observations(run, "metric") if "stop" in str(entry["data"])]
    assert bool(stops) is purchases.protocol.cancels
    cell(purchases.outcome(run))


@each
def test_unknown_job(purchases: Purchases, cell: Cell) -> None:
    """the seller forgets the job, as by a restart"""
    run = purchases.until(purchases.start("sleep 120"), is_underway)
    purchases.forget(run)
    run = purchases.outlast(run)
    assert run.status is RunStatus.FAILED
    assert len(purchases.world.transfers()) == (not purchases.protocol.after)
    cell(purchases.outcome(run))


@each
def test_price_change(purchases: Purchases, cell: Cell) -> None:
    """the price rises between the quote and the payment"""
    run = step(purchases.start("echo hello").run_id, purchases.world.ports)
    purchases.switch("price_up")
    run = step(run.run_id, purchases.world.ports)
    assert isinstance(run.jobs[0], Voided)
    assert run.jobs[0].authorization is None
    assert purchases.world.payments(run) == []
    purchases.heal()
    run = purchases.until(run, is_over)
    assert run.status is RunStatus.COMPLETED
    cell(f"not signed; bought at the old price: {purchases.outcome(run)}")


@each
def test_version_1(purchases: Purchases, cell: Cell) -> None:
    """a seller that is recorded with version 1"""
    if not purchases.protocol.speaks_v1:
        cell("speaks version 2")
        return
    purchases.record(x402_version=1)
    purchases.switch("v1_only")
    run = purchases.until(purchases.start("echo hello"), is_over)
    assert run.status is RunStatus.COMPLETED
    assert len(purchases.world.transfers()) == 1
    cell(purchases.outcome(run))


@each
def test_downgrade(purchases: Purchases, cell: Cell) -> None:
    """a seller that is recorded with version 2 answers in version 1"""
    purchases.switch("v1_only")
    run = purchases.tries(purchases.start("echo hello"))
    assert purchases.world.payments(run) == []
    purchases.cancel(run)
    assert purchases.world.transfers() == ()
    cell("not signed")
