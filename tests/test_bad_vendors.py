"""One vendor misbehaves, the others are fine: the run goes on, and pays nobody but for a job, at its quote."""

import pytest

from gpuagent.model import RunStatus, Settled
from tests.world import World

QUOTE_FAULTS = ("down", "slow", "drip", "garbage", "huge", "deep", "redirect", "overpriced", "bad_quote")
OFFER_FAULTS = (
    "wrong_payee_in_quote",
    "raise_price",
    "swap_payee",
    "swap_asset",
    "swap_network",
    "v1_offer",
    "long_timeout",
    "zero_timeout",
    "permit2",
    "upfront",
    "spoof_domain",
    "bad_base64",
    "deep_offer",
    "oversized_header",
    "prefilled_identifier",
)
HARMLESS_OFFER_FAULTS = ("evil_first", "malformed_first", "gas_extension")
REPLY_FAULTS = (
    "error_after_settle",
    "drop_after_settle",
    "reject_after_settle",
    "hang_after_settle",
    "redirect_after_settle",
    "bogus_receipt",
    "no_receipt",
    "receipt_says_failed",
)
UNSETTLED_FAULTS = ("always_402", "never_settle")


@pytest.mark.parametrize("fault", [*QUOTE_FAULTS, *OFFER_FAULTS])
def test_vendor_that_cannot_be_bought_from_is_passed_over(hasty_world: World, fault: str) -> None:
    hasty_world.market.fault("gpu_vendor_1", fault)
    run = hasty_world.finish(hasty_world.start())
    assert run.status is RunStatus.COMPLETED
    assert [j.quote.vendor_id for j in run.jobs if isinstance(j, Settled)] == ["gpu_vendor_2"]
    hasty_world.assert_balanced(run, transfers=1)


@pytest.mark.parametrize("fault", HARMLESS_OFFER_FAULTS)
def test_offer_with_more_in_it_than_agreed_is_paid_as_agreed(world: World, fault: str) -> None:
    world.market.fault("gpu_vendor_1", fault)
    run = world.finish(world.start())
    assert [j.quote.vendor_id for j in run.jobs if isinstance(j, Settled)] == ["gpu_vendor_1"]
    world.assert_balanced(run, transfers=1)


@pytest.mark.parametrize("fault", REPLY_FAULTS)
def test_reply_after_settlement_says_nothing_about_money(hasty_world: World, fault: str) -> None:
    world = hasty_world
    world.market.fault("gpu_vendor_1", fault)
    run = world.tick(world.start())
    assert len(world.transfers()) == 1
    assert isinstance(run.jobs[0], Settled)
    world.market.heal()
    run = world.finish(run)
    assert run.status is RunStatus.COMPLETED
    assert [job.quote.vendor_id for job in run.jobs] == ["gpu_vendor_1"]
    world.assert_balanced(run, transfers=1)


@pytest.mark.parametrize("fault", UNSETTLED_FAULTS)
def test_payment_that_is_never_taken_is_released_by_the_chain_alone(world: World, fault: str) -> None:
    world.market.fault("gpu_vendor_1", fault)
    run = world.tick(world.start())
    held = world.books(run).ledger.held
    assert held == run.jobs[0].quote.amount
    world.market.clock.ahead_s += 86_400  # our own clock releases nothing
    assert world.books(world.tick(run)).ledger.held == held
    world.market.clock.ahead_s -= 86_400
    world.market.pass_time(200)
    run = world.finish(run)
    assert run.status is RunStatus.COMPLETED
    assert [job.quote.vendor_id for job in run.jobs if isinstance(job, Settled)] == ["gpu_vendor_2"]
    world.assert_balanced(run, transfers=1)


def test_late_settlement_is_paid_once_and_worked_for(world: World) -> None:
    world.market.fault("gpu_vendor_1", "settle_late")
    run = world.tick(world.start())
    assert world.transfers() == ()
    world.market.heal()
    world.market.control("POST", "settle")
    run = world.finish(run)
    assert [job.quote.vendor_id for job in run.jobs] == ["gpu_vendor_1"]
    world.assert_balanced(run, transfers=1)


@pytest.mark.parametrize("fault", ["status_down", "status_garbage", "stuck"])
def test_paid_vendor_that_does_not_deliver_is_left_in_the_end(world: World, fault: str) -> None:
    world.market.fault("gpu_vendor_1", fault)
    run = world.tick(world.start())
    world.tick(run)
    world.market.pass_time(3 * 3600)
    run = world.finish(run)
    assert run.status is RunStatus.COMPLETED
    assert [job.quote.vendor_id for job in run.jobs] == ["gpu_vendor_1", "gpu_vendor_2"]
    world.assert_balanced(run, transfers=2)


@pytest.mark.parametrize("fault", ["no_job_id", "foreign_job_id"])
def test_vendor_that_names_no_job_of_ours_is_disputed(world: World, fault: str) -> None:
    world.market.fault("gpu_vendor_1", fault)
    first = world.tick(world.start())
    run = world.tick(world.start())  # a second purchase, so that a job id can be somebody else's
    world.market.pass_time(600)
    for each in (first, run):
        each = world.finish(each)
        assert each.status is RunStatus.COMPLETED
        assert world.books(each).balanced
    assert len({job["vendorJobId"] for job in world.jobs() if "vendorJobId" in job}) == sum(
        "vendorJobId" in job for job in world.jobs()
    )


def test_nobody_can_serve(world: World) -> None:
    for vendor in world.market.vendors:
        world.market.fault(vendor.vendor_id, "overpriced")
    run = world.finish(world.start())
    assert run.status is RunStatus.FAILED
    assert "gpu_vendor_1 asks 1400.00 USD" in run.reason
    world.assert_balanced(run, transfers=0)


def test_silent_vendors_are_waited_for_and_then_given_up(world: World) -> None:
    for vendor in world.market.vendors:
        world.market.fault(vendor.vendor_id, "down")
    run = world.tick(world.start())
    assert run.status is RunStatus.RUNNING
    assert run.wait_until > world.market.clock.now()
    for _ in range(4):
        world.market.pass_time(300)
        run = world.tick(run)
    assert run.status is RunStatus.FAILED
    assert "gave no quote" in run.reason
    world.assert_balanced(run, transfers=0)


def test_hostile_text_is_stored_inert(world: World) -> None:
    world.market.fault("gpu_vendor_1", "hostile_text")
    run = world.finish(world.start())
    for one in world.store.documents(run.run_id)["observations"]:
        assert one["content"].isprintable()
    world.assert_balanced(run, transfers=len(world.transfers()))
