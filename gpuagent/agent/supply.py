"""What vendors may have of the jobs that a run with several still has to buy: of all, not of the next alone. Pure.

No bound here may be too tight: by these a run is ended that could never complete.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from gpuagent.agent.suitable import unsuitable
from gpuagent.core import policy
from gpuagent.core.context import PastJob
from gpuagent.core.indices import unbought
from gpuagent.core.model import Quote, Run, Vendor
from gpuagent.core.orders import order_text
from gpuagent.core.outlay import Supply, may_be_proven, offer
from gpuagent.core.resume import remainder, with_checkpoints

CONFIRMATION = "confirmation"
"""The rule that is of one of several jobs alone."""
HEDGE = "hedge"
"""The rule that a late job is hedged at another vendor: of the hedge alone."""
WORK = "work"
"""The rule that a vendor cannot or may not have the work; the checkpoint that a job goes on from may be why."""


def provable(
    verdicts: Mapping[str, tuple[policy.Refusal, ...]], may_be_proven: Callable[[str], bool]
) -> dict[str, tuple[policy.Refusal, ...]]:
    """The verdicts, in which the cap of a new vendor is one that passes where the vendor may yet be proven."""

    def judged(vendor_id: str, refusal: policy.Refusal) -> policy.Refusal:
        passes = refusal.rule == policy.NEW_VENDOR and may_be_proven(vendor_id)
        return replace(refusal, transient=True) if passes else refusal

    return {name: tuple(judged(name, refusal) for refusal in refusals) for name, refusals in verdicts.items()}


@dataclass(frozen=True, slots=True)
class RunCaps:
    """The caps that a run buys under. usage: what counts against them. past: the ended jobs of any run, by which a new
    vendor is proven. open_jobs: the number of the run's own, by vendor.
    """

    run: Run
    rules: policy.Policy
    usage: policy.Usage
    past: Sequence[PastJob]
    open_jobs: Mapping[str, int]

    def may_be_proven(self, vendor_id: str) -> bool:
        """As outlay.may_be_proven() has it."""
        return may_be_proven(self.run, self.usage, self.past, vendor_id, self.open_jobs.get(vendor_id, 0))

    def eligible(
        self,
        index: int,
        vendors: Mapping[str, Vendor],
        quotes: Mapping[str, Quote],
        verdicts: Mapping[str, Sequence[policy.Refusal]],
    ) -> dict[str, int]:
        """The vendors that may have other jobs of the run, with what they quote for this one.

        One that is kept from this job alone is among them: for a confirmation, for the late job that this one hedges,
        for the checkpoint that it goes on from, or for its price, where another has fewer hours.
        """
        run, rules, checkpointed = self.run, self.rules, with_checkpoints(self.run)
        further = set(unbought(run)) - {index}
        begins_anew = any(remainder(run, number).checkpoint is None for number in further & checkpointed)
        plain = order_text(run.workload, None, index, run.count) if begins_anew or further - checkpointed else ""
        share = min((_shortest(run) / remainder(run, index).hours), Decimal(1))

        def allowed(vendor_id: str, quote: Quote) -> bool:
            lasting = {refusal.rule for refusal in verdicts[vendor_id] if not refusal.transient} - {CONFIRMATION, HEDGE}
            begun_anew = replace(quote, order=plain)
            if WORK in lasting and plain and not unsuitable(run, vendors[vendor_id], begun_anew, rules):
                lasting -= {WORK}
            if lasting and share < 1:
                shorter = policy.refusals(rules, run, replace(quote, amount=int(quote.amount * share)), self.usage)
                lasting &= {WORK, *(refusal.rule for refusal in shorter)}
            return not lasting

        return {name: quote.amount for name, quote in quotes.items() if allowed(name, quote)}

    def supplies(self, hours: Decimal, amounts: Mapping[str, int]) -> tuple[Supply, ...]:
        """The vendors' offers, each at the price of the shortest job. amounts: what so many hours cost."""
        share = min(_shortest(self.run) / hours, Decimal(1))
        return tuple(
            offer(self.rules, self.run, self.usage, self.past, name, int(amount * share), self.open_jobs.get(name, 0))
            for name, amount in amounts.items()
        )


def _shortest(run: Run) -> Decimal:
    """The hours of the shortest job that is to be bought."""
    resumed = with_checkpoints(run).intersection(unbought(run))
    return min((remainder(run, index).hours for index in resumed), default=run.max_hours)
