"""Which transfer is a refund of which job: by its vendor's answer, beyond doubt, or of none."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuagent.core.credits import Credit, CreditKind
from gpuagent.core.records import Incoming, Payment, PaymentStatus
from gpuagent.core.refunds import matches, objection, refund_of
from tests.conftest import SafetyNote
from tests.support.factories import PAYEE, PAYER, TOKEN, authorization

STRANGER, DECLARED = "0x" + "9" * 40, "0x" + "8" * 40
TX, OTHER_TX = "0x" + "1" * 64, "0x" + "2" * 64
PAYMENT = Payment("run", "job-1", "v1", PaymentStatus.COMPLETED, authorization(), True, "0x" + "d" * 64, 7)
SECOND = replace(PAYMENT, job_id="job-2", transaction="0x" + "e" * 64)
ELSEWHERE = replace(PAYMENT, job_id="job-3", vendor_id="v2", authorization=authorization(payee=STRANGER))
BACK = Incoming(TX, 3, 9, PAYEE.lower(), PAYER.lower(), 500_000)


def claim(payment: Payment, amount: int = 0, transaction: str = "") -> tuple[Credit, Payment]:
    kind = CreditKind.SENT if transaction else CreditKind.OWED
    names = (payment.vendor_id, payment.run_id, payment.job_id, payment.authorization.payer)
    return Credit(*names, kind, amount, str(amount), transaction), payment


def job_of(transfer: Incoming, *claims: tuple[Credit, Payment], others: tuple[Incoming, ...] = ()) -> str:
    """The job that the transfer is matched to, "" for none."""
    matched = matches((transfer, *others), claims, {"v1": DECLARED})
    return matched[transfer].job_id if transfer in matched else ""


def test_it_is_the_job_s_whose_vendor_names_the_transaction_or_the_amount() -> None:
    assert job_of(BACK, claim(PAYMENT, transaction=TX)) == "job-1"
    assert job_of(BACK, claim(PAYMENT, 500_000)) == "job-1"
    assert job_of(replace(BACK, sender=DECLARED), claim(PAYMENT, 500_000)) == "job-1"
    assert job_of(BACK) == ""
    assert job_of(BACK, claim(PAYMENT, 400_000)) == ""
    # The one that is named is not the other's, whose amount is the same.
    other = replace(BACK, transaction=OTHER_TX)
    both = claim(PAYMENT, transaction=TX), claim(SECOND, 500_000)
    assert (job_of(BACK, *both, others=(other,)), job_of(other, *both, others=(BACK,))) == ("job-1", "job-2")


CASES = {
    "a stranger's dust": (replace(BACK, sender=STRANGER, amount=1), [claim(PAYMENT, 1)]),
    "one transaction named for two jobs": (BACK, [claim(PAYMENT, 0, TX), claim(SECOND, 0, TX)]),
    "one amount owed for two jobs": (BACK, [claim(PAYMENT, 500_000), claim(SECOND, 500_000)]),
    "a transaction of another vendor's refund": (BACK, [claim(ELSEWHERE, 0, TX)]),
    "a transaction that is not there": (BACK, [claim(PAYMENT, 0, OTHER_TX)]),
    "more than was paid": (replace(BACK, amount=1_400_001), [claim(PAYMENT, 0, TX)]),
    "more than is left": (BACK, [claim(replace(PAYMENT, refunded=900_001), 0, TX)]),
    "a job that was never paid": (BACK, [claim(replace(PAYMENT, status=PaymentStatus.FAILED), 0, TX)]),
    "in the payment's own transaction": (BACK, [claim(replace(PAYMENT, transaction=TX), 0, TX)]),
    "before the payment": (replace(BACK, block_number=6), [claim(PAYMENT, 0, TX)]),
    "into another wallet": (replace(BACK, wallet=STRANGER), [claim(PAYMENT, 0, TX)]),
    "of nothing": (replace(BACK, amount=0), [claim(PAYMENT, 0, TX)]),
}


@pytest.mark.safety("a transfer into the wallet that is no job's refund beyond doubt")
@pytest.mark.parametrize("name", CASES)
def test_no_job_s(name: str, safety_note: SafetyNote) -> None:
    transfer, claims = CASES[name]
    assert job_of(transfer, *claims) == ""
    safety_note(f"{name}: booked for no job, and no difference")


def test_two_equal_transfers_for_one_claim_are_told_apart_by_nobody() -> None:
    twin = replace(BACK, transaction=OTHER_TX)
    assert job_of(BACK, claim(PAYMENT, 500_000), others=(twin,)) == ""
    twice = replace(BACK, log_index=4)
    assert job_of(BACK, claim(PAYMENT, transaction=TX), others=(twice,)) == ""


def test_a_word_that_has_come_true_brings_nothing_more() -> None:
    """Of two transfers in one transaction one was assigned by hand; of an amount that is owed, it came."""
    first = replace(BACK, log_index=4)
    came = replace(PAYMENT, refunded=500_000)
    refund = refund_of(first, PAYMENT, TOKEN, "Ada", "she said so")
    assert matches((BACK,), [claim(came, 0, TX)], {}, [refund]) == {}
    assert job_of(BACK, claim(came, 500_000)) == ""
    assert job_of(BACK, claim(came, 1_000_000)) == "job-1"


def test_a_thief_s_claim_to_another_s_refund_does_not_hinder_it() -> None:
    assert job_of(BACK, claim(ELSEWHERE, 0, TX), claim(PAYMENT, 0, TX)) == "job-1"


TRANSFERS = st.builds(
    Incoming,
    st.sampled_from((TX, OTHER_TX)),
    st.integers(0, 2),
    st.integers(5, 9),
    st.sampled_from((PAYEE.lower(), STRANGER, DECLARED)),
    st.just(PAYER.lower()),
    st.sampled_from((0, 1, 500_000, 1_400_001)),
)
CLAIMS = st.builds(
    claim, st.sampled_from((PAYMENT, SECOND, ELSEWHERE)), st.sampled_from((0, 1, 500_000)), st.sampled_from(("", TX))
)


@given(st.lists(TRANSFERS, unique_by=lambda transfer: transfer.key), st.lists(CLAIMS))
def test_each_transfer_and_each_job_once_whatever_is_claimed(
    transfers: list[Incoming], claims: list[tuple[Credit, Payment]]
) -> None:
    matched = matches(transfers, claims, {"v1": DECLARED})
    assert len({payment.job_id for payment in matched.values()}) == len(matched)
    for transfer, payment in matched.items():
        assert objection(transfer, payment) == ""
        assert any(
            told == payment and (credit.transaction == transfer.transaction or credit.amount == transfer.amount)
            for credit, told in claims
        )
