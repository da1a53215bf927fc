"""Clocks that differ: no day of a cap and no request for approval ends by the clock of one machine."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gpuagent.agent import guard
from gpuagent.agent.approve import approve
from gpuagent.agent.pay import pay
from gpuagent.agent.plan import plan
from gpuagent.agent.start import Order, start
from gpuagent.core import clocks
from gpuagent.core.clocks import APART_MAX_S
from gpuagent.core.model import Authorization, Authorized, Voided
from gpuagent.core.money import UNIT
from gpuagent.core.networks import LOCAL
from gpuagent.core.ports import Ports
from gpuagent.core.ports.chain import EXPIRED, Head, Void
from gpuagent.core.transitions import apply
from gpuagent.errors import BadInput, ClocksDiffer, PolicyRefused
from gpuagent.tick import step, tick
from tests.conftest import SafetyNote
from tests.support.clock import TurnableClock
from tests.support.world import World

PRICE = 1_400_000
DAY_S = 86_400.0


class TurnedChain:
    """The chain, with newest blocks that are dated so many seconds ahead."""

    def __init__(self, inner: Any, ahead_s: float) -> None:
        self.inner, self.ahead_s = inner, ahead_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def head(self, address: str, nonces: Sequence[str] = ()) -> Head:
        head: Head = self.inner.head(address, nonces)
        return replace(head, time=head.time + int(self.ahead_s))


def on_clocks(world: World, own: float = 0, database: float = 0, chain: float = 0) -> Ports:
    """An agent whose clocks are so many seconds ahead of the world's."""
    at = world.market.clock.ahead_s
    return replace(
        world.ports,
        clock=TurnableClock(at + own),
        store=replace(world.database, ahead=lambda: at + database).store,
        chain=TurnedChain(world.chain, chain),
    )


def assert_nothing_signed(world: World) -> None:
    assert world.transfers() == ()
    assert world.market.received_headers(world.ports.wallet.address) == []


@pytest.mark.safety("a machine whose date is a day ahead, under a cap on 24 hours")
def test_a_day_ahead_pays_nothing_again(world: World, safety_note: SafetyNote) -> None:
    """A worker whose clock is right pays the same run, once the day is over on all clocks."""
    world.allow(wallet_per_day=PRICE)
    world.finish(world.start())
    run, other = world.start(), on_clocks(world, own=DAY_S)
    for _ in range(2):
        with pytest.raises(ClocksDiffer, match=r"differ by 86\d{3} s: .*Nothing was signed.*NTP"):
            tick(run.run_id, other)
    assert world.store.load(run.run_id) == run
    with pytest.raises(ClocksDiffer):
        start(Order(goal="Fine-tune", budget=UNIT), other)
    assert world.tick(run).jobs == ()
    world.market.pass_time(DAY_S)
    assert len(world.finish(run).jobs) == 1
    assert len(world.transfers()) == 2
    safety_note("refused at every tick, 1 transfer; the second one a day later by all clocks")


def test_a_clock_that_jumps_between_the_guard_and_the_save(world: World) -> None:
    """The database takes no later end of a day than its own clock's."""
    world.allow(wallet_per_day=PRICE, vendor_per_day=PRICE)
    first, second = (world.start(vendor_ids=("gpu_vendor_1",)) for _ in range(2))
    planned = apply(second, plan(second, world.ports))
    world.finish(first)
    with pytest.raises(PolicyRefused, match="wallet per day"):
        world.store.save(second, planned, (), world.market.clock.now() + 2 * DAY_S)
    usage = world.store.usage(second, second.network, ["gpu_vendor_1"], world.market.clock.now() + 2 * DAY_S)
    assert (usage.wallet_day, usage.vendor_day) == (PRICE, {"gpu_vendor_1": PRICE})
    world.market.pass_time(DAY_S - 100)  # the day ends soon, and by a clock that is a little ahead it has
    usage = world.store.usage(second, second.network, ["gpu_vendor_1"], world.market.clock.now() + 200)
    assert (usage.wallet_day, usage.vendor_day) == (PRICE, {"gpu_vendor_1": PRICE})


