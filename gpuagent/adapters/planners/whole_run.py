"""The value of all jobs that a run with several must still complete, when each try may fail. Pure.

A try is worth what the whole run then completes: its own chance, and what the money and the time that it leaves can do
for the other jobs, replacements of failed ones included. So money has one price for all jobs of the run, and no job is
planned at the expense of the rest. Chances stay as they are believed now; what outcomes teach, the next decision knows.
docs/how-it-chooses.md says more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gpuagent.adapters.planners.lookahead import SPENDING_WEIGHT, Offer
from gpuagent.core.belief import believe, recovery
from gpuagent.core.context import Candidate, Context

JOBS_MAX = 8
"""Jobs that are planned together. A run that misses more is planned for so many, with their share of what is left."""
OFFERS_MAX = 3
"""Vendors that later tries of a plan are at: first those that are the best choice at some price of money."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a run with several jobs. Amounts in atomic units.

    missing: jobs that are not completed; open_chances: of success, of those of them that are open. at_once: how many
    may be open. tries: jobs that may still be begun; rounds: job lengths until the deadline, None where it does not
    bind. money: for all that is to be bought; reserve: of it, what is kept for all but the next; least: what one costs
    at least. budget: of the run.
    """

    missing: int
    open_chances: tuple[float, ...]
    at_once: int
    tries: int
    rounds: int | None
    money: int
    reserve: int
    least: int
    budget: int

    @property
    def unbought(self) -> int:
        return self.missing - len(self.open_chances)

    @property
    def ahead(self) -> float:
        """The jobs that are to be bought, with the replacements that open jobs are likely to need."""
        return self.missing - sum(self.open_chances)

    @property
    def share(self) -> int:
        """What is left for each job ahead."""
        return int(self.money / self.ahead)

    @property
    def figures(self) -> dict[str, object]:
        """The figures for a decision's record, with the jobs that are planned together."""
        return {
            "missing": self.missing,
            "open": len(self.open_chances),
            "openExpected": sum(self.open_chances),
            "money": self.money,
            "share": self.share,
            "reserve": self.reserve,
            "tries": self.tries,
            "rounds": self.rounds,
            "planned": _weighed(self).missing,
        }


@dataclass(frozen=True, slots=True)
class Worth:
    """The expectation of a plan. value: the share of the missing jobs that complete, less SPENDING_WEIGHT of the share
    of the budget that is spent. jobs: that complete, the open ones included; spent: on tries that are to be begun.
    """

    value: float
    jobs: float = 0.0
    spent: float = 0.0

    @property
    def figures(self) -> Mapping[str, object]:
        """The figures for a decision's record; of a run with one job the value alone."""
        return {"value": self.value} | ({"jobs": self.jobs, "spent": round(self.spent)} if self.jobs else {})


NOTHING = Worth(0.0)


def applies(context: Context) -> bool:
    """Whether a decision is about more than one job: not where one alone is missing, or a late one is hedged."""
    return context.jobs_missing > 1 and not context.hedged_vendor


def rest_of(context: Context, waited: int = 0) -> Rest:
    """The rest of the context's run after so many job lengths in which none is begun.

    Each takes a try where there is no deadline: that is only careful.
    """
    open_chances, lengths = _open_chances(context), context.job_lengths
    unbought = context.jobs_missing - len(open_chances)
    tries, rounds = context.decisions_left + unbought - 1, None
    if lengths is None:
        tries -= waited
    elif lengths - waited < tries:
        rounds = lengths - waited
    return Rest(
        missing=context.jobs_missing,
        open_chances=open_chances,
        at_once=max(context.at_once, 1),
        tries=tries,
        rounds=rounds,
        money=context.available + context.reserve,
        reserve=context.reserve,
        least=context.reserve // (unbought - 1) if unbought > 1 else context.cheapest,
        budget=context.budget,
    )


def _open_chances(context: Context) -> tuple[float, ...]:
    """The chances of the open jobs, the best first. As the decision is about one more, at least one job is not open:
    what is open beyond that hedges another."""
    chances = [
        _believed(context, candidate)
        for candidate in context.candidates
        if candidate.open_jobs
        for _ in range(candidate.open_jobs)
    ]
    return tuple(sorted(chances, reverse=True)[: context.jobs_missing - 1])


def _believed(context: Context, candidate: Candidate) -> float:
    results = [job.succeeded for job in context.past if job.vendor_id == candidate.vendor_id]
    return believe(candidate.reliability, results).chance()


def worths(offers: Sequence[Offer], rest: Rest, waited: int = 0) -> list[Worth]:
    """The worth of beginning with each offer and going on as well as can be; NOTHING where it cannot be begun.

    waited: job lengths that pass before, which the rest has been told of.
    """
    weighed = _weighed(rest)
    plan = _Plan(offers, weighed, waited)
    part = weighed.ahead / rest.ahead
    values = []
    for offer in offers:
        worth = plan.beginning(offer) if offer.amount + rest.reserve <= rest.money else NOTHING
        if part < 1 and worth.jobs:
            worth = Worth(worth.value, sum(rest.open_chances) + worth.jobs / part, worth.spent / part)
        values.append(worth)
    return values


