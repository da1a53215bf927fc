"""How values are written for people: USD with two decimals, and beside it a second currency at a given rate."""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pandas as pd

from gpuagent.core.money import usd
from gpuagent.errors import BadInput

CENT = Decimal("0.01")
_CODE = re.compile(r"[A-Z]{3}", re.ASCII)
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Display:
    """currency: an ISO 4217 code, or "" for USD alone. rate: what 1 USD is in it, as somebody said."""

    currency: str = ""
    rate: Decimal = Decimal(1)

    def amount(self, atomic: int) -> str:
        """Such as 1.40 USD, or 1.40 USD (1.29 EUR)."""
        return self.decimal(usd(int(atomic)))

    def decimal(self, value: Decimal, per: str = "") -> str:
        """value: USD, or USD per something, such as "/h"."""
        second = self.second(value, per)
        return f"{cents(value)} USD{per}" + (f" ({second})" if second else "")

    def second(self, value: Decimal, per: str = "") -> str:
        """The same in the second currency, if there is one."""
        return f"{cents(value * self.rate)} {self.currency}{per}" if self.currency else ""

    @property
    def words(self) -> str:
        return f"1 USD = {self.rate:f} {self.currency}, as given" if self.currency else ""


def display(currency: str, rate: str) -> Display:
    """Of what a person wrote: a code such as EUR and a rate such as 0.92, or neither. Raises BadInput."""
    code, number = currency.strip().upper(), str(rate).strip()
    if not code and not number:
        return Display()
    if not code or not number:
        raise BadInput("a second currency needs both its code and its rate, such as EUR and 0.92 for 1 USD")
    if not _CODE.fullmatch(code):
        raise BadInput(f"currency {currency[:20]!r} is no ISO 4217 code: write three letters, such as EUR")
    if not _RATE.fullmatch(number) or not Decimal(number):
        raise BadInput(f"rate {number[:30]!r} cannot be: write what 1 USD is in {code}, such as 0.92")
    return Display(code, Decimal(number))


def cents(value: Decimal) -> str:
    """Two decimals, with separators; what is above 0 and would round to it says so."""
    rounded = value.quantize(CENT, ROUND_HALF_EVEN)
    if not rounded and value:
        return "<0.01" if value > 0 else ">-0.01"
    return f"{rounded:,.2f}"


def share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def moment(value: Any) -> str:
    return "" if value is None or pd.isna(value) else f"{value:%Y-%m-%d %H:%M}"


def duration(seconds: float | None) -> str:
    """Such as 45 s, 12 min, 3 h 05 min, 2 d 4 h."""
    if seconds is None or seconds != seconds:
        return "–"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"
