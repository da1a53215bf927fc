"""Rows F9 and F15: the chain takes blocks back, and mongod goes away. On a stack of their own, which may break."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpuagent import stack
from gpuagent.adapters.mongo_store import MongoStore
from gpuagent.adapters.mongod import last_server
from gpuagent.errors import StoreError
from gpuagent.model import Authorized, Observation, Reserved, Run, Settled
from gpuagent.ports import Open, Store
from tests.lent_stack import STACK_SETTINGS
from tests.safety.attacks import FIRST, Observed, assert_signed, finishes, held, relay
from tests.safety.seen import stored_headers
from tests.world import Market, World, build_world

CONFIRMATIONS = 50
PATIENCE_S, RECOVERY_S = 2, 60


@pytest.fixture
def make_own_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    with ExitStack() as closing_:

        def make(**environment: str) -> World:
            running = closing_.enter_context(stack.start(tmp_path, **STACK_SETTINGS))
            market = closing_.enter_context(closing(Market(running)))
            market.environment |= environment
            market.rpc("anvil_mine", hex(2 * CONFIRMATIONS), hex(0))  # so that the token is final
            return closing_.enter_context(build_world(market, "own"))

        yield make


@pytest.mark.parametrize("taken_back_by", ["anvil_reorg", "evm_revert"])
def test_F09_reorg(make_own_world: Callable[..., World], observed: Observed, taken_back_by: str) -> None:
    """The settlement is seen, then a reorganization takes its block back, and another block brings it again.

    Holds the amount from first to last, sends nothing while the settlement is seen, and counts it once it is final.
    """
    world = make_own_world(X402_CONFIRMATIONS=str(CONFIRMATIONS))
    market, payer = world.market, world.ports.wallet.address
    run = world.start()
    snapshot = market.rpc("evm_snapshot")
    before = int(market.rpc("eth_blockNumber"), 16)
    run = world.tick(run)
    seen_provisionally(world, run, used=True)
    sends = len(market.received(payer))
    run = world.tick(run)
    assert len(market.received(payer)) == sends
    if taken_back_by == "evm_revert":
        assert market.rpc("evm_revert", snapshot)
    else:
        market.rpc("anvil_reorg", int(market.rpc("eth_blockNumber"), 16) - before, [])
    seen_provisionally(world, run, used=False)
    run = world.tick(run)
    seen_provisionally(world, run, used=False)
    (header,) = stored_headers(world, run)
    assert relay(world, header)
    run = world.tick(run)
    seen_provisionally(world, run, used=True)
    market.rpc("anvil_mine", hex(CONFIRMATIONS + 1), hex(0))
    run = world.tick(run)
    assert isinstance(run.jobs[0], Settled)
    assert (held(world, run), len(world.transfers())) == (0, 1)
    finishes(world, run, observed, [FIRST])
    assert_signed(world, run, 1)


def seen_provisionally(world: World, run: Run, *, used: bool) -> None:
    """The newest block holds the settlement, or not; the budget knows of a hold and of nothing else."""
    (job,) = world.store.load(run.run_id).jobs
    assert isinstance(job, Authorized)
    outcome = world.chain.outcome(job.authorization)
    assert isinstance(outcome, Open)
    assert outcome.used is used
    recorded = world.store.recorded(run.run_id)
    assert (recorded.held, recorded.settled) == (job.quote.amount, 0)
    assert world.transfers() == ()
    assert_signed(world, run, 1)


class BrokenStore:
    """Sends mongod a signal before or after it is given a signature to keep."""

    def __init__(self, inner: Store, home: Path, when: str, how: signal.Signals) -> None:
        self._inner, self._home, self._when, self._how = inner, home, when, how
        self.pid = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def save(self, before: Run, after: Run, seen: Sequence[Observation], at: float) -> Run:
        signing = not self.pid and any(isinstance(job, Authorized) for job in after.jobs)
        if signing and self._when == "before":
            self._hit()
        saved = self._inner.save(before, after, seen, at)
        if signing and self._when == "after":
            self._hit()
        return saved

    def _hit(self) -> None:
        server = last_server(self._home)
        assert server
        self.pid = server["pid"]
        os.kill(self.pid, self._how)


@pytest.mark.parametrize("when", ["before it can save", "after it has saved"])
def test_F15_mongod_down(make_own_world: Callable[..., World], tmp_path: Path, observed: Observed, when: str) -> None:
    """mongod stops before the signature is saved, so that nothing is acknowledged; or dies right after that it was.

    Sends nothing that is not acknowledged by majority and journal; what is acknowledged is there after the crash.
    """
    world = make_own_world()
    run = world.start()
    if when == "before it can save":
        with broken(world, tmp_path, "before", signal.SIGSTOP) as (impatient, store):
            with pytest.raises(StoreError):
                impatient.tick(run)
            assert world.market.received(world.ports.wallet.address) == []
            assert world.transfers() == ()
            os.kill(store.pid, signal.SIGCONT)
        run = world.store.load(run.run_id)
        assert isinstance(run.jobs[0], Reserved | Authorized)  # what was not acknowledged may yet have been written
        assert held(world, run) == run.jobs[0].quote.amount
        run = tick_once_it_can(world, run)
    else:
        with broken(world, tmp_path, "after", signal.SIGKILL) as (shaken, _):
            run = shaken.tick(run)
    assert_signed(world, run, 1)
    finishes(world, run, observed, [FIRST])
    assert_signed(world, run, 1)


def tick_once_it_can(world: World, run: Run) -> Run:
    """The transaction that was cut off keeps others from the run until mongod gives it up."""
    ends_at = time.monotonic() + RECOVERY_S
    while True:
        try:
            return world.tick(run)
        except StoreError:
            assert time.monotonic() < ends_at


@contextmanager
def broken(world: World, folder: Path, when: str, how: signal.Signals) -> Iterator[tuple[World, BrokenStore]]:
    """The same agent, whose mongod is hit."""
    deadline_s = PATIENCE_S if how is signal.SIGSTOP else 60
    with closing(MongoStore(world.environment["MONGODB_URI"], "own", deadline_s=deadline_s)) as inner:
        store = BrokenStore(inner, folder / "mongod", when, how)
        try:
            yield replace(world, agent=replace(world.agent, ports=replace(world.ports, store=store))), store
        finally:
            if store.pid and how is signal.SIGSTOP:
                os.kill(store.pid, signal.SIGCONT)
