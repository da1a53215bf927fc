"""An upper bound on what counts against a wallet's daily cap: a recent sum, and what was reserved since.

What counts grows by reservations and adoptions alone. Each counts itself on the policy in force, in the transaction
that writes it: with its amount, in a running total by network and wallet, which never falls. So a sum that a
transaction has added up, with what the total has grown by since, is never less than what counts; it is more by what was
released, or has left the day, since. Where so much fits under the cap, so does what counts. Where it does not, what
counts is added up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from gpuagent.adapters.mongo.values import amount, money
from gpuagent.core.model import Run, Voided

KEPT_S = 360.0
"""So many seconds after the end of its day, which is some minutes early, a sum is added up again, whatever another
program may have written meanwhile."""


def growth(before: Run, after: Run) -> dict[str, int]:
    """By network, what a save adds to what counts against caps: at least that. Empty where it adds nothing."""
    counted = {(job.job_id, job.quote.network, job.quote.amount) for job in before.jobs if not isinstance(job, Voided)}
    more: dict[str, int] = {}
    for job in after.jobs:
        quote = job.quote
        if not isinstance(job, Voided) and (job.job_id, quote.network, quote.amount) not in counted:
            more[quote.network] = more.get(quote.network, 0) + quote.amount
    return more


def increments(payer: str, amounts: Mapping[str, int]) -> dict[str, Any]:
    """What a save with that growth adds to fields of the policy in force.

    reservations: all of them, also those that an earlier version of this program counts; totalled: these.
    """
    totals = {f"reserved.{_key(network, payer)}": money(units) for network, units in amounts.items()}
    return {"reservations": 1, "totalled": 1, **totals}


def _key(network: str, payer: str) -> str:
    return f"{network} {payer}"


@dataclass(frozen=True, slots=True)
class WalletDay:
    """What a transaction has added up. early: the end of its day, Unix seconds. policy: the document in force then.

    reserved: the running total, as that transaction saw it. untotalled: reservations that are not in it.
    """

    counts: int
    early: float
    policy: ObjectId
    reserved: int
    untotalled: int

    def most(self, policy: Mapping[str, Any], network: str, payer: str, at: float) -> int | None:
        """The most that counts in a day that ends at `at`, by the policy's document as a transaction sees it.

        None where that is not known by this sum.
        """
        latest = added_up(self.counts, policy, network, payer, at)
        if not self.early <= at <= self.early + KEPT_S:  # a day that ends earlier may begin with more
            return None
        if (latest.policy, latest.untotalled) != (self.policy, self.untotalled) or latest.reserved < self.reserved:
            return None
        return self.counts + latest.reserved - self.reserved


def added_up(counts: int, policy: Mapping[str, Any], network: str, payer: str, early: float) -> WalletDay:
    """The sum, with what its transaction sees of the policy's document."""
    total = policy.get("reserved", {}).get(_key(network, payer))
    untotalled = policy.get("reservations", 0) - policy.get("totalled", 0)
    return WalletDay(counts, early, policy["_id"], amount(total) if total else 0, untotalled)
