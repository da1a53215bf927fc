"""Rows F9 and F15: the chain takes blocks back, and mongod goes away. On a stack of their own, which may break."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.embedded import last_server
from gpuagent.adapters.mongo.store import MongoStore
from gpuagent.core.model import Authorized, Observation, Reserved, Run, Settled
from gpuagent.core.ports.chain import Open
from gpuagent.core.ports.store import Store
from gpuagent.errors import StoreError
from gpuagent.practice import stack
from tests.support.attacks import FIRST, Observed, assert_signed, finishes, held_amount, relay
from tests.support.evidence import stored_headers
from tests.support.market import Market
from tests.support.stack import STACK_SETTINGS
from tests.support.world import World, build_world

CONFIRMATIONS = 50
PATIENCE_S, RECOVERY_S = 5, 120


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
    market.rpc("anvil_mine", hex(3))
    snapshot = market.rpc("evm_snapshot")
    before = int(market.rpc("eth_blockNumber"), 16)
    run = world.tick(run)
    seen_provisionally(world, run, used=True)
    sends = len(market.received_headers(payer))
    run = world.tick(run)
    assert len(market.received_headers(payer)) == sends
    if taken_back_by == "evm_revert":
        assert market.rpc("evm_revert", snapshot)
    else:
        newest = int(market.rpc("eth_blockNumber"), 16)
        market.rpc("anvil_reorg", newest - before + 2, [])  # a block may come meanwhile; those before were empty
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
    assert (held_amount(world, run), len(world.transfers())) == (0, 1)
    finishes(world, run, observed, [FIRST])
    assert_signed(world, run, 1)


def seen_provisionally(world: World, run: Run, *, used: bool) -> None:
    """The newest block holds the settlement, or not; the budget knows of a hold and of nothing else."""
    (job,) = world.store.load(run.run_id).jobs
    assert isinstance(job, Authorized)
    outcome = world.chain.outcome(job.authorization)
    assert isinstance(outcome, Open)
    assert outcome.used is used
    recorded = world.reads.recorded(run.run_id)
    assert (recorded.held, recorded.settled) == (job.quote.amount, 0)
    assert world.transfers() == ()
    assert_signed(world, run, 1)


class StalledStore:
    """mongod stands still while it is given a signature to keep, and goes on when the save has failed."""

    def __init__(self, inner: Store, pid: int) -> None:
        self._inner, self._pid = inner, pid

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def save(self, before: Run, after: Run, observations: Sequence[Observation], at: float) -> Run:
        if not any(isinstance(job, Authorized) for job in after.jobs):
            return self._inner.save(before, after, observations, at)
        os.kill(self._pid, signal.SIGSTOP)
        try:
            return self._inner.save(before, after, observations, at)
        finally:
            os.kill(self._pid, signal.SIGCONT)


class CrashedStore(StalledStore):
    """mongod is killed as soon as it has acknowledged a signature."""

    def save(self, before: Run, after: Run, observations: Sequence[Observation], at: float) -> Run:
        saved = self._inner.save(before, after, observations, at)
        if self._pid and any(isinstance(job, Authorized) for job in after.jobs):
            os.kill(self._pid, signal.SIGKILL)
            self._pid = 0
        return saved


@pytest.mark.parametrize("when", ["before it can save", "after it has saved"])
def test_F15_mongod_down(make_own_world: Callable[..., World], tmp_path: Path, observed: Observed, when: str) -> None:
    """mongod stalls as the signature is to be saved, so that nothing is acknowledged; or dies once it is.

    Sends nothing that is not acknowledged by majority and journal; what is acknowledged is there after the crash.
    """
    world = make_own_world()
    server = last_server(tmp_path / "mongod")
    assert server
    run = world.start()
    if when == "before it can save":
        with (
            closing(Connection(world.environment["MONGODB_URI"], "own", deadline_s=PATIENCE_S)) as connection,
            pytest.raises(StoreError),
        ):
            keeping(world, StalledStore(MongoStore(connection), server["pid"])).tick(run)
        assert world.market.received_headers(world.ports.wallet.address) == []
        assert world.transfers() == ()
        run = world.store.load(run.run_id)
        assert isinstance(run.jobs[0], Reserved | Authorized)  # what was not acknowledged may yet have been written
        assert held_amount(world, run) == run.jobs[0].quote.amount
        run = tick_once_it_can(world, run)
    else:
        with suppress(StoreError):  # a server that is only starting may refuse what comes after
            keeping(world, CrashedStore(world.store, server["pid"])).tick(run)
        run = tick_once_it_can(world, run)
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


def keeping(world: World, store: Any) -> World:
    """The same agent, with this store."""
    return replace(world, agent=replace(world.agent, ports=replace(world.ports, store=store)))
