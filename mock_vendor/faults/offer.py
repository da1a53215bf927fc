"""Faults of the 402. A payment of the bent terms is taken where the chain can: a robbed buyer should see it."""

from collections.abc import Callable
from typing import Any

from x402.schemas import PaymentRequired, PaymentRequirements

from mock_vendor.faults.scene import ATTACKER, Scene
from mock_vendor.faults.table import Hook, fault
from seller.payments.payment import PAYMENT_IDENTIFIER

MAINNET = "eip155:8453"
MAINNET_USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
TEN_YEARS_S = 315_360_000


@fault("offer", Hook.CHALLENGE)
def raise_price(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 asks for twice the quoted price."""
    return _change(challenge, lambda offer: {"amount": str(int(offer.amount) * 2)})


@fault("offer", Hook.CHALLENGE)
def swap_payee(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 asks to pay another payee."""
    return _change(challenge, lambda _: {"pay_to": ATTACKER})


@fault("offer", Hook.CHALLENGE)
def swap_asset(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 asks for another token."""
    return _change(challenge, lambda _: {"asset": MAINNET_USDC})


@fault("offer", Hook.CHALLENGE)
def swap_network(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 asks for real money on Base mainnet."""
    return _change(challenge, lambda _: {"network": MAINNET, "asset": MAINNET_USDC})


@fault("offer", Hook.CHALLENGE)
def long_timeout(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 wants an authorization that stays valid for ten years."""
    return _change(challenge, lambda _: {"max_timeout_seconds": TEN_YEARS_S})


@fault("offer", Hook.CHALLENGE)
def zero_timeout(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 leaves no time at all to pay."""
    return _change(challenge, lambda _: {"max_timeout_seconds": 0})


@fault("offer", Hook.CHALLENGE)
def permit2(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 wants a Permit2 signature instead of EIP-3009."""
    return _change(challenge, lambda offer: {"extra": offer.extra | {"assetTransferMethod": "permit2"}})


@fault("offer", Hook.CHALLENGE)
def upfront(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 wants the flow in which the money moves before anything is checked."""
    return _change(challenge, lambda offer: {"extra": offer.extra | {"paymentFlow": "upfront"}})


@fault("offer", Hook.CHALLENGE)
def spoof_domain(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 names another EIP-712 domain to sign in."""
    return _change(challenge, lambda _: {"extra": {"name": "Wrapped Ether", "version": "1"}})


@fault("offer", Hook.CHALLENGE)
def evil_first(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The right offer comes second, after one that pays another payee."""
    evil = challenge.accepts[0].model_copy(update={"pay_to": ATTACKER})
    return challenge.model_copy(update={"accepts": [evil, *challenge.accepts]})


@fault("offer", Hook.CHALLENGE)
def gas_extension(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 offers to pay the gas of an unlimited approval, if only it is signed."""
    sponsoring = {"info": {"description": "sign approve(Permit2, 2^256-1)", "version": "1"}, "schema": {}}
    extensions = (challenge.extensions or {}) | {"erc20ApprovalGasSponsoring": sponsoring}
    return challenge.model_copy(update={"extensions": extensions})


@fault("offer", Hook.CHALLENGE)
def prefilled_identifier(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 declares payment-identifier with an id already filled in, which is not the buyer's."""
    declared = (challenge.extensions or {})[PAYMENT_IDENTIFIER]
    filled = declared | {"info": declared["info"] | {"id": "vendor-chosen-id-0000"}}
    extensions = (challenge.extensions or {}) | {PAYMENT_IDENTIFIER: filled}
    return challenge.model_copy(update={"extensions": extensions})


@fault("offer", Hook.CHALLENGE)
def eighteen_decimals(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 counts the price in units of a token of 18 decimals."""
    return _change(challenge, lambda offer: {"amount": offer.amount + "0" * 12})


@fault("offer", Hook.CHALLENGE)
def dollar_amount(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 writes its price as dollars, which each reader turns into units of its own choosing."""
    return _change(challenge, lambda offer: {"amount": f"${int(offer.amount) / 10**6:.2f}"})


@fault("offer", Hook.CHALLENGE)
def near_network(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 has one offer each for networks that look almost like the right one."""
    near = ("{0}:zzz", "{0}0", " {0}", "{0}/", "EIP155:31337", "eip155:031337", "eip155:*", "31337")
    offers = [
        offer.model_copy(update={"network": form.format(offer.network)}) for offer in challenge.accepts for form in near
    ]
    return challenge.model_copy(update={"accepts": offers})


@fault("offer", Hook.CHALLENGE)
def negative_timeout(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 wants an authorization that was over before it began."""
    return _change(challenge, lambda _: {"max_timeout_seconds": -300})


@fault("offer", Hook.CHALLENGE)
def upto_scheme(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 wants a signature for any amount up to the price, by the scheme upto."""
    return _change(challenge, lambda _: {"scheme": "upto"})


@fault("offer", Hook.CHALLENGE)
def escrow(challenge: PaymentRequired, _: Scene) -> PaymentRequired:
    """The 402 wants the flow in which a third party holds the money meanwhile."""
    return _change(challenge, lambda offer: {"extra": offer.extra | {"paymentFlow": "escrow"}})


def _change(challenge: PaymentRequired, changes: Callable[[PaymentRequirements], dict[str, Any]]) -> PaymentRequired:
    accepts = [offer.model_copy(update=changes(offer)) for offer in challenge.accepts]
    return challenge.model_copy(update={"accepts": accepts})
