"""The seller's side of x402 as the stubs use it: the one module here that says where those parts are."""

from mock_vendor.chain import Account, connect, rpc
from mock_vendor.clock import Clock
from mock_vendor.facilitator import ChainUnavailable, Till, Unknown
from mock_vendor.faults.odd import Cut, Cuttable
from mock_vendor.hosted import FacilitatorUnavailable
from mock_vendor.ledger import Dead, Ledger, Paid
from mock_vendor.market import Market
from mock_vendor.payment import MalformedPayment, Payment, read_payment

__all__ = [
    "Account",
    "ChainUnavailable",
    "Clock",
    "Cut",
    "Cuttable",
    "Dead",
    "FacilitatorUnavailable",
    "Ledger",
    "MalformedPayment",
    "Market",
    "Paid",
    "Payment",
    "Till",
    "Unknown",
    "connect",
    "read_payment",
    "rpc",
]
