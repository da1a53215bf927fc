"""Play of one market by one planner, along the one path that a run with one job can take: all jobs failed so far.

The same walk serves every mode: exact follows the path with the true chances, sampled with a drawn 0 or 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from gpuagent.core.context import Context, PastJob
from gpuagent.core.model import Action, Decision
from gpuagent.planbench.scenarios import Market, cost

LAMBDA = 0.01
"""U = E[completed jobs] / N - LAMBDA E[spend] / B: completion first, spend breaks ties. With one job P(complete)."""
INVALID_MAX = 5
"""Invalid decisions that end the run."""

digest = lru_cache(maxsize=4096)(Context.digest)
"""The context's digest, computed once: it is the cache's key and stands in moves."""

Chance = Callable[[str, int, int], float]
"""The chance that a job succeeds, by (vendor_id, failures of the vendor in this run, tick of its start)."""


@dataclass(frozen=True, slots=True)
class PlannerAnswer:
    """A planner's answer to one context. decision: None where it crashed. ms: the time it took when it was asked.

    amount: the cost of asking, in atomic units. refused: how often the guard refused an answer before this one.
    fresh: asked just now, not cached.
    """

    decision: Decision | None
    ms: float
    amount: int = 0
    problem: str = ""
    refused: int = 0
    fresh: bool = True


Ask = Callable[[Context], PlannerAnswer]


@dataclass(frozen=True, slots=True)
class Move:
    """One decision on the path. fault: what makes it invalid. survival: the chance that a run gets here."""

    tick: int
    action: str
    vendor_id: str
    reason: str
    digest: str
    survival: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Play:
    """The result of a play. complete: P(complete), 0 or 1 if sampled. spend: E[spend] as a share of the budget.

    jobs: those that the run has to complete; jobs_done: E[completed] of them. budget: in atomic units.
    """

    scenario: str
    variant: int
    replicate: int
    family: str
    planner: str
    complete: float
    spend: float
    jobs: int
    jobs_done: float
    budget: int
    invalid: int = 0
    refused: int = 0
    worst_ms: float = 0.0
    planner_cost: int = 0
    moves: tuple[Move, ...] = ()

    @property
    def utility(self) -> float:
        return self.jobs_done / self.jobs - LAMBDA * self.spend

    @property
    def paid(self) -> float:
        """E[spend], in atomic units."""
        return self.spend * self.budget


def play_exact(market: Market, planner: str, ask: Ask) -> Play:
    """A play with the true chances."""
    return _walk(market, planner, ask, lambda vendor, _, tick: market.chance(vendor, tick))


def play_posterior(market: Market, planner: str, ask: Ask) -> Play:
    """A play with the chances as the generator must see them, where the file holds them: less noise than exact."""
    return _walk(market, planner, ask, market.posterior)


def play_sampled(market: Market, planner: str, ask: Ask, replicate: int) -> Play:
    """A play with one replicate of the drawn outcomes, which are common to all planners."""

    def outcome(vendor: str, attempt: int, tick: int) -> float:
        return market.outcome(vendor, attempt, tick, replicate)

    return _walk(market, planner, ask, outcome, replicate)


def fault_of(decision: Decision | None, context: Context) -> str:
    """Why the decision is invalid in this context, or "". Other hours than the run needs are a mistake, not invalid."""
    if decision is None:
        return "no decision"
    if decision.action is not Action.START_JOB:
        return ""
    candidate = next((option for option in context.candidates if option.vendor_id == decision.vendor_id), None)
    if candidate is None:
        return f"{decision.vendor_id!r} is not among the candidate vendors"
    if not decision.max_hours.is_finite() or decision.max_hours <= 0:
        return f"{decision.max_hours} hours cannot be bought"
    if candidate.amount is None:
        return f"{decision.vendor_id} has no live quote: {candidate.problem}"
    if candidate.refusals:
        return f"{decision.vendor_id}: {'; '.join(candidate.refusals)}"
    amount = cost(candidate.price_per_hour, decision.max_hours)
    if amount > context.available:
        return f"{decision.vendor_id} asks {amount}, available are {context.available}"
    return ""


@dataclass(slots=True)
class _State:
    """The state of the path. attempts: jobs of this run, all of which failed."""

    available: int
    survival: float = 1.0
    complete: float = 0.0
    spend: float = 0.0
    waits: int = 0
    attempts: tuple[PastJob, ...] = ()


def _walk(market: Market, planner: str, ask: Ask, chance: Chance, replicate: int = 0) -> Play:
    state = _State(market.budget)
    moves: list[Move] = []
    answers: list[PlannerAnswer] = []
    for tick in range(market.ticks):
        context = market.context(tick, state.available, state.waits, state.attempts)
        answer = ask(context)
        decision = answer.decision or Decision(Action.WAIT, "")
        answers.append(answer)
        moves.append(_move(tick, context, answer, decision, state.survival))
        if moves[-1].fault:
            if sum(1 for move in moves if move.fault) == INVALID_MAX:
                break
        elif decision.action is Action.ABORT:
            break
        elif decision.action is Action.WAIT:
            state.waits += 1
        else:
            _start_job(market, state, decision.vendor_id, decision.max_hours, tick, chance)
            if state.survival == 0:
                break
    return Play(
        scenario=market.scenario,
        variant=market.variant,
        replicate=replicate,
        family=market.family,
        planner=planner,
        complete=state.complete,
        spend=state.spend / market.budget,
        jobs=1,
        jobs_done=state.complete,
        budget=market.budget,
        invalid=sum(1 for move in moves if move.fault),
        refused=sum(answer.refused for answer in answers),
        worst_ms=max(answer.ms for answer in answers),
        planner_cost=sum(answer.amount for answer in answers if answer.fresh),
        moves=tuple(moves),
    )


def _move(tick: int, context: Context, answer: PlannerAnswer, decision: Decision, survival: float) -> Move:
    fault = answer.problem or fault_of(answer.decision, context)
    return Move(
        tick=tick,
        action=decision.action.value,
        vendor_id=decision.vendor_id,
        reason=decision.reason,
        digest=digest(context),
        survival=survival,
        fault=fault,
    )


def _start_job(market: Market, state: _State, vendor_id: str, hours: Decimal, tick: int, chance: Chance) -> None:
    """Starts a job: it succeeds with its chance, and the path goes on where it failed."""
    seller = market.seller(vendor_id)
    amount = cost(market.price(seller, tick), hours)
    attempt = sum(1 for job in state.attempts if job.vendor_id == vendor_id)
    # Too few hours are paid for and never finish.
    success = chance(vendor_id, attempt, tick) if hours >= market.hours else 0.0
    loss = amount - round(amount * market.refund(seller, tick))
    state.complete += state.survival * success
    state.spend += state.survival * (success * amount + (1 - success) * loss)
    state.survival *= 1 - success
    state.available -= loss
    state.waits = 0
    now = market.context(tick, state.available, 0, ()).now
    failed = PastJob(vendor_id, True, False, amount, loss, hours, now, now + market.job_s)
    state.attempts = (*state.attempts, failed)
