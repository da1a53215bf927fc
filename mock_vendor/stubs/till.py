"""The seller's side of x402 as the stubs use it: the one module here that says where those parts are."""

from collections.abc import Mapping

from mock_vendor.chain import rpc
from mock_vendor.clock import Clock
from mock_vendor.faults.odd import Cut, Cuttable
from seller.payments.hosted import FacilitatorUnavailable
from seller.payments.market import Account, Market
from seller.payments.payment import MalformedPayment, Payment, read_payment
from seller.payments.settlement import Dead, Paid
from seller.payments.till import ChainUnavailable, Till, Unknown

__all__ = [
    "Account",
    "ChainUnavailable",
    "Clock",
    "Cut",
    "Cuttable",
    "Dead",
    "FacilitatorUnavailable",
    "MalformedPayment",
    "Market",
    "Paid",
    "Payment",
    "Till",
    "Unknown",
    "market_on",
    "read_payment",
    "rpc",
]


def market_on(environment: Mapping[str, str], facilitator: Account) -> Market:
    """The market on a chain that variables name as for an agent. Raises KeyError for one that is missing."""
    return Market(
        rpc_url=environment["CHAIN_RPC_URL"],
        network=environment["X402_NETWORK"],
        asset=environment["X402_ASSET"],
        asset_name=environment["X402_ASSET_NAME"],
        asset_version=environment["X402_ASSET_VERSION"],
        facilitator=facilitator,
    )
