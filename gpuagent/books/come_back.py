"""Booked refunds and credits, compared with the sums that their payments record."""

from collections.abc import Iterator, Sequence
from itertools import chain

from gpuagent.books.findings import Finding, Kind, finding_for
from gpuagent.core.model import Token
from gpuagent.core.money import show_usd
from gpuagent.core.records import Ledgers, Payment, Refund


class ComeBack:
    """The refunds and credits that are booked of one wallet's payments. Each claims its own.

    Read before the payments: whatever is booked is of a payment that was there by then.
    """

    def __init__(self, payer: str, token: Token, ledgers: Ledgers) -> None:
        self._refunds: dict[str, list[Refund]] = {}
        for refund in ledgers.refunds(payer, token):
            self._refunds.setdefault(refund.job_id, []).append(refund)
        self._credits: dict[str, int] = {}
        for credit, payment in ledgers.claims(payer, token):
            self._credits[payment.job_id] = max(self._credits.get(payment.job_id, 0), credit.counted)

    def claim(self, payment: Payment) -> str:
        """What the payment says otherwise than what is booked of it, in words, "" for nothing."""
        refunds, credit = self._refunds.pop(payment.job_id, ()), self._credits.get(payment.job_id, 0)
        booked = sum(refund.transfer.amount for refund in refunds)
        if payment.refunded != booked:
            return f"it says that {show_usd(payment.refunded)} came back, and {show_usd(booked)} is booked"
        if payment.credit != credit:
            return f"it says that {show_usd(payment.credit)} is a credit, and {show_usd(credit)} is booked"
        if any((refund.vendor_id, refund.run_id) != (payment.vendor_id, payment.run_id) for refund in refunds):
            return "what came back of it is booked for another vendor or run"
        return ""

    def unclaimed(self) -> Iterator[Finding]:
        """The refunds that no payment claimed."""
        for refund in chain.from_iterable(self._refunds.values()):
            text = f"{refund.transfer}, booked for a job that the wallet has not paid for"
            yield Finding(Kind.CONTRADICTION, text, refund.run_id, refund.job_id)


def contradictions(suspects: Sequence[Payment], payer: str, token: Token, ledgers: Ledgers) -> Iterator[Finding]:
    """Those of the payments that contradict what is booked even when both are read anew."""
    if not suspects:
        return
    payments = [ledgers.again(payment) for payment in suspects]
    booked = ComeBack(payer, token, ledgers)
    for payment in payments:
        # A refund that was booked between the reads has changed the payment with it.
        if (text := booked.claim(payment)) and ledgers.again(payment) == payment:
            yield finding_for(Kind.CONTRADICTION, payment, text)
