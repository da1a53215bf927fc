"""What one tick reads of the chain at once, and the one question that it does not ask twice."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from gpuagent.agent.readings import READING_S
from gpuagent.agent.tick_chain import TickChain
from gpuagent.core.model import Authorization, Settled
from gpuagent.core.ports.chain import Head, Open, Outcome
from gpuagent.errors import WalletUnfunded
from tests.support.factories import authorization
from tests.support.world import World

SIGNED = authorization()
REAL = Open(7, used=True)
"""What the chain itself says of every authorization."""


@dataclass
class Chain:
    """It is its own clock too. asked: every question, in order."""

    at: float = 1_000.0
    spent_nonces: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    def head(self, address: str, nonces: Sequence[str] = ()) -> Head:
        self.asked.append("head")
        return Head(1, 50_000, 10, tuple(nonce for nonce in nonces if nonce in self.spent_nonces))

    def outcome(self, signed: Authorization, transaction: str = "") -> Outcome:
        self.asked.append("outcome")
        return REAL


@pytest.fixture
def chain() -> Chain:
    return Chain()


def read(chain: Any, signed: Sequence[str] = (SIGNED.nonce,)) -> TickChain:
    """A tick that has read the chain, and then signed."""
    tick_chain = TickChain(chain, chain, lambda: [SIGNED.nonce], signed)
    tick_chain.head(SIGNED.payer)
    return tick_chain


def test_one_exchange_tells_of_block_balance_and_nonces_for_seconds(chain: Chain) -> None:
    tick_chain = read(chain)
    assert tick_chain.spent(SIGNED.payer, [SIGNED.nonce]) == []
    assert tick_chain.head(SIGNED.payer).balance == 10
    assert chain.asked == ["head"]
    chain.spent_nonces, chain.at = (SIGNED.nonce,), chain.at + READING_S + 1
    assert tick_chain.spent(SIGNED.payer, [SIGNED.nonce]) == [SIGNED.nonce]
    assert chain.asked == ["head", "head"]


@pytest.mark.parametrize(("address", "nonce"), [("0x" + "9" * 40, SIGNED.nonce), (SIGNED.payer, "0x" + "9" * 64)])
def test_what_was_not_read_is_asked(chain: Chain, address: str, nonce: str) -> None:
    read(chain).spent(address, [nonce])
    assert chain.asked == ["head", "head"]


def test_a_clock_that_is_set_back_makes_a_reading_old(chain: Chain) -> None:
    tick_chain = read(chain)
    chain.at -= 60
    tick_chain.head(SIGNED.payer)
    assert chain.asked == ["head", "head"]


def test_what_was_just_signed_is_open_once(chain: Chain) -> None:
    tick_chain = read(chain)
    chain.at += 1.5
    assert tick_chain.outcome(SIGNED) == Open(50_002, used=False)
    assert tick_chain.outcome(SIGNED) == REAL


def test_of_what_was_not_signed_here_or_spent_or_read_long_ago_the_chain_is_asked(chain: Chain) -> None:
    assert read(chain, signed=()).outcome(SIGNED) == REAL
    chain.spent_nonces = (SIGNED.nonce,)
    assert read(chain).outcome(SIGNED) == REAL
    chain.spent_nonces = ()
    tick_chain = read(chain)
    chain.at += READING_S + 1
    assert tick_chain.outcome(SIGNED) == REAL


def test_what_was_paid_in_this_tick_is_not_spent_again(make_world: Callable[..., World]) -> None:
    """A wallet with money for one of two purchases: the settlement of the first ends the reading of its balance."""
    world = make_world(funds=1_500_000)
    run = world.start(jobs_open_max=2)
    with suppress(WalletUnfunded):
        world.tick(run)
    assert [isinstance(job, Settled) for job in world.store.load(run.run_id).jobs] == [True]
