"""The life of an authorization: what it is bounded by, when it is sent no more, and that it is cancelled once."""

from dataclasses import replace

import pytest

from gpuagent.agent.approve import cancel
from gpuagent.core.model import Authorized, Voided
from gpuagent.core.pace import Pace
from gpuagent.core.ports import Ports
from gpuagent.core.ports.chain import Open
from gpuagent.tick import step, tick
from tests.conftest import SafetyNote
from tests.support.counting_wallet import CountingWallet
from tests.support.hurried_vendors import HurriedVendors
from tests.support.standing_chain import StandingChain
from tests.support.world import World

MARGIN_S, LIFE_S = Pace().send_margin_s, Pace().authorization_s


def counting(world: World) -> tuple[CountingWallet, Ports]:
    """The world's wallet, which counts, and the ports with it."""
    wallet = CountingWallet(world.environment["X402_PRIVATE_KEY"], world.ports.wallet.token)
    return wallet, replace(world.ports, wallet=wallet)


@pytest.mark.safety("a quote or a 402 that leaves little time")
def test_an_authorization_outlives_neither_its_quote_nor_the_vendors_timeout(
    world: World, safety_note: SafetyNote
) -> None:
    """On the chain's clock. One that could not be sent any more is not signed."""
    cases = {
        "the agent's own pace": (3600, 600, LIFE_S),
        "the quote": (60, 600, 60),
        "the vendor's timeout": (3600, 30, 30),
        "just time enough": (MARGIN_S + 1, 600, MARGIN_S + 1),
        "no time for the quote": (MARGIN_S, 600, None),
        "no time by the timeout": (3600, MARGIN_S, None),
    }
    wallet, ports = counting(world)
    lives: dict[str, int | None] = {}
    for name, (quote_s, timeout_s, _) in cases.items():
        newest, signed = world.chain.head(wallet.address), wallet.signed
        vendors = HurriedVendors(ports.vendor_api, newest.time + quote_s, timeout_s)
        hurried = replace(ports, vendor_api=vendors, chain=StandingChain(ports.chain, newest))
        (job,) = step(step(world.start().run_id, hurried).run_id, hurried).jobs
        if isinstance(job, Authorized):
            lives[name] = job.authorization.valid_before - newest.time
        else:
            assert isinstance(job, Voided)
            assert "too little time to pay" in job.reason
            assert wallet.signed == signed
            lives[name] = None
    assert lives == {name: life_s for name, (*_, life_s) in cases.items()}
    safety_note("valid until the earliest of quote, timeout and pace; with no time left signed 0")


def test_nothing_is_sent_in_the_last_seconds_of_its_life(world: World) -> None:
    world.market.fault("gpu_vendor_1", "never_settle")
    run = step(step(world.start().run_id, world.ports).run_id, world.ports)
    (job,) = run.jobs
    assert isinstance(job, Authorized)
    sent = {}
    for seconds_left in (0, 1, MARGIN_S, MARGIN_S + 1):
        undecided = Open(job.authorization.valid_before - seconds_left, used=False)
        step(run.run_id, replace(world.ports, chain=StandingChain(world.chain, decided=undecided)))
        sent[seconds_left] = len(world.market.received_headers(world.ports.wallet.address))
    assert sent == {0: 0, 1: 0, MARGIN_S: 0, MARGIN_S + 1: 1}


@pytest.mark.parametrize("gas", [10**18, 0])
def test_what_is_not_wanted_is_cancelled_once_however_often_it_is_ticked(world: World, gas: int) -> None:
    """While the cancellation waits for a block, and where there is no gas for one."""
    world.market.fault("gpu_vendor_1", "never_settle")
    run = world.tick(world.start())
    (job,) = run.jobs
    assert isinstance(job, Authorized)
    world.market.rpc("anvil_setBalance", world.ports.wallet.address, hex(gas))
    cancel(run.run_id, "Ada", "wrong goal", world.store, world.market.clock)
    wallet, ports = counting(world)
    ports = replace(ports, chain=StandingChain(ports.chain, decided=ports.chain.outcome(job.authorization)))
    after = tick(run.run_id, ports)
    assert tick(run.run_id, ports) == tick(run.run_id, ports) == after
    assert wallet.cancelled == 1
