"""What the jobs that a run still has to buy cost at least, under the caps that no time lifts. Pure.

Both are lower bounds: a run that fails them can never complete, so it is stopped before it pays for a part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpuagent.core.model import Authorized, Reserved, Run, Settled
from gpuagent.core.policy import PROVEN_AFTER, Policy, Usage


@dataclass(frozen=True, slots=True)
class Supply:
    """A vendor that may have further jobs. amount: atomic units, of one at least; room: what caps still allow it in
    this run, None for no limit; rules: those caps, as `gpuagent policy set` names them."""

    vendor_id: str
    amount: int
    room: int | None = None
    rules: tuple[str, ...] = ()

    def jobs_of(self, count: int) -> int:
        """How many of so many jobs it may have at most."""
        return count if self.room is None else min(count, max(self.room, 0) // max(self.amount, 1))


def offer(rules: Policy, run: Run, usage: Usage, vendor_id: str, amount: int, completed: int, opened: int) -> Supply:
    """The vendor's offer under the caps. completed: its jobs that did, in any run; opened: of this run, open ones.

    A new vendor whose next jobs may prove it is not held to the cap of new ones: the later of them may be bought.
    """
    at_vendor = sum(
        job.quote.amount
        for job in run.jobs
        if isinstance(job, Reserved | Authorized | Settled) and job.quote.vendor_id == vendor_id
    )
    rooms = [] if rules.vendor_per_run is None else [(rules.vendor_per_run - at_vendor, "vendor_per_run")]
    if rules.new_vendor is not None and vendor_id in usage.new_vendors:
        room = rules.new_vendor - usage.new_vendors[vendor_id]
        if completed + opened + max(room, 0) // max(amount, 1) < PROVEN_AFTER:
            rooms.append((room, "new_vendor"))
    return Supply(vendor_id, amount, min(rooms)[0] if rooms else None, tuple(rule for _, rule in rooms))


def tag_room(rules: Policy, run: Run, usage: Usage) -> int | None:
    """What the totals of the run's tags still allow, None for no limit."""
    rooms = [rules.tag_totals[tag] - usage.tags.get(tag, 0) for tag in run.tags if tag in rules.tag_totals]
    return min(rooms, default=None)


def capacity(offers: Iterable[Supply], count: int) -> int:
    """How many of so many jobs the caps let all vendors together have."""
    return min(count, sum(offer.jobs_of(count) for offer in offers))


def least_cost(offers: Sequence[Supply], count: int) -> int:
    """What so many jobs cost at least, each bought where it is cheapest while caps allow it; those that no vendor may
    have cost nothing here."""
    cost = 0
    for cheapest in sorted(offers, key=lambda offer: offer.amount):
        jobs = cheapest.jobs_of(count)
        cost, count = cost + jobs * cheapest.amount, count - jobs
    return cost
