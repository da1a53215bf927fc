"""A vendor's word on money: as much of it as can be true."""

import pytest

from gpuagent.core.credits import CreditClaim, CreditKind, bounded, outstanding
from tests.support.factories import PAYER, TOKEN

PAID = 1_400_000
OWED = CreditKind.OWED


@pytest.mark.parametrize(
    ("claim", "amount", "note"),
    [
        (CreditClaim(OWED, 500_000), 500_000, ""),
        (CreditClaim(OWED, PAID, PAYER.lower(), TOKEN.network), PAID, ""),
        (CreditClaim(OWED, PAID + 1), PAID, "more than the 1.40 USD"),
        (CreditClaim(OWED, 10**30), PAID, "more than the 1.40 USD"),
        (CreditClaim(OWED, 500_000, "0x" + "9" * 40), 0, "another wallet"),
        (CreditClaim(OWED, 500_000, network="eip155:1"), 0, "another network"),
        (CreditClaim(CreditKind.SENT, None, transaction="0x" + "1" * 64), 0, ""),
    ],
)
def test_no_more_than_was_paid_is_believed(claim: CreditClaim, amount: int, note: str) -> None:
    bound, text = bounded(claim, PAID, PAYER, TOKEN.network)
    assert bound == amount
    assert note in text
    assert bool(text) == bool(note)


def test_what_came_back_is_no_credit_any_more() -> None:
    assert [outstanding(500_000, back) for back in (0, 200_000, 500_000, 600_000)] == [500_000, 300_000, 0, 0]
