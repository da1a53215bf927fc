"""What a vendor says that it gives back: its word alone, which counts nowhere as money. Pure.

Amounts are atomic units; addresses and hashes are hex in lower case.
"""

from dataclasses import dataclass
from enum import StrEnum

from gpuagent.core.money import show_usd


class CreditKind(StrEnum):
    """The place where a vendor says that the money is."""

    BALANCE = "balance"
    """On an account at the vendor's platform."""
    OWED = "owed"
    """The vendor's still: it says that it owes it."""
    SENT = "sent"
    """On its way: it names the transaction that brings it."""


COUNTED = (CreditKind.BALANCE, CreditKind.OWED)
"""The kinds that are a credit at the vendor. What was sent is looked for on chain."""


@dataclass(frozen=True, slots=True)
class CreditClaim:
    """A vendor's answer about money that it gives back, as read, not yet held against anything.

    amount: None where it names none. to, network: whom and where it would pay, "" where it does not say.
    """

    kind: CreditKind
    amount: int | None = None
    to: str = ""
    network: str = ""
    transaction: str = ""


@dataclass(frozen=True, slots=True)
class Credit:
    """A claim as it is booked, once for each job and kind, and never changed.

    amount: what of it can be true: no more than the job's payment; 0 where note says why nothing of it is. claimed:
    the vendor's own number, "" where it named none.
    """

    vendor_id: str
    run_id: str
    job_id: str
    wallet: str
    kind: CreditKind
    amount: int
    claimed: str = ""
    transaction: str = ""
    note: str = ""

    @property
    def counted(self) -> int:
        """The amount, if it is a credit at the vendor, as far as the job was paid."""
        return self.amount if self.kind in COUNTED else 0


def bounded(claim: CreditClaim, paid: int, wallet: str, network: str) -> tuple[int, str]:
    """The amount of a claim that can be true, and why it is not all that was claimed, "" where it is.

    paid: the amount of the job's payment. wallet, network: the payment's own.
    """
    if claim.to and claim.to.lower() != wallet.lower():
        return 0, f"it names another wallet, {claim.to}"
    if claim.network and claim.network != network:
        return 0, "it names another network"
    amount = claim.amount or 0
    if amount > paid:
        return paid, f"it says more than the {show_usd(paid)} of the payment"
    return amount, ""


def outstanding(credit: int, refunded: int) -> int:
    """What is left of a job's credit once so much has come back by chain: nothing is counted twice."""
    return max(0, credit - refunded)
