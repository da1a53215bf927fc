"""What vendors' answers say of money that they give back. Read tolerantly; what is odd is no claim."""

import re
from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from gpuagent.core.credits import CreditClaim, CreditKind
from gpuagent.core.money import UNIT
from gpuagent.core.networks import is_address

_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,40}", re.ASCII)
UNREADABLE = "an address that cannot be read"
"""Instead of a text that is none, which may hold anything."""
LEFT_MAX = 10**9
"""Seconds, or USD an hour: beyond it a number is no remaining time, and no price."""


def read_refund(answer: Mapping[str, Any]) -> CreditClaim | None:
    """The claim in `refund`, a transaction or an object that names it, or in `refund_owed` {to, amount, network}."""
    refund = answer.get("refund")
    fields = refund if isinstance(refund, Mapping) else {"transaction": refund}
    transaction = next((name for key in ("transaction", "tx", "hash") if (name := _hash(fields.get(key)))), "")
    if transaction:
        return _claim(CreditKind.SENT, fields, transaction)
    owed = answer.get("refund_owed")
    fields = owed if isinstance(owed, Mapping) else fields
    claim = _claim(CreditKind.OWED, fields)
    return claim if claim.amount else None


def read_unused(price_per_hour: object, seconds_left: object) -> CreditClaim | None:
    """The claim of a vendor that keeps what is left of a job's time on a balance: price by time, rounded down."""
    price, seconds = _number(price_per_hour), _number(seconds_left)
    amount = int((price * seconds * UNIT / 3600).to_integral_value(ROUND_FLOOR))
    return CreditClaim(CreditKind.BALANCE, amount) if amount else None


def _claim(kind: CreditKind, fields: Mapping[str, Any], transaction: str = "") -> CreditClaim:
    to, network = fields.get("to"), fields.get("network")
    return CreditClaim(
        kind=kind,
        amount=_amount(fields.get("amount")),
        to="" if to is None else to.lower() if isinstance(to, str) and is_address(to) else UNREADABLE,
        network="" if network is None else network if isinstance(network, str) else UNREADABLE,
        transaction=transaction,
    )


def _hash(value: object) -> str:
    return value.lower() if isinstance(value, str) and _HASH.fullmatch(value) else ""


def _amount(value: object) -> int | None:
    """Atomic units, as a whole number or its digits; None for anything else, such as a fraction of a dollar."""
    text = str(value) if type(value) is int and 0 <= value < 10**40 else value
    return int(text) if isinstance(text, str) and _DIGITS.fullmatch(text) else None


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return Decimal(0)
    number = Decimal(value)
    return number if number.is_finite() and 0 < number <= LEFT_MAX else Decimal(0)
