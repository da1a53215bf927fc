"""Rows of the transport: answers too large, too slow, or that lead elsewhere."""

import time
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.support.attacks import (
    FIRST,
    HASTE,
    Attack,
    Observed,
    attacks,
    buys_elsewhere,
    goes_on,
    pays_once,
    refuses_offer,
    refuses_quote,
)
from tests.support.hasty_vendors import in_haste
from tests.support.world import World

MEMORY_MAX = 16_000_000
"""Bytes that the agent may take while it is sent 200 MB."""
PATIENCE_S = 40
"""More than the deadlines of a hasty agent's few exchanges; a drip goes on for minutes."""


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Fails a test in which the agent takes much memory. The vendors are processes of their own."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEMORY_MAX, f"{peak} bytes at once"


@pytest.mark.parametrize("fault", ["oversized_header", "huge_header"])
def test_15_oversized_header(world: World, observed: Observed, little_memory: None, fault: str) -> None:
    """The 402 is right but for 60 kB, or a megabyte, of padding in its header.

    Reads 16 kB of header at most; buys elsewhere.
    """
    buys_elsewhere(world, refuses_offer(world, fault), observed)


@attacks(
    (refuses_quote, "huge"),
    (refuses_quote, "gzip_bomb"),
    (refuses_offer, "huge_offer"),
    (pays_once, "huge_after_settle"),
)
def test_16_oversized_body(world: World, observed: Observed, little_memory: None, attack: Attack, fault: str) -> None:
    """A quote, a 402 or a paid answer has a body of 200 MB, or is a gzip bomb.

    Stops reading at 64 kB, packed or unpacked, and stays small itself; a payment that is out is asked of the chain.
    """
    goes_on(world, attack, attack(world, fault), observed)


@attacks(
    (refuses_quote, "slow"),
    (refuses_quote, "drip"),
    (refuses_offer, "drip_offer"),
    (pays_once, "drip_after_settle"),
)
def test_17_slow_drip(world: World, observed: Observed, attack: Attack, fault: str) -> None:
    """A quote, a 402 or a paid answer comes byte by byte for minutes, or comes a minute late.

    Has one deadline for the whole exchange; a payment that is out is asked of the chain.
    """
    with in_haste(world, FIRST, *HASTE[attack]) as hasty_world:
        began = time.monotonic()
        run = attack(hasty_world, fault)
        assert time.monotonic() - began < PATIENCE_S
        goes_on(hasty_world, attack, run, observed)


@attacks(
    (refuses_quote, "redirect"),
    (refuses_quote, "redirect_self"),
    (refuses_offer, "redirect_offer"),
    (refuses_offer, "redirect_offer_self"),
    (pays_once, "redirect_after_settle"),
    (pays_once, "redirect_self_after_settle"),
)
def test_18_redirect(world: World, observed: Observed, attack: Attack, fault: str) -> None:
    """A quote, a 402 or a paid answer is a redirect to another host, or to itself for ever.

    Follows none, so token and signature reach no other host; a paid one is asked of the chain, not paid again.
    """
    lured = world.market.control("GET", "lured")["requests"]
    run = attack(world, fault)
    goes_on(world, attack, run, observed)
    assert world.market.control("GET", "lured")["requests"] == lured, "a redirect was followed"
