"""Amounts at the edge: exact, strict, never a float."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.core.money import AMOUNT_MAX, parse_usd, show_usd, usd
from gpuagent.errors import BadInput


@given(st.integers(0, AMOUNT_MAX))
def test_an_amount_is_read_as_it_was_written(amount: int) -> None:
    assert parse_usd(usd(amount)) == amount
    assert parse_usd(format(usd(amount), "f")) == amount
    assert parse_usd(show_usd(amount).removesuffix(" USD")) == amount


@pytest.mark.parametrize(
    "value",
    ["", "-1", "+1", "1e3", "1_000", " 1", "1.", ".5", "٣", "NaN", "0x10", "1,4", "1.4000001", "1000000001", True],
)
def test_what_is_not_an_amount_is_refused(value: Any) -> None:
    with pytest.raises(BadInput):
        parse_usd(value)


@pytest.mark.parametrize(
    "value",
    [
        Decimal("NaN"),
        Decimal("Infinity"),
        Decimal("-1"),
        Decimal("1E+30"),
        Decimal("1E+999999999"),
        Decimal("1E-999999999"),
    ],
)
def test_odd_decimals_are_refused(value: Decimal) -> None:
    with pytest.raises(BadInput):
        parse_usd(value)


def test_people_see_cents_unless_more_is_needed() -> None:
    assert [show_usd(amount) for amount in (0, 5_000_000, 1_400_000, 1_400_001)] == [
        "0.00 USD",
        "5.00 USD",
        "1.40 USD",
        "1.400001 USD",
    ]