@pytest.mark.parametrize(
    "ahead",
    [
        {"own": DAY_S},
        {"own": -DAY_S},
        {"own": 3600},
        {"database": DAY_S},
        {"database": -DAY_S},
        {"own": DAY_S, "database": DAY_S},
        {"chain": DAY_S},
        {"chain": -APART_MAX_S - 60},
    ],
    ids=str,
)
def test_neither_a_reservation_nor_a_signature_while_clocks_differ(
    world: World, ahead: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "LOCAL", replace(guard.LOCAL, caip2="eip155:1"))  # so that our chain tells the time
    run = world.start()
    ports = on_clocks(world, **ahead)
    with pytest.raises(ClocksDiffer):
        tick(run.run_id, ports)
    assert world.store.load(run.run_id) == run
    reserved = step(run.run_id, world.ports)
    (job,) = reserved.jobs
    if job.quote.expires_at <= ports.store.now():  # by the database's clock the quote has ended: released, not signed
        assert step(run.run_id, ports).jobs[0] != reserved.jobs[0]
    else:
        with pytest.raises(ClocksDiffer):
            step(run.run_id, ports)
        assert world.store.load(run.run_id) == reserved
    assert_nothing_signed(world)


def test_clocks_that_are_a_minute_apart_pay(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LOCAL", replace(guard.LOCAL, caip2="eip155:1"))
    run = tick(world.start().run_id, on_clocks(world, own=40, database=-40, chain=-20))
    assert len(world.transfers()) == 1
    world.assert_balanced(world.finish(run), transfers=1)


class HastyChain:
    """The chain, as a node shows it whose blocks are dated far ahead: it has expired what is out."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def outcome(self, authorization: Authorization, transaction: str = "") -> Void:
        return Void(EXPIRED)


@pytest.mark.safety("the only node dates a block ahead, by which a payment that is out has expired")
def test_no_payment_is_over_by_the_chains_clock_alone(
    world: World, safety_note: SafetyNote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hold would buy another job, and the vendor could still take it: more than the budget."""
    for module in (guard, clocks):
        monkeypatch.setattr(module, "LOCAL", replace(LOCAL, caip2="eip155:1"))
    world.market.fault("gpu_vendor_1", "settle_late")
    run = world.tick(world.start(vendor_ids=("gpu_vendor_1",)))
    (job,) = run.jobs
    assert isinstance(job, Authorized)
    hasty = replace(world.ports, chain=HastyChain(world.chain))
    for _ in range(2):
        assert tick(run.run_id, hasty) == run
    behind = replace(on_clocks(world, own=-DAY_S, database=DAY_S), chain=hasty.chain)
    assert isinstance(apply(run, pay(run, job.job_id, behind)).jobs[0], Voided), "one clock of ours is enough"
    world.market.heal()
    world.market.control("POST", "settle")
    world.assert_balanced(world.finish(run), transfers=1)
    safety_note("held until this machine or the database is past its end; then paid once")


def test_nothing_is_deleted_by_a_machine_whose_date_is_ahead(world: World) -> None:
    now = world.market.clock.now()
    assert world.database.not_after(now + DAY_S) < now + 3_600
    assert world.database.not_after(now - DAY_S) == now - DAY_S


@pytest.mark.safety("an approver whose clock is a day behind")
def test_a_request_ends_by_the_databases_clock(world: World, safety_note: SafetyNote) -> None:
    """Neither does a late approver's clock prolong it, nor the clock of an agent that is ahead end it."""
    world.allow(approval_above=UNIT, approval_s=300)
    asking = world.tick(world.start())
    assert tick(asking.run_id, on_clocks(world, own=DAY_S)) == asking
    world.market.pass_time(301)
    behind = TurnableClock(world.market.clock.ahead_s - DAY_S)
    with pytest.raises(BadInput, match="has expired"):
        approve(asking.run_id, "Ada", PRICE, world.store, behind)
    asking = world.tick(asking)
    approve(asking.run_id, "Ada", PRICE, world.store, behind)
    world.assert_balanced(world.finish(asking), transfers=1)
    safety_note("expired for every approver at once; asked anew, approved and paid once")
