"""Refunds: plain transfers into a wallet, and the jobs that they belong to. Pure.

The chain alone says what came in; a vendor's word (credits.py) says at most for which job. A refund lowers what a job
has cost, and never raises what may be spent.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

from gpuagent.core.credits import Credit, CreditKind, outstanding
from gpuagent.core.model import Observation, ObservationType, Token
from gpuagent.core.money import show_usd
from gpuagent.core.records import Incoming, Payment, PaymentStatus, Refund


def objection(transfer: Incoming, payment: Payment) -> str:
    """Why the transfer cannot be a refund of the payment, "" where it can."""
    if payment.status is not PaymentStatus.COMPLETED:
        return f"job {payment.job_id} was not paid"
    if transfer.wallet != payment.authorization.payer.lower():
        return f"it went to {transfer.wallet}, and job {payment.job_id} was paid by {payment.authorization.payer}"
    if transfer.block_number < payment.block_number:
        return f"it is older than the payment of job {payment.job_id}"
    rest = payment.authorization.amount - payment.refunded
    if not 0 < transfer.amount <= rest:
        return f"it is {show_usd(transfer.amount)}, and of job {payment.job_id} {show_usd(rest)} can still come back"
    return ""


def refund_of(transfer: Incoming, payment: Payment, token: Token, by: str = "", why: str = "") -> Refund:
    """The record of a transfer that is a refund of the payment. by: who says so, "" where its vendor's answer does."""
    return Refund(
        transfer=transfer,
        network=token.network,
        asset=token.address.lower(),
        vendor_id=payment.vendor_id,
        run_id=payment.run_id,
        job_id=payment.job_id,
        by=by,
        why=why,
    )


def matches(
    transfers: Iterable[Incoming],
    claims: Iterable[tuple[Credit, Payment]],
    addresses: Mapping[str, str],
    booked: Iterable[Refund] = (),
) -> dict[Incoming, Payment]:
    """The transfers that belong to one job beyond doubt, by its vendor's answer: its transaction, else its amount.

    transfers: those that are booked for no job. claims: what vendors said, with the job's payment. addresses: by vendor
    the one that it declared for refunds, in lower case. Where two jobs, or two transfers, are meant, none is; nor is
    one by a word that the booked refunds have made true already.
    """
    kept_words = {(refund.job_id, refund.transfer.transaction) for refund in booked}
    claims = [pair for pair in claims if (pair[1].job_id, pair[0].transaction) not in kept_words]
    by_name: defaultdict[str, list[Incoming]] = defaultdict(list)
    by_amount: defaultdict[int, list[Incoming]] = defaultdict(list)
    for transfer in transfers:
        by_name[transfer.transaction].append(transfer)
        by_amount[transfer.amount].append(transfer)

    def pairs(candidates: Callable[[Credit, Payment], Iterable[Incoming]]) -> dict[tuple[Incoming, str], Payment]:
        return {
            (transfer, payment.job_id): payment
            for credit, payment in claims
            for transfer in candidates(credit, payment)
            if _is_from_vendor(transfer, payment, addresses) and not objection(transfer, payment)
        }

    by_word = pairs(lambda credit, _: by_name.get(credit.transaction, ()))
    transfers, jobs = {transfer for transfer, _ in by_word}, {job_id for _, job_id in by_word}
    owed = pairs(lambda credit, payment: by_amount.get(_owed(credit, payment), ()))
    owed = {key: payment for key, payment in owed.items() if key[0] not in transfers and key[1] not in jobs}
    return _unambiguous(by_word) | _unambiguous(owed)


def _owed(credit: Credit, payment: Payment) -> int:
    """What is still to come of what the vendor says that it owes, 0 for nothing."""
    return outstanding(credit.amount, payment.refunded) if credit.kind is CreditKind.OWED else 0


def _is_from_vendor(transfer: Incoming, payment: Payment, addresses: Mapping[str, str]) -> bool:
    """Whether the payee or the declared address sent it, in another transaction than the payment's own.

    What comes back in the same one was never the vendor's to give: an operator may say what it is.
    """
    senders = (payment.authorization.payee.lower(), addresses.get(payment.vendor_id, ""))
    return transfer.sender in senders and transfer.transaction != payment.transaction.lower()


def _unambiguous(pairs: Mapping[tuple[Incoming, str], Payment]) -> dict[Incoming, Payment]:
    transfers = Counter(transfer for transfer, _ in pairs)
    jobs = Counter(job_id for _, job_id in pairs)
    return {
        transfer: payment
        for (transfer, job_id), payment in pairs.items()
        if transfers[transfer] == 1 and jobs[job_id] == 1
    }


def credit_observation(credit: Credit) -> Observation:
    """The observation of a vendor's word on money that it gives back."""
    match credit.kind:
        case CreditKind.BALANCE:
            text = f"{credit.vendor_id} says that {show_usd(credit.amount)} is on its platform: a credit, no money"
        case CreditKind.OWED:
            text = f"{credit.vendor_id} says that it owes {show_usd(credit.amount)}: a credit, no money until it came"
        case CreditKind.SENT:
            text = f"{credit.vendor_id} says that it paid back by {credit.transaction}"
    if credit.note:
        text += f"; {credit.note}"
    data = {"kind": "credit", "vendorId": credit.vendor_id, "amount": str(credit.amount), "claimed": credit.claimed}
    return Observation(ObservationType.PAYMENT, text, credit.job_id, data)


def refund_observation(refund: Refund) -> Observation:
    """The observation of a transfer that is booked for a job."""
    text = f"refunded by {refund.vendor_id}: {refund.transfer}"
    if refund.by:
        text += f"; assigned by {refund.by}: {refund.why}"
    data = {"kind": "refunded", "vendorId": refund.vendor_id, "amount": str(refund.transfer.amount), "by": refund.by}
    return Observation(ObservationType.PAYMENT, text, refund.job_id, data)
