"""Amounts, shares, times and durations as text: USD with two decimals, and a second currency at a given rate."""

import math
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pandas as pd

from gpuagent.core.money import usd
from gpuagent.core.units import show_duration
from gpuagent.errors import BadInput

CENT = Decimal("0.01")
_CODE = re.compile(r"[A-Z]{3}", re.ASCII)
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Display:
    """The currencies of a report. currency: an ISO 4217 code, or "" for USD alone. rate: its units for 1 USD."""

    currency: str = ""
    rate: Decimal = Decimal(1)

    def amount(self, atomic: int) -> str:
        """An amount, such as 1.40 USD, or 1.40 USD (1.29 EUR)."""
        return self.decimal(usd(int(atomic)))

    def decimal(self, value: Decimal, per: str = "") -> str:
        """The same of a value in USD, or in USD per unit, such as "/h"."""
        second = self.second(value, per)
        return f"{cents(value)} USD{per}" + (f" ({second})" if second else "")

    def second(self, value: Decimal, per: str = "") -> str:
        """A value in USD in the second currency, or "" where there is none."""
        return f"{cents(value * self.rate)} {self.currency}{per}" if self.currency else ""

    @property
    def rate_note(self) -> str:
        return f"1 USD = {self.rate:f} {self.currency}, as given" if self.currency else ""


USD_ALONE = Display()


def parse_display(currency: str, rate: str) -> Display:
    """The display of a code such as EUR and a rate such as 0.92, or of neither. Raises BadInput."""
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
    """A value with two decimals and separators; "<0.01" where it would round to 0."""
    rounded = value.quantize(CENT, ROUND_HALF_EVEN)
    if not rounded and value:
        return "<0.01" if value > 0 else ">-0.01"
    return f"{rounded:,.2f}"


def share(value: float | None) -> str:
    """A share in percent, or a dash."""
    return "–" if value is None else f"{value:.1%}"


def moment(value: Any) -> str:
    """A time to the minute, or nothing."""
    return "" if value is None or pd.isna(value) else f"{value:%Y-%m-%d %H:%M}"


def duration(seconds: float | None) -> str:
    """A duration, such as 3 h 05 min, or a dash."""
    return "–" if seconds is None or math.isnan(seconds) else show_duration(seconds)
