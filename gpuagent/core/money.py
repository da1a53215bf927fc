"""Amounts: int atomic units inside, Decimal USD at the edges. USDC has 6 decimals, and so has every asset here."""

import re
from decimal import Decimal
from typing import Protocol

from gpuagent.errors import BadInput

DECIMALS = 6
UNIT = 10**DECIMALS
AMOUNT_MAX = 10**9 * UNIT
"""A billion USD: above it an amount is a slip or an attack, and sums still fit Decimal128 and int64."""

NOISE_MAX = Decimal("1e-9")
"""USD: a thousandth of an atomic unit. What sums of floats are off by is less, and no price is meant by it."""

_PLAIN = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)


def parse_usd(value: str | int | Decimal) -> int:
    """Atomic units of a USD amount such as "5", 5 or Decimal("1.4"). Raises BadInput.

    Strict: no sign, exponent, blank or separator, nothing below one atomic unit.
    """
    # A short text such as 1e999999999 must not be written out.
    short = isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) <= 20
    text = format(value, "f") if short else str(value)
    if isinstance(value, bool) or not _PLAIN.fullmatch(text):
        raise BadInput(f"{text[:40]!r} is not an amount in USD: write it like 5 or 1.40")
    amount = Decimal(text) * UNIT
    if amount != int(amount):
        raise BadInput(f"{text[:40]} USD is finer than {DECIMALS} decimals")
    if amount > AMOUNT_MAX:
        raise BadInput(f"{text[:40]} USD is above the limit of {AMOUNT_MAX // UNIT} USD")
    return int(amount)


def nearest_usd(value: Decimal) -> Decimal:
    """The whole number of atomic units, in USD, that a binary fraction was meant for: 4.20 for 4.199999999999999.

    An amount that is off by more than such noise is returned as it is.
    """
    if not value.is_finite() or abs(value) > AMOUNT_MAX // UNIT:
        return value
    nearest = value.quantize(Decimal(1).scaleb(-DECIMALS))
    return nearest if abs(value - nearest) <= NOISE_MAX else value


class StoredDecimal(Protocol):
    """A decimal as a database driver returns it, such as bson.Decimal128."""

    def to_decimal(self) -> Decimal: ...


def amount(stored: StoredDecimal) -> int:
    """Atomic units of an amount that is stored in USD. Raises BadInput as parse_usd() does."""
    return parse_usd(stored.to_decimal())


def usd(amount: int) -> Decimal:
    """The amount in USD, exact."""
    return Decimal(amount).scaleb(-DECIMALS)


def show_usd(amount: int) -> str:
    """An amount for users: two decimals, more only where they are needed to be exact."""
    value = usd(amount)
    return f"{value:.2f} USD" if amount % 10_000 == 0 else f"{value.normalize():f} USD"
