"""The Planner port by rules alone: the mode `stub`, which users see as "rules".

It believes what past jobs show (core/belief.py), values every sequence of tries (lookahead.py) and says why it chose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from statistics import median

from gpuagent.adapters.planners.lookahead import DEPTH, Offer, best_plan, values
from gpuagent.adapters.planners.whole_run import Worth, applies, rest_of, worths
from gpuagent.core.belief import believe, price_back
from gpuagent.core.context import Candidate, Context, PastJob, Thought
from gpuagent.core.model import Action, Decision
from gpuagent.core.money import UNIT, show_usd

OFFERS_MAX = 6
"""Vendors that are weighed in depth: those that remove most doubt for their price."""
WAITS_S = (15, 60, 240)
"""Waits for vendors that cannot be started now, before giving up."""
WAIT_MAX = 4
"""The longest wait that is weighed, in job lengths."""
WAIT_COST = 0.01
"""The cost of waiting one job length, in chances of completion."""
WAITS_MAX = 8
"""Waits in a row, of whatever kind, after which no vendor's recovery and no better price is waited for."""
UNUSUAL_SHARE = 0.05
"""The distance from a vendor's median price, as a share of it, beyond which a price is not the usual one."""
CENT = UNIT // 100
TIE_TOLERANCE = 1e-12
"""Values that differ by less are equal."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The values of beginning now and of waiting.

    worths: of beginning with each offer; later: the value of waiting w job lengths, less what the wait costs.
    """

    offers: tuple[Offer, ...]
    worths: tuple[Worth, ...]
    later: Mapping[int, float]

    @property
    def now(self) -> tuple[float, ...]:
        return tuple(worth.value for worth in self.worths)

    @property
    def best(self) -> float:
        return max((0.0, *self.now))


class StubPlanner:
    """The planner by rules. Its name in data, flags and variables is `stub`."""

    name = "stub"

    def decide(self, context: Context, objection: str = "") -> Thought:  # noqa: ARG002
        """Begins the best plan, or waits where that is worth more; else waits for silent vendors; else aborts.

        An objection changes nothing that it looks at, so the answer to it is the same again.
        """
        outlook = look_ahead(context)
        scores = {
            offer.vendor_id: {"p": offer.chance(0, 0), "density": offer.density, **worth.figures}
            for offer, worth in zip(outlook.offers, outlook.worths, strict=True)
        }
        later = {str(waited): value for waited, value in outlook.later.items()}
        record = {"scores": scores, "valueNow": outlook.best, "later": later}
        if applies(context):
            record["rest"] = rest_of(context).figures
        return Thought(_decide(context, outlook), record=record)


def look_ahead(context: Context) -> Outlook:
    """The values by which the planner decides; none without offers."""
    sellers = [
        (c, [job for job in context.past if job.vendor_id == c.vendor_id]) for c in context.candidates if _sells(c)
    ]
    live = [(_offer(context, c, jobs), c, jobs) for c, jobs in sellers if c.expires_at > context.now]
    pairs = [(offer, _usual(context, offer, c, jobs)) for offer, c, jobs in live]
    pairs = sorted(pairs, key=lambda pair: (-pair[0].density, pair[0].vendor_id))[:OFFERS_MAX]
    offers, usual = tuple(offer for offer, _ in pairs), tuple(offer for _, offer in pairs)

    def worth(plan: Sequence[Offer], waited: int, recovered: int) -> float:
        return max((0.0, *(w.value for w in _worths(context, plan, waited, recovered)))) - WAIT_COST * waited

    outlook = Outlook(offers, tuple(_worths(context, offers, 0, 0)), {})
    best_case = [min(pair, key=lambda offer: offer.amount) for pair in pairs]
    if context.waits >= WAITS_MAX or worth(best_case, 1, recovered=1000) <= outlook.best:
        return outlook  # nothing that waiting can bring is worth it
    back = {waited: price_back(waited) if usual != offers else 0.0 for waited in range(1, WAIT_MAX + 1)}
    later = {w: share * worth(usual, w, w) + (1 - share) * worth(offers, w, w) for w, share in back.items()}
    return replace(outlook, later=later)


def _worths(context: Context, offers: Sequence[Offer], waited: int, recovered: int) -> Sequence[Worth]:
    """The worth of beginning with each offer after a wait: for the whole run, or for its one job that is missing."""
    if applies(context):
        return worths(offers, rest_of(context, waited), recovered)
    tries = _tries(context) - waited
    return [Worth(value) for value in values(offers, context.available, context.budget, tries, recovered)]


def _sells(candidate: Candidate) -> bool:
    return candidate.amount is not None and not candidate.refusals


def _tries(context: Context) -> int:
    """The jobs that may still follow each other. A wait counts as one: where it takes none, that is only careful."""
    lengths = context.job_lengths
    return context.decisions_left if lengths is None else min(context.decisions_left, lengths)


def _offer(context: Context, candidate: Candidate, jobs: Sequence[PastJob]) -> Offer:
    amount = candidate.amount or 0
    belief = believe(candidate.reliability, [job.succeeded for job in jobs])
    failed_ago = None
    if jobs and not jobs[-1].succeeded:
        failed_ago = (context.now - jobs[-1].started_at) / context.job_s
    chances = tuple(belief.chance(failures) for failures in range(DEPTH))
    return Offer(candidate.vendor_id, amount, amount - int(amount * candidate.refund), chances, failed_ago)


