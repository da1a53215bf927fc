"""How long an authorization may live: by the vendor's record and the policy, and by nothing that the vendor sends."""

from dataclasses import replace

import pytest

from gpuagent.core.model import TIMEOUT_MAX_S, Challenge, Settles
from gpuagent.core.terms import SENDING_S, agreed, life_s, timeout_max_s
from gpuagent.errors import OfferInvalid
from tests.support.factories import TERMS, TOKEN, VENDOR, quote

USUAL_S = 120


@pytest.mark.safety("a vendor that wants its authorization to live longer than its record and the policy say")
@pytest.mark.parametrize(
    ("recorded_s", "policy_s", "asked_s", "signed_s"),
    [
        (0, 3600, 300, USUAL_S),
        (0, 3600, 60, 60),
        (0, 3600, TIMEOUT_MAX_S, USUAL_S),
        (0, 3600, TIMEOUT_MAX_S + 1, None),
        (0, 60, 300, 60),
        (1800, 3600, 1800, 1800),
        (1800, 3600, 30, 30),
        (1800, 3600, 1801, None),
        (7200, 3600, 3600, 3600),
        (7200, 3600, 3601, None),
        (300, 3600, 600, None),
        (1800, 3600, 0, None),
        (1800, 3600, -1, None),
    ],
)
def test_a_long_life_is_a_matter_of_record_and_policy(
    recorded_s: int, policy_s: int, asked_s: int, signed_s: int | None
) -> None:
    vendor, terms = replace(VENDOR, max_authorization_s=recorded_s), replace(TERMS, max_timeout_s=asked_s)
    challenge, longest = Challenge((terms,)), timeout_max_s(vendor, policy_s)
    if signed_s is None:
        with pytest.raises(OfferInvalid, match=f"a timeout outside 1 to {longest} s"):
            agreed(challenge, quote(), vendor, TOKEN, longest)
    else:
        assert agreed(challenge, quote(), vendor, TOKEN, longest) == terms
        assert life_s(vendor, terms, policy_s, USUAL_S) == signed_s


@pytest.mark.parametrize(
    ("recorded_s", "policy_s", "signed_s"),
    [(1800, 3600, 1020 + SENDING_S), (1100, 3600, 1100), (1020, 3600, 1020), (1800, 1060, 1060)],
)
def test_a_payment_after_the_work_outlives_what_is_asked_by_its_way(
    recorded_s: int, policy_s: int, signed_s: int
) -> None:
    """Prism holds validBefore against its own time when the order comes, later than the block that it is dated by."""
    vendor = replace(VENDOR, max_authorization_s=recorded_s, settles=Settles.AFTER)
    assert life_s(vendor, replace(TERMS, max_timeout_s=1020), policy_s, USUAL_S) == signed_s