def _weighed(rest: Rest) -> Rest:
    """The rest as it is planned: as it is, or JOBS_MAX jobs of many, with their share of money, tries and slots."""
    if rest.missing <= JOBS_MAX:
        return rest
    jobs = min(JOBS_MAX, rest.unbought)
    part = jobs / rest.missing
    at_once = max(1, round(rest.at_once * part))
    rounds = None
    if rest.rounds is not None:
        # As many slots for each job as the run has.
        rounds = min(rest.rounds, round(rest.rounds * rest.at_once * part / at_once))
    return Rest(
        missing=jobs,
        open_chances=(),
        at_once=at_once,
        tries=max(jobs, int(rest.tries * jobs / rest.unbought)),
        rounds=rounds,
        money=max(rest.share, rest.least) * jobs,
        reserve=rest.least * (jobs - 1),
        least=rest.least,
        budget=max(int(rest.budget * part), 1),
    )


class _Position(NamedTuple):
    """missing: jobs to complete; unbegun: of them those without a try in this round; slots: free ones of this round;
    rounds: left with this one, 0 where no deadline binds."""

    missing: int
    unbegun: int
    slots: int
    rounds: int
    tries: int
    money: int


class _Plan:
    """The best course of a run from every state, by recursion over the tries.

    Within a round a try is taken to end before the next begins, but a failed job is begun again in the next round only.
    """

    def __init__(self, offers: Sequence[Offer], rest: Rest, waited: int) -> None:
        self._rest, self._waited = rest, waited
        self._offers = _useful(offers)
        self._dearest = max((offer.amount for offer in self._offers), default=0)
        self._weight = SPENDING_WEIGHT * rest.missing / rest.budget
        self._least = rest.least
        self._best: dict[_Position, tuple[float, float]] = {}
        self._chances: dict[tuple[str, int], float] = {}

    def beginning(self, offer: Offer) -> Worth:
        """The worth of beginning with the offer now, while it is not known how the open jobs end."""
        rest = self._rest
        if rest.tries <= 0 or (rest.rounds is not None and rest.rounds <= 0):
            return NOTHING
        slots = max(min(rest.at_once - len(rest.open_chances), rest.unbought), 1)
        jobs = spent = 0.0
        for completed, share in _completed(rest.open_chances).items():
            missing = rest.missing - completed
            state = _Position(missing, rest.unbought, slots, rest.rounds or 0, rest.tries, rest.money)
            more, cost = self._begin(offer, state)
            jobs, spent = jobs + share * (completed + more), spent + share * cost
        return Worth(max(jobs - sum(rest.open_chances) - self._weight * spent, 0.0) / rest.missing, jobs, spent)

    def _begin(self, offer: Offer, state: _Position) -> tuple[float, float]:
        """Expected jobs and expense of a try in a state, and of what follows it."""
        chance = self._chance(offer, state)
        missing, unbegun, slots, rounds, tries, money = state
        after = (unbegun - 1, slots - 1, rounds, tries - 1, money - offer.amount)
        good, good_cost = self._follow(missing - 1, *after)
        bad, bad_cost = self._follow(missing, *after)
        jobs = chance * (1 + good) + (1 - chance) * bad
        return jobs, offer.amount + chance * good_cost + (1 - chance) * bad_cost

    def _follow(
        self, missing: int, unbegun: int, slots: int, rounds: int, tries: int, money: int
    ) -> tuple[float, float]:
        """Expected jobs and expense of the best course."""
        if not missing or tries <= 0:
            return 0.0, 0.0
        if self._rest.rounds is None:
            unbegun, slots = missing, 0
        elif not unbegun or not slots:
            if rounds <= 1:
                return 0.0, 0.0
            unbegun, slots, rounds = missing, min(self._rest.at_once, missing), rounds - 1
        # More money than all tries can cost makes no difference, and states that do not differ are one.
        state = _Position(missing, unbegun, slots, rounds, tries, min(money, tries * self._dearest))
        if state not in self._best:
            self._best[state] = self._choose(state)
        return self._best[state]

    def _choose(self, state: _Position) -> tuple[float, float]:
        best, best_value = (0.0, 0.0), 0.0
        reserve = (state.unbegun - 1) * self._least
        for offer in self._offers:
            if offer.amount + reserve > state.money:
                continue  # the agent buys nothing where the rest could not be bought
            jobs, spent = self._begin(offer, state)
            value = jobs - self._weight * spent
            if value > best_value:
                best, best_value = (jobs, spent), value
        return best

    def _chance(self, offer: Offer, state: _Position) -> float:
        rest = self._rest
        elapsed = (rest.tries - state.tries) // rest.at_once if rest.rounds is None else rest.rounds - state.rounds
        if offer.failed_ago is None:
            return offer.chances[0]
        key = (offer.vendor_id, elapsed)
        if key not in self._chances:
            self._chances[key] = offer.chances[0] * recovery(offer.failed_ago + self._waited + elapsed)
        return self._chances[key]


def _completed(chances: Sequence[float]) -> Mapping[int, float]:
    """The distribution of how many of the open jobs complete."""
    shares = {0: 1.0}
    for chance in chances:
        shares = {
            count: shares.get(count, 0.0) * (1 - chance) + shares.get(count - 1, 0.0) * chance
            for count in range(len(shares) + 1)
        }
    return shares


def _useful(offers: Sequence[Offer]) -> list[Offer]:
    """At most OFFERS_MAX offers: those that are the best choice at some price of money, then the others in order."""
    best = list(_hull(offers))
    return [*best, *(offer for offer in offers if offer not in best)][:OFFERS_MAX]


def _hull(offers: Sequence[Offer]) -> Iterator[Offer]:
    """The offers with the highest chance less price of money times amount, from the dearest price of money to none."""
    amount, chance = 0, 0.0
    while better := [offer for offer in offers if offer.chances[0] > chance and offer.amount > amount]:
        steepest = max(better, key=lambda offer: (offer.chances[0] - chance) / (offer.amount - amount))
        yield steepest
        amount, chance = steepest.amount, steepest.chances[0]
