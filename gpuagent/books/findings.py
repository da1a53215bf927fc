"""The findings of a sweep: recorded payments held one by one against what the chain shows of their wallet. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from gpuagent.books.incoming import IncomingBooks
from gpuagent.core.model import Transfer
from gpuagent.core.money import show_usd
from gpuagent.core.records import Block, Incoming, Payment, PaymentStatus, Spent


class Kind(StrEnum):
    """A difference between ledger and chain. MEANING says each in words."""

    UNKNOWN_TRANSFER = "unknown transfer"
    UNKNOWN_PAYMENT = "unknown payment"
    MISSING_PAYMENT = "missing payment"
    OTHER_TERMS = "other terms"
    RELEASED = "released, not void"
    CONTRADICTION = "contradiction"
    UNRECORDED = "unrecorded settlement"
    STALE_HOLD = "stale hold"
    WRONG_SUM = "wrong sum"
    REFUND = "refund"
    UNASSIGNED = "unassigned transfer"
    MISSING_REFUND = "missing refund"


MEANING = {
    Kind.UNKNOWN_TRANSFER: "left the wallet without an authorization: the wallet is used elsewhere",
    Kind.UNKNOWN_PAYMENT: "an authorization was used that no ledger knows: look into it, then --adopt books it",
    Kind.MISSING_PAYMENT: "recorded as paid, and not so on chain",
    Kind.OTHER_TERMS: "the authorization moved something else than recorded: look into it, then --write-off books it",
    Kind.RELEASED: "the ledger released a hold whose payment was taken, or still can be",
    Kind.CONTRADICTION: "records of one purchase contradict each other",
    Kind.UNRECORDED: "paid on chain, still held in the ledger: the next tick or --repair records it",
    Kind.STALE_HOLD: "can never be paid, still held in the ledger: the next tick or --repair releases it",
    Kind.WRONG_SUM: "a run's record is not what its jobs add up to: --repair writes it anew where its payments agree",
    Kind.REFUND: "came back for a job that its vendor names: --repair books it",
    Kind.UNASSIGNED: "came from a vendor, for no job that it names: look into it, then `refund assign` books it",
    Kind.MISSING_REFUND: "booked as a refund, and not so on chain",
}
REPAIRABLE = (Kind.UNRECORDED, Kind.STALE_HOLD, Kind.WRONG_SUM, Kind.REFUND)
"""What the chain or the jobs themselves prove. All else needs an operator."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference, or one delay, that a sweep found.

    differs: False for what is on its way, came in, or moves no money; only the others make the books unbalanced.
    transfer: what came in, of a refund that is to be booked.
    """

    kind: Kind
    text: str
    run_id: str = ""
    job_id: str = ""
    differs: bool = True
    transfer: Incoming | None = None

    @property
    def repairable(self) -> bool:
        return self.kind in REPAIRABLE


class ChainActivity:
    """A wallet's transfers and spent nonces up to a final block. Payments claim their part; the rest is unknown."""

    def __init__(self, events: Iterable[Transfer | Spent]) -> None:
        self.transfers = self.amount = 0
        self._spent: dict[str, Spent] = {}
        self._unclaimed: dict[str, Counter[Transfer]] = {}  # by transaction, which may hold several transfers
        for event in events:
            if isinstance(event, Spent):
                self._spent[event.nonce] = event
            else:
                self.transfers += 1
                self.amount += event.amount
                self._unclaimed.setdefault(event.transaction, Counter())[event] += 1

    def claim_nonce(self, nonce: str) -> Spent | None:
        """The nonce as the chain shows it, taken out of what is unknown; None when it is not spent."""
        return self._spent.pop(nonce.lower(), None)

    def claim(self, transfer: Transfer) -> bool:
        """True when just this transfer was in its transaction, and no payment claimed it before."""
        transfers = self._unclaimed.get(transfer.transaction, Counter())
        if not transfers[transfer]:
            return False
        transfers[transfer] -= 1
        return True

    def claim_any(self, transaction: str) -> Transfer | None:
        """What a nonce on unknown terms moved: any transfer of its transaction that no payment claims."""
        transfer = next(iter(self.unclaimed_in(transaction)), None)
        if transfer:
            self.claim(transfer)
        return transfer

    def unclaimed_in(self, transaction: str) -> tuple[Transfer, ...]:
        """The transfers of one transaction that no payment claimed."""
        return tuple((+self._unclaimed.get(transaction, Counter())).elements())

    def unknown_nonces(self) -> dict[str, Spent]:
        """The spent nonces that no payment claimed."""
        return self._spent

    def unclaimed(self) -> Iterator[Transfer]:
        """The transfers that no payment claimed."""
        for transfers in self._unclaimed.values():
            yield from (+transfers).elements()


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A payment whose nonce moved something else; what, is known once all others have claimed their transfers."""

    payment: Payment
    transaction: str


def compare(payment: Payment, activity: ChainActivity, final: Block) -> Finding | Mismatch | None:
    """The payment claims its part of the activity. None: ledger and chain agree, or the chain has not decided yet."""
    if payment.status is PaymentStatus.COMPLETED and payment.block_number > final.number:
        return None
    terms = payment.authorization
    spent = activity.claim_nonce(terms.nonce)
    use = spent if spent and not spent.cancelled else None
    if use and not activity.claim(Transfer(use.transaction, terms.payee.lower(), terms.amount)):
        return Mismatch(payment, use.transaction)
    expired = final.time >= terms.valid_before
    match payment.status:
        case PaymentStatus.PENDING if use:
            return finding_for(Kind.UNRECORDED, payment, f"paid by {use.transaction}", differs=expired)
        case PaymentStatus.PENDING if spent or expired:
            return finding_for(Kind.STALE_HOLD, payment, "cancelled on chain" if spent else "expired unused")
        case PaymentStatus.COMPLETED if not use:
            why = "which cancelled it" if spent and spent.transaction == payment.transaction else "not paid on chain"
            return finding_for(Kind.MISSING_PAYMENT, payment, f"recorded as paid by {payment.transaction}, {why}")
        case PaymentStatus.COMPLETED if use and use.transaction != payment.transaction.lower():
            close = remedy(payment.run_id, "adopt", terms.nonce)
            text = f"recorded as paid by {payment.transaction}, on chain by {use.transaction} {close}"
            return finding_for(Kind.MISSING_PAYMENT, payment, text)
        case PaymentStatus.FAILED if use:
            close = remedy(payment.run_id, "adopt", terms.nonce)
            return finding_for(Kind.RELEASED, payment, f"paid by {use.transaction} {close}")
    return None


def remedy(place: str, option: str, name: str) -> str:
    """What a user types to close a finding, once it has been looked into. place: the run's id, or --all."""
    return f"(looked into it? `gpuagent books {place} --{option} {name} --why WHY` books it)"


