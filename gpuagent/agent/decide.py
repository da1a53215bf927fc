"""The decision: a planner's answer, held against the guard, with a record of both that can be replayed.

A planner whose answer the guard refuses is asked once more, with the reason. If that does not help, or if it gives no
usable answer, the stub decides. What any of them cost is charged to the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gpuagent.agent.decision_record import Attempt, record
from gpuagent.agent.guard import check_decision, check_funds, check_planner
from gpuagent.agent.market import Survey
from gpuagent.core.model import Decision, Quote, Run
from gpuagent.core.ports import Ports
from gpuagent.core.text import clean
from gpuagent.errors import PlannerError, Refused, WalletUnfunded

FALLBACK = "stub"
REASON_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Deliberation:
    """The attempts, in order, at least one: the last decides. quote: the purchase, if there is one."""

    attempts: tuple[Attempt, ...]
    cost: int
    data: Mapping[str, object]

    @property
    def decision(self) -> Decision | None:
        return self.attempts[-1].decision

    @property
    def quote(self) -> Quote | None:
        return self.attempts[-1].quote

    @property
    def problem(self) -> Refused | PlannerError | None:
        """The reason why even the last answer does not count: nothing may be done then."""
        return self.attempts[-1].problem


def decide(run: Run, survey: Survey, spendable: int, ports: Ports) -> Deliberation:
    """The answer of the run's planner, asked again if refused, else of the stub. spendable: by the wallet.

    Raises ConfigError when the run names a planner that this agent does not have.
    """
    check_planner(run.planner, ports)
    attempts = [_attempt(run.planner, survey, spendable, 0, "", ports)]
    if isinstance(attempts[0].problem, Refused):
        objection = _objection(attempts[0])
        attempts.append(_attempt(run.planner, survey, spendable, attempts[0].cost, objection, ports))
    spent = sum(attempt.cost for attempt in attempts)
    if attempts[-1].problem:
        attempts.append(_attempt(FALLBACK, survey, spendable, spent, "", ports))
        spent += attempts[-1].cost
    return Deliberation(tuple(attempts), spent, record(run.planner, survey.context, attempts))


def _objection(attempt: Attempt) -> str:
    """The guard's refusal in words for the planner; no address is in them."""
    if isinstance(attempt.problem, WalletUnfunded) and attempt.decision:
        return f"the wallet cannot pay what {attempt.decision.vendor_id} asks"
    return str(attempt.problem)


def _attempt(name: str, survey: Survey, spendable: int, spent: int, objection: str, ports: Ports) -> Attempt:
    """Ask once. spent: by earlier attempts, which is not available any more."""
    context = replace(survey.context, available=survey.context.available - spent) if spent else survey.context
    began = ports.clock.now()
    decision: Decision | None = None
    quote: Quote | None = None
    problem: Refused | PlannerError | None = None
    try:
        thought = ports.planners[name].decide(context, objection)
        decision, cost, how = thought.decision, thought.cost, thought.record
        decision = replace(decision, reason=clean(decision.reason, REASON_MAX))
    except PlannerError as error:
        problem, cost, how = error, error.cost, error.record
    now = ports.clock.now()
    if cost > context.available:  # it was told how much there is; what the budget has is all that can be charged
        how = {**how, "uncharged": cost - context.available}
        cost = context.available
    if decision:
        try:
            quote = check_decision(decision, context, survey.quotes, now, cost)
            if quote:
                check_funds(quote, spendable, ports)
        except Refused as error:
            quote, problem = None, error
    return Attempt(name, decision, quote, problem, cost, now - began, how)
