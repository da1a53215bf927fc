"""Play one market with one planner. Inside a run the only possible history is "all failed so far", so one path is all.

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
"""U = P(complete) - LAMBDA E[spend] / B: completion first, spend breaks ties (planner.md, Problem)."""
INVALID_MAX = 5
"""So many invalid decisions end the run."""

digest = lru_cache(maxsize=4096)(Context.digest)
"""A context is asked about, kept and shown: its digest is taken once."""

Chance = Callable[[str, int, int], float]
"""Of (vendor_id, failures there in this run, tick): the chance that the job started now succeeds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a planner said of one context. decision: None where it crashed. ms: how long it took when it was asked.

    amount: what asking cost, in atomic units. refused: how often the guard turned it down before this. fresh: it was
    asked just now, not remembered.
    """

    decision: Decision | None
    ms: float
    amount: int = 0
    problem: str = ""
    refused: int = 0
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Move:
    """One decision on the path. fault: what makes it invalid. alive: the chance that the run got here."""

    tick: int
    action: str
    vendor_id: str
    reason: str
    digest: str
    alive: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Play:
    """complete: P(complete), 0 or 1 in sampled play. spend: E[spend] as a share of the budget."""

    scenario: str
    variant: int
    replicate: int
    family: str
    planner: str
    complete: float
    spend: float
    invalid: int = 0
    refused: int = 0
    worst_ms: float = 0.0
    planner_cost: int = 0
    moves: tuple[Move, ...] = ()

    @property
    def utility(self) -> float:
        return self.complete - LAMBDA * self.spend


def exact(market: Market, planner: str, ask: Callable[[Context], Answer]) -> Play:
    """With the true chances."""
    return _walk(market, planner, ask, lambda vendor, _, tick: market.chance(vendor, tick))


def posterior(market: Market, planner: str, ask: Callable[[Context], Answer]) -> Play:
    """With the chances as the generator must see them, where the file tells: less noise than exact."""
    return _walk(market, planner, ask, market.posterior)


def sampled(market: Market, planner: str, ask: Callable[[Context], Answer], replicate: int) -> Play:
    """With one replicate of the drawn outcomes, which are common to all planners."""

    def drawn(vendor: str, attempt: int, tick: int) -> float:
        return market.outcome(vendor, attempt, tick, replicate)

    return _walk(market, planner, ask, drawn, replicate)


def fault_of(decision: Decision | None, context: Context) -> str:
    """Why the decision is invalid in this context, or "". Hours other than the wanted are a mistake, not invalid."""
    if decision is None:
        return "no decision"
    if decision.action is not Action.START_JOB:
        return ""
    found = [one for one in context.candidates if one.vendor_id == decision.vendor_id]
    if not found:
        return f"{decision.vendor_id!r} is not among the candidate vendors"
    if not decision.max_hours.is_finite() or decision.max_hours <= 0:
        return f"{decision.max_hours} hours cannot be bought"
    if found[0].amount is None:
        return f"{decision.vendor_id} has no live quote: {found[0].problem}"
    if found[0].refusals:
        return f"{decision.vendor_id}: {'; '.join(found[0].refusals)}"
    asked = cost(found[0].price_per_hour, decision.max_hours)
    return f"{decision.vendor_id} asks {asked}, available are {context.available}" if asked > context.available else ""


@dataclass(slots=True)
class _State:
    """Where the path stands."""

    available: int
    alive: float = 1.0
    complete: float = 0.0
    spend: float = 0.0
    waits: int = 0
    tried: tuple[PastJob, ...] = ()


def _walk(market: Market, planner: str, ask: Callable[[Context], Answer], chance: Chance, replicate: int = 0) -> Play:
    state, moves, answers = _State(market.budget), [], []
    for tick in range(market.ticks):
        context = market.seen(tick, state.available, state.waits, state.tried)
        answer = ask(context)
        fault = answer.problem or fault_of(answer.decision, context)
        decision = answer.decision or Decision(Action.WAIT, "")
        moves.append(
            Move(tick, decision.action.value, decision.vendor_id, decision.reason, digest(context), state.alive, fault)
        )
        answers.append(answer)
        if fault:
            if sum(1 for move in moves if move.fault) == INVALID_MAX:
                break
        elif decision.action is Action.ABORT:
            break
        elif decision.action is Action.WAIT:
            state.waits += 1
        else:
            _try(market, state, decision.vendor_id, decision.max_hours, tick, chance)
            if state.alive == 0:
                break
    return Play(
        scenario=market.scenario,
        variant=market.variant,
        replicate=replicate,
        family=market.family,
        planner=planner,
        complete=state.complete,
        spend=state.spend / market.budget,
        invalid=sum(1 for move in moves if move.fault),
        refused=sum(answer.refused for answer in answers),
        worst_ms=max(answer.ms for answer in answers),
        planner_cost=sum(answer.amount for answer in answers if answer.fresh),
        moves=tuple(moves),
    )


def _try(market: Market, state: _State, vendor_id: str, hours: Decimal, tick: int, chance: Chance) -> None:
    """Start a job: it succeeds with its chance, and the path goes on where it failed."""
    seller = market.seller(vendor_id)
    amount = cost(market.price(seller, tick), hours)
    attempt = sum(1 for job in state.tried if job.vendor_id == vendor_id)
    # Too few hours are paid for and never finish.
    success = chance(vendor_id, attempt, tick) if hours >= market.hours else 0.0
    loss = amount - round(amount * market.refund(seller, tick))
    state.complete += state.alive * success
    state.spend += state.alive * (success * amount + (1 - success) * loss)
    state.alive *= 1 - success
    state.available -= loss
    state.waits = 0
    now = market.seen(tick, state.available, 0, ()).now
    failed = PastJob(vendor_id, True, False, amount, loss, hours, now, now + market.job_s)
    state.tried = (*state.tried, failed)
