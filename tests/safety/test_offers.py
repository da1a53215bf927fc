"""Rows of the quote and the 402: what a vendor asks for is not what was agreed, or not in a form to be read."""

import json
from base64 import b64decode
from dataclasses import replace

import pytest

from gpuagent.errors import DecisionRefused
from gpuagent.tick import step
from tests.support.attacks import (
    FIRST,
    SECOND,
    Observed,
    assert_unpaid,
    buys_elsewhere,
    finishes,
    refuses_offer,
    refuses_quote,
)
from tests.support.evidence import stored_headers
from tests.support.scripted_planner import ScriptedPlanner, start
from tests.support.world import World

MALFORMED_QUOTES = ("garbage", "deep", "bad_quote")
MALFORMED_OFFERS = ("bad_base64", "broken_offer", "list_offer", "deep_offer")


def test_01_price_raised_between_quote_and_402(world: World, observed: Observed) -> None:
    """The quote is fair; the 402 then asks for twice as much.

    Signs nothing, since the amount is not the quoted one to the unit; releases the hold and buys elsewhere.
    """
    buys_elsewhere(world, refuses_offer(world, "raise_price"), observed)


def test_02_quote_over_budget(world: World, observed: Observed) -> None:
    """The quote itself is a thousand times the price, and more than the run may spend.

    Does not reserve it, whatever the planner says, so no 402 is ever asked for; buys elsewhere.
    """
    world.market.fault(FIRST, "overpriced")
    run = world.start()
    with pytest.raises(DecisionRefused, match=r"asks 1400\.00 USD"):
        step(run.run_id, replace(world.ports, planners={"stub": ScriptedPlanner([start(FIRST)])}))
    assert_unpaid(world, run, amount_held=0)
    buys_elsewhere(world, refuses_quote(world, "overpriced"), observed)


@pytest.mark.parametrize(
    ("refuses", "fault"), [(refuses_offer, "swap_payee"), (refuses_quote, "wrong_payee_in_quote")], ids=["402", "quote"]
)
def test_03_payee_swapped(world: World, observed: Observed, refuses: object, fault: str) -> None:
    """Another payee is to be paid: in the 402 only, or in quote and 402 alike.

    Holds both against the address that the operator recorded, and buys elsewhere.
    """
    assert callable(refuses)
    buys_elsewhere(world, refuses(world, fault), observed)


@pytest.mark.parametrize("fault", ["swap_asset", "eighteen_decimals", "dollar_amount"])
def test_04_another_asset_or_unit(world: World, observed: Observed, fault: str) -> None:
    """The 402 wants another token, or writes the price in units of 18 decimals or as text with a dollar sign.

    Takes the recorded asset and the exact integer only; buys elsewhere.
    """
    buys_elsewhere(world, refuses_offer(world, fault), observed)


@pytest.mark.parametrize("fault", ["swap_network", "near_network"])
def test_05_another_network(world: World, observed: Observed, fault: str) -> None:
    """The 402 wants real money on another chain, or names chains that differ by a character.

    Compares the network as a whole text with the recorded one; buys elsewhere.
    """
    buys_elsewhere(world, refuses_offer(world, fault), observed)


@pytest.mark.parametrize("fault", ["v1_offer", "v1_body", "old_version"])
def test_06_version_1_downgrade(world: World, observed: Observed, fault: str) -> None:
    """The 402 speaks version 1 of x402, which is paid on mainnet: in header and body, in the body alone, or in name.

    Reads version 2 only, from the header only; buys elsewhere.
    """
    buys_elsewhere(world, refuses_offer(world, fault), observed)


@pytest.mark.parametrize("fault", ["long_timeout", "zero_timeout", "negative_timeout"])
def test_07_timeout_out_of_bounds(world: World, observed: Observed, fault: str) -> None:
    """The authorization is to live for ten years, for no time, or to have ended before it began.

    Accepts 1 to 600 seconds, and takes the end of life from its own terms; buys elsewhere.
    """
    buys_elsewhere(world, refuses_offer(world, fault), observed)


@pytest.mark.parametrize("fault", ["evil_first", "malformed_first"])
def test_08_many_accepts_with_an_evil_one_first(world: World, observed: Observed, fault: str) -> None:
    """The right offer comes second, after one that pays a thief or one that cannot be read.

    Pays the one offer that is exactly the agreed purchase, and no other.
    """
    world.market.fault(FIRST, fault)
    finishes(world, world.start(), observed, [FIRST])


def test_09_scheme_upto(world: World, observed: Observed) -> None:
    """The 402 wants a signature for any amount up to the price.

    Signs the scheme `exact` only; buys elsewhere.
    """
    buys_elsewhere(world, refuses_offer(world, "upto_scheme"), observed)


def test_10_permit2(world: World, observed: Observed) -> None:
    """The 402 switches the transfer to Permit2.

    Accepts in `extra` only what repeats facts of the token and of EIP-3009, and has no code that signs Permit2; buys
    elsewhere.
    """
    buys_elsewhere(world, refuses_offer(world, "permit2"), observed)


def test_11_gas_sponsoring_extension(world: World, observed: Observed) -> None:
    """The 402 is right, and offers to sponsor the gas of an unlimited approval.

    Pays as agreed, and neither signs nor echoes the extension.
    """
    world.market.fault(FIRST, "gas_extension")
    run = world.tick(world.start())
    (header,) = stored_headers(world, run)
    assert set(json.loads(b64decode(header))["extensions"]) == {"payment-identifier"}
    assert "approv" not in b64decode(header).decode().lower()
    finishes(world, run, observed, [FIRST])


@pytest.mark.parametrize("fault", ["upfront", "escrow"])
def test_12_payment_flow_upfront_or_escrow(world: World, observed: Observed, fault: str) -> None:
    """The 402 wants the money to move before the work is accepted, or to lie with a third party.

    Agreed to neither, so it signs nothing; buys elsewhere.
    """
    buys_elsewhere(world, refuses_offer(world, fault), observed)


def test_13_token_domain_spoofed(world: World, observed: Observed) -> None:
    """The 402 names another token's EIP-712 name and version to sign in.

    Signs in the configured domain only; buys elsewhere.
    """
    buys_elsewhere(world, refuses_offer(world, "spoof_domain"), observed)


@pytest.mark.parametrize("fault", [*MALFORMED_QUOTES, *MALFORMED_OFFERS])
def test_14_malformed_offer(world: World, observed: Observed, fault: str) -> None:
    """The 402 is not base64, is cut off, is a list, or is nested 5,000 deep; quotes come as malformed.

    Reads both strictly, as one kind of error; no payment begins, and it buys elsewhere.
    """
    refuses = refuses_quote if fault in MALFORMED_QUOTES else refuses_offer
    buys_elsewhere(world, refuses(world, fault), observed)


def test_31_payment_identifier_filled_in_by_the_vendor(world: World, observed: Observed) -> None:
    """The 402 declares a payment identifier with an id already in it, which is not ours.

    Refuses: the id is the payer's to choose. Where the vendor leaves it open, the agent's own job id is sent.
    """
    run = refuses_offer(world, "prefilled_identifier")
    buys_elsewhere(world, run, observed)
    (header,) = stored_headers(world, run)
    (job,) = [job for job in world.store.load(run.run_id).jobs if job.quote.vendor_id == SECOND]
    assert json.loads(b64decode(header))["extensions"]["payment-identifier"]["info"]["id"] == job.job_id
