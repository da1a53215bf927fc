"""What vendors' answers say of money that they give back."""

from decimal import Decimal
from typing import Any

import pytest

from gpuagent.adapters.vendors.claims import UNREADABLE, read_refund, read_unused
from gpuagent.core.credits import CreditClaim, CreditKind

TX, WALLET = "0x" + "aB" * 32, "0x" + "7" * 40
SENT, OWED, BALANCE = CreditKind.SENT, CreditKind.OWED, CreditKind.BALANCE


@pytest.mark.parametrize(
    ("answer", "claim"),
    [
        ({"refund": TX}, CreditClaim(SENT, transaction=TX.lower())),
        ({"refund": {"transaction": TX, "amount": "5"}}, CreditClaim(SENT, 5, transaction=TX.lower())),
        (
            {"refund_owed": {"to": WALLET, "amount": "300000", "network": "eip155:8453"}},
            CreditClaim(OWED, 300_000, WALLET, "eip155:8453"),
        ),
        ({"refund_owed": {"amount": 300_000}}, CreditClaim(OWED, 300_000)),
        ({"refund": {"amount": "7", "to": WALLET}}, CreditClaim(OWED, 7, WALLET)),
        ({"refund_owed": {"amount": str(10**30)}}, CreditClaim(OWED, 10**30)),
        ({"refund_owed": {"amount": "5", "to": "me\n", "network": 1}}, CreditClaim(OWED, 5, UNREADABLE, UNREADABLE)),
    ],
)
def test_what_is_a_claim(answer: dict[str, Any], claim: CreditClaim) -> None:
    assert read_refund(answer) == claim


@pytest.mark.parametrize("amount", ["0.3", "-1", -1, True, Decimal("0.3"), "", "1" * 41, 10**40, "٣", None, [5], "1e9"])
def test_an_amount_that_is_no_whole_number_is_none(amount: object) -> None:
    assert read_refund({"refund_owed": {"amount": amount}}) is None


@pytest.mark.parametrize("answer", [{}, {"refund": None}, {"refund": "0x12"}, {"refund": True}, {"refund_owed": []}])
def test_what_is_no_claim(answer: dict[str, Any]) -> None:
    assert read_refund(answer) is None


def test_the_rest_of_a_job_s_time_is_worth_its_price_rounded_down() -> None:
    assert read_unused(Decimal("1.4"), 1_800) == CreditClaim(BALANCE, 700_000)
    assert read_unused(1, 1) == CreditClaim(BALANCE, 277)
    for price, left in ((0, 5), (1, 0), (-1, 5), (True, 5), ("1", 5), (1, None), (1, Decimal("1e999999"))):
        assert read_unused(price, left) is None
    assert read_unused(Decimal("NaN"), 5) is None