def explain(mismatch: Mismatch, activity: ChainActivity) -> Finding:
    """The finding that says what the payment's nonce moved instead."""
    transfer = activity.claim_any(mismatch.transaction)
    text = f"on chain {describe(transfer) if transfer else f'nothing by {mismatch.transaction}'}"
    if transfer:
        text += f" {remedy(mismatch.payment.run_id, 'write-off', mismatch.payment.job_id)}"
    return finding_for(Kind.OTHER_TERMS, mismatch.payment, text)


def incoming_findings(books: IncomingBooks) -> Iterator[Finding]:
    """What came in and is to be booked or assigned, which is no difference; and refunds that are not on chain."""
    for transfer, payment in books.matched.items():
        text = f"{transfer}, by the answer of {payment.vendor_id}"
        yield Finding(Kind.REFUND, text, payment.run_id, payment.job_id, differs=False, transfer=transfer)
    for transfer in books.unassigned:
        text = (
            f"{transfer} (looked into it? `gpuagent refund assign {transfer.transaction} JOB_ID --why WHY` "
            "books it for the job)"
        )
        yield Finding(Kind.UNASSIGNED, text, differs=False)
    for refund in books.missing:
        text = f"{refund.transfer}, booked for {refund.vendor_id}"
        yield Finding(Kind.MISSING_REFUND, text, refund.run_id, refund.job_id)


def finding_for(kind: Kind, payment: Payment, text: str, differs: bool = True) -> Finding:
    """A finding about one recorded payment, with its amount and vendor."""
    sentence = f"{show_usd(payment.authorization.amount)} to {payment.vendor_id}: {text}"
    return Finding(kind, sentence, payment.run_id, payment.job_id, differs)


def describe(transfer: Transfer) -> str:
    """A transfer in words: amount, payee, transaction."""
    return f"{show_usd(transfer.amount)} to {transfer.payee} by {transfer.transaction}"
