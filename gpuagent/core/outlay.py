"""What the jobs that a run still has to buy cost at least, under the caps that no time lifts. Pure.

Both are lower bounds: a run that fails them can never complete, so it is stopped before it pays for a part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gpuagent.core.context import PastJob
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


def may_be_proven(run: Run, usage: Usage, past: Iterable[PastJob], vendor_id: str, opened: int) -> bool:
    """Whether a new vendor's cap may fall away without a further job of this run: those that are open may prove it, and
    so may other runs' jobs, of which some hold money or were paid for and have not ended.

    past: the ended jobs of any run; opened: of this run, open ones at the vendor.
    """
    ended = [job for job in past if job.vendor_id == vendor_id]
    if sum(job.succeeded for job in ended) + opened >= PROVEN_AFTER:
        return True
    accounted = _at_vendor(run, vendor_id) + sum(job.paid for job in ended if not job.in_run)
    return usage.new_vendors.get(vendor_id, 0) > accounted


def offer(
    rules: Policy, run: Run, usage: Usage, past: Sequence[PastJob], vendor_id: str, amount: int, opened: int
) -> Supply:
    """The vendor's offer under the caps. past, opened: as may_be_proven() has them.

    A new vendor that may be proven, by its next jobs too, is not held to the cap of new ones: later ones may be bought.
    """
    rooms = []
    if rules.vendor_per_run is not None:
        rooms.append((rules.vendor_per_run - _at_vendor(run, vendor_id), "vendor_per_run"))
    if rules.new_vendor is not None and vendor_id in usage.new_vendors:
        room = rules.new_vendor - usage.new_vendors[vendor_id]
        if not may_be_proven(run, usage, past, vendor_id, opened + max(room, 0) // max(amount, 1)):
            rooms.append((room, "new_vendor"))
    return Supply(vendor_id, amount, min(rooms)[0] if rooms else None, tuple(rule for _, rule in rooms))


def _at_vendor(run: Run, vendor_id: str) -> int:
    """What the run holds and has paid at a vendor."""
    return sum(
        job.quote.amount
        for job in run.jobs
        if isinstance(job, Reserved | Authorized | Settled) and job.quote.vendor_id == vendor_id
    )


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


def leaves_rest(offers: Sequence[Supply], vendor_id: str, amount: int, count: int, available: int) -> bool:
    """Whether so many jobs can still be bought once this vendor has got this amount for another one."""
    rest = [
        replace(offer, room=offer.room - amount) if offer.vendor_id == vendor_id and offer.room is not None else offer
        for offer in offers
    ]
    return capacity(rest, count) >= count and least_cost(rest, count) <= available - amount
