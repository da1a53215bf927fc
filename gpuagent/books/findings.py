"""What a sweep can find: payments as recorded, held one by one against what the chain shows of a wallet. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from gpuagent.core.model import Transfer
from gpuagent.core.money import show_usd
from gpuagent.core.records import Block, Payment, Spent


class Kind(StrEnum):
    UNKNOWN_TRANSFER = "unknown transfer"
    UNKNOWN_PAYMENT = "unknown payment"
    MISSING_PAYMENT = "missing payment"
    OTHER_TERMS = "other terms"
    RELEASED = "released, not void"
    CONTRADICTION = "contradiction"
    UNRECORDED = "unrecorded settlement"
    STALE_HOLD = "stale hold"
    WRONG_SUM = "wrong sum"


MEANING = {
    Kind.UNKNOWN_TRANSFER: "left the wallet without an authorization: the wallet is used elsewhere",
    Kind.UNKNOWN_PAYMENT: "an authorization was used that no ledger knows",
    Kind.MISSING_PAYMENT: "recorded as paid, and not so on chain",
    Kind.OTHER_TERMS: "the authorization moved something else than recorded",
    Kind.RELEASED: "the ledger released a hold whose payment was taken, or still can be",
    Kind.CONTRADICTION: "a job and its payment record contradict each other",
    Kind.UNRECORDED: "paid on chain, still held in the ledger: the next tick or --repair records it",
    Kind.STALE_HOLD: "can never be paid, still held in the ledger: the next tick or --repair releases it",
    Kind.WRONG_SUM: "a run's record is not what its jobs add up to: --repair writes it anew",
}
REPAIRABLE = (Kind.UNRECORDED, Kind.STALE_HOLD, Kind.WRONG_SUM)
"""What the chain or the jobs themselves prove. All else needs a person."""


@dataclass(frozen=True, slots=True)
class Finding:
    """differs: False for what is on its way, or moves no money; only the others make the books unbalanced."""

    kind: Kind
    words: str
    run_id: str = ""
    job_id: str = ""
    differs: bool = True

    @property
    def repairable(self) -> bool:
        return self.kind in REPAIRABLE


class Seen:
    """What the chain shows of one wallet up to a final block. Payments claim their part; what stays is unknown."""

    def __init__(self, events: Iterable[Transfer | Spent]) -> None:
        self.transfers = self.amount = 0
        self._spent: dict[str, Spent] = {}
        self._unclaimed: dict[str, Counter[Transfer]] = {}  # by transaction, which may hold several transfers
        for event in events:
            if isinstance(event, Spent):
                self._spent[event.nonce] = event
            else:
                self.transfers, self.amount = self.transfers + 1, self.amount + event.amount
                self._unclaimed.setdefault(event.transaction, Counter())[event] += 1

    def claim_nonce(self, nonce: str) -> Spent | None:
        return self._spent.pop(nonce.lower(), None)

    def claim(self, transfer: Transfer) -> bool:
        """True when just this transfer was in its transaction, and nobody claimed it before."""
        found = self._unclaimed.get(transfer.transaction, Counter())
        if not found[transfer]:
            return False
        found[transfer] -= 1
        return True

    def claim_any(self, transaction: str) -> Transfer | None:
        """What a nonce on unknown terms moved: any transfer of its transaction that nobody claims."""
        left = next((+self._unclaimed.get(transaction, Counter())).elements(), None)
        if left:
            self.claim(left)
        return left

    def unknown_nonces(self) -> dict[str, Spent]:
        return self._spent

    def unclaimed(self) -> Iterator[Transfer]:
        for found in self._unclaimed.values():
            yield from (+found).elements()


@dataclass(frozen=True, slots=True)
class Odd:
    """A payment whose nonce moved something else; what, is known once all others have claimed their transfers."""

    payment: Payment
    transaction: str


def compare(payment: Payment, seen: Seen, final: Block) -> Finding | Odd | None:
    """The payment claims its part of what was seen. None: ledger and chain agree, or the chain has not decided yet."""
    if payment.status == "completed" and payment.block_number > final.number:
        return None
    terms = payment.authorization
    spent = seen.claim_nonce(terms.nonce)
    used = spent if spent and not spent.cancelled else None
    if used and not seen.claim(Transfer(used.transaction, terms.payee.lower(), terms.amount)):
        return Odd(payment, used.transaction)
    late = final.time >= terms.valid_before
    match payment.status:
        case "pending" if used:
            return found(Kind.UNRECORDED, payment, f"paid by {used.transaction}", differs=late)
        case "pending" if spent or late:
            return found(Kind.STALE_HOLD, payment, "cancelled on chain" if spent else "expired unused")
        case "completed" if not used:
            why = "which cancelled it" if spent and spent.transaction == payment.transaction else "not paid on chain"
            return found(Kind.MISSING_PAYMENT, payment, f"recorded as paid by {payment.transaction}, {why}")
        case "completed" if used and used.transaction != payment.transaction.lower():
            words = f"recorded as paid by {payment.transaction}, on chain by {used.transaction}"
            return found(Kind.MISSING_PAYMENT, payment, words)
        case "failed" if used:
            return found(Kind.RELEASED, payment, f"paid by {used.transaction}")
    return None


def explain(odd: Odd, seen: Seen) -> Finding:
    moved = seen.claim_any(odd.transaction)
    return found(Kind.OTHER_TERMS, odd.payment, f"on chain {told(moved) if moved else f'nothing by {odd.transaction}'}")


def found(kind: Kind, payment: Payment, words: str, differs: bool = True) -> Finding:
    what = f"{show_usd(payment.authorization.amount)} to {payment.vendor_id}: {words}"
    return Finding(kind, what, payment.run_id, payment.job_id, differs)


def told(transfer: Transfer) -> str:
    return f"{show_usd(transfer.amount)} to {transfer.payee} by {transfer.transaction}"
