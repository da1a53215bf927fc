"""Rows F1 to F6: the agent is killed (SIGKILL) at a point of the payment, and another goes on from what is stored."""

import pytest

from gpuagent.core.model import Authorized, Reserved, Run, Settled
from gpuagent.core.terms import nonce
from tests.support.attacks import FIRST, Observed, assert_moved, assert_signed, assert_unpaid, finishes, held_amount
from tests.support.crash import assert_logs_once, tick_until_killed
from tests.support.evidence import authorized, stored_headers
from tests.support.world import World


@pytest.mark.parametrize("point", ["after_reserve", "before_sign"])
def test_F01_crash_before_signing(world: World, observed: Observed, point: str) -> None:
    """The agent dies once the budget is reserved, or just before it signs.

    Finds its reservation, asks for the 402 anew and signs once.
    """
    run = dies_unsigned(world, point)
    goes_on(world, run, observed)


@pytest.mark.parametrize("point", ["after_sign", "before_store"])
def test_F02_crash_between_signing_and_storing(world: World, observed: Observed, point: str) -> None:
    """The agent dies with a signature that was neither stored nor sent.

    Signs again under the same nonce, which the job determines: of the two only one could ever settle.
    """
    run = dies_unsigned(world, point)
    goes_on(world, run, observed)
    (header,) = stored_headers(world, run)
    wallet = world.ports.wallet
    assert authorized(header)["nonce"] == nonce(wallet.token, wallet.address, run.jobs[0].job_id)


def test_F03_crash_between_storing_and_sending(world: World, observed: Observed) -> None:
    """The agent dies with the signature stored, and not sent.

    Sends the stored bytes, and signs nothing.
    """
    run = tick_until_killed(world, world.start(), "after_store")
    assert isinstance(run.jobs[0], Authorized)
    (header,) = stored_headers(world, run)
    assert world.market.received_headers(world.ports.wallet.address) == []
    assert world.transfers() == ()
    assert held_amount(world, run) == run.jobs[0].quote.amount
    goes_on(world, run, observed)
    assert set(world.market.received_headers(world.ports.wallet.address)) == {header}


@pytest.mark.parametrize("vendor", ["takes it at once", "takes it late"])
def test_F04_crash_between_sending_and_the_answer(world: World, observed: Observed, vendor: str) -> None:
    """The agent dies while the vendor has the signature, and may or may not have settled it.

    Still holds the amount; asks the chain, and sends the same bytes while that says open.
    """
    if vendor == "takes it late":
        world.market.fault(FIRST, "settle_late")
    run = tick_until_killed(world, world.start(), "after_send")
    assert isinstance(run.jobs[0], Authorized)
    assert_signed(world, run, 1)
    assert len(world.transfers()) <= (vendor == "takes it at once")
    assert held_amount(world, run) == run.jobs[0].quote.amount
    world.market.heal()
    goes_on(world, run, observed)


def test_F05_crash_between_the_answer_and_storing_it(world: World, observed: Observed) -> None:
    """The agent dies with the vendor's answer in hand: the money has moved, and the ledger does not know.

    Reads the settlement from the chain, and asks for the job with the same bytes.
    """
    run = tick_until_killed(world, world.start(), "after_response")
    assert isinstance(run.jobs[0], Authorized)
    assert_signed(world, run, 1)
    assert len(world.transfers()) == 1
    assert held_amount(world, run) == run.jobs[0].quote.amount
    goes_on(world, run, observed)


@pytest.mark.parametrize("point", ["after_settled", "after_progress"])
def test_F06_crash_after_the_result_is_stored(world: World, observed: Observed, point: str) -> None:
    """The agent dies right after it stored the settlement, or the vendor's first log lines.

    Does neither again: the amount is spent once, every log line is kept once.
    """
    run = tick_until_killed(world, world.start(), point)
    assert isinstance(run.jobs[0], Settled)
    assert_signed(world, run, 1)
    assert_moved(world, run)
    assert held_amount(world, run) == 0
    goes_on(world, run, observed)


def dies_unsigned(world: World, point: str) -> Run:
    """Killed at the point: the budget is held, and no signature is anywhere."""
    run = tick_until_killed(world, world.start(), point)
    assert isinstance(run.jobs[0], Reserved)
    assert_unpaid(world, run, amount_held=run.jobs[0].quote.amount)
    return run


def goes_on(world: World, run: Run, observed: Observed) -> None:
    """The same job is finished, on one signature and one transfer."""
    finishes(world, run, observed, [FIRST])
    assert_signed(world, run, 1)
    assert len(world.store.load(run.run_id).jobs) == 1
    assert_logs_once(world, run)