def _usual(context: Context, offer: Offer, candidate: Candidate, jobs: Sequence[PastJob]) -> Offer:
    """The same offer at the vendor's median price, where that is another one."""
    if not jobs:
        return offer
    amount = int(median(job.amount / job.hours for job in jobs) * context.hours)
    if abs(amount - offer.amount) <= UNUSUAL_SHARE * amount:
        return offer
    return replace(offer, amount=amount, loss=amount - int(amount * candidate.refund))


def _decide(context: Context, outlook: Outlook) -> Decision:
    waited = max(outlook.later, key=lambda w: (outlook.later[w], -w), default=0)
    if waited and outlook.later[waited] > outlook.best + TIE_TOLERANCE:
        return _wait_for_better(context, outlook, waited)
    if outlook.best <= 0:
        return _none_startable(context)
    pairs = list(zip(outlook.worths, outlook.offers, strict=True))
    ranked = sorted(pairs, key=lambda pair: -pair[0].value)
    equal = [pair for pair in pairs if pair[0].value >= outlook.best - TIE_TOLERANCE]
    worth, choice = min(equal, key=lambda pair: _use(context, pair[1].vendor_id))
    runners_up = [pair for pair in ranked if pair[1] is not choice and pair[0].value > 0]
    several = applies(context)
    reason = _why_of_several(context, worth, choice) if several else _why(context, outlook, choice)
    if runners_up:
        next_worth, next_offer = runners_up[0]
        reason += f"; next best {_terms(next_offer)}" + (f", then {next_worth.jobs:.2f} jobs" if several else "")
    return Decision(Action.START_JOB, reason, choice.vendor_id, context.hours)


def _use(context: Context, vendor_id: str) -> tuple[int, int]:
    """How much a run with several jobs uses a vendor: its open jobs there, then all. Of a run with one job nothing."""
    candidate = context.candidate(vendor_id)
    if not context.jobs_missing or candidate is None:
        return 0, 0
    ended = sum(job.in_run and job.vendor_id == vendor_id for job in context.past)
    return candidate.open_jobs, candidate.open_jobs + ended


def _why(context: Context, outlook: Outlook, choice: Offer) -> str:
    """The choice in words: how likely, at what price, what is left for how many more tries, how likely together."""
    plan = best_plan(outlook.offers, context.available, context.budget, _tries(context), choice)
    retries, remaining = len(plan) - 1, show_usd(context.available - choice.amount)
    cheapest = len(outlook.offers) > 1 and choice.amount == min(offer.amount for offer in outlook.offers)
    reason = _terms(choice) + (", the cheapest there is" if cheapest else "")
    if not retries:
        return f"{reason}; {remaining} are left, for no further try"
    together = 1 - prod(1 - attempt.chance for attempt in plan)
    return f"{reason}; {remaining} are left for {_tries_in_words(retries)}; together {_percent(together)}"


def _why_of_several(context: Context, worth: Worth, choice: Offer) -> str:
    """The choice in words: how likely, at what price, what is left for each job, and how many are to be expected."""
    rest = rest_of(context)
    open_jobs = f", {len(rest.open_chances)} of them open," if rest.open_chances else ""
    share = show_usd(rest.share // CENT * CENT)
    return (
        f"{_terms(choice)}; of {rest.missing} missing jobs{open_jobs} {worth.jobs:.2f} are expected to complete with "
        f"the {show_usd(rest.money)} left, {share} for each to be bought or likely to be replaced"
    )


def _terms(offer: Offer) -> str:
    return f"{offer.vendor_id}: {_percent(offer.chance(0, 0))} likely at {show_usd(offer.amount)}"


def _tries_in_words(count: int) -> str:
    numbers = ("no", "one", "two", "three", "four", "five", "six", "seven")
    return f"{numbers[count]} more {'try' if count == 1 else 'tries'}"


def _percent(chance: float) -> str:
    """A chance in words, and never 100 % of what may fail."""
    if chance >= 1:
        return "100%"
    return "over 99%" if chance > 0.99 else f"{round(100 * chance)}%"


def _wait_for_better(context: Context, outlook: Outlook, waited: int) -> Decision:
    reason = (
        f"waiting {context.job_s:.0f} s: the best plan has a value of {outlook.later[waited]:.2f} after {waited} job "
        f"lengths, of {outlook.best:.2f} now; {'; '.join(_terms(offer) for offer in outlook.offers[:2])}"
    )
    return Decision(Action.WAIT, reason, wait_until=context.now + context.job_s)


def _none_startable(context: Context) -> Decision:
    """No vendor can be started: wait for those that may sell later, a few times; then give up, and say why."""
    later = [c for c in context.candidates if (c.transient if c.refusals else c.amount is None)]
    if later and context.waits < len(WAITS_S):
        wait_s, problems = WAITS_S[context.waits], "; ".join(_why_not(context, c) for c in later)
        reason = f"no vendor can be paid now; waiting {wait_s} s ({problems})"
        return Decision(Action.WAIT, reason, wait_until=context.now + wait_s)
    if not context.candidates:
        return Decision(Action.ABORT, f"no enabled vendor offers {context.gpu_type}")
    problems = "; ".join(_why_not(context, c) for c in context.candidates)
    return Decision(Action.ABORT, f"no vendor can do it with {show_usd(context.available)}: {problems}")


def _why_not(context: Context, candidate: Candidate) -> str:
    name = candidate.vendor_id
    if candidate.amount is None:
        return f"{name} gave no quote ({candidate.problem})"
    if candidate.expires_at <= context.now:
        return f"the quote of {name} has expired"
    asks = f"{name} asks {show_usd(candidate.amount)}"
    if candidate.refusals:
        return f"{asks} ({'; '.join(candidate.refusals)})"
    return asks if candidate.amount > context.available else f"{asks}, and a try is not worth it or comes too late"
