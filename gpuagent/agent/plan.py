"""Planning: survey the market, let the planner decide, then reserve its choice, wait, or give up."""

from collections.abc import Mapping

from gpuagent.agent import market
from gpuagent.agent.decide import Deliberation, decide
from gpuagent.agent.guard import check_clocks, check_funds, check_halt, check_payer
from gpuagent.agent.halt import halt_payee
from gpuagent.agent.market import Survey, payable
from gpuagent.core import budget, policy
from gpuagent.core.events import Event, PlanAborted, PlanPostponed, VendorChosen
from gpuagent.core.indices import progress, tries, tries_left, unbought
from gpuagent.core.model import Action, Authorized, Decision, Run, Settled
from gpuagent.core.money import show_usd
from gpuagent.core.outlay import capacity, least_cost, tag_room
from gpuagent.core.ports import Ports
from gpuagent.core.record_size import too_large
from gpuagent.core.run_state import has_open_job, lasting_holds
from gpuagent.core.terms import next_job_id
from gpuagent.core.verdict import hopeless
from gpuagent.errors import DecisionRefused

WAIT_MIN_S, WAIT_MAX_S = 1.0, 3600.0
"""The shortest and the longest wait, whatever a planner decides."""
WAIT_OPEN_S = 60.0
"""The wait when no further job can be bought, or no planner gave a usable answer; it ends early with an open job."""
SHORT_WAITS_MAX = 3
"""Waits in a row for a vendor that gives no quote, or for what other runs hold, before a run with several jobs is
stopped early: together longer than an authorization lives."""
WAITS_MAX = 50
"""Waits in a row, with no job begun or ended in between, after which a run is given up."""


def plan(run: Run, ports: Ports) -> Event:
    """Collect quotes, let the planner choose, guard its choice. Reserves on save, signs nothing.

    A vendor that names another payee than the recorded one is halted.

    Raises VendorUnauthorized when no vendor quoted and one refused our token (an operator must fix that), Refused when
    the wallet is another one, is halted or cannot pay, the clocks differ, or the guard says no even to the stub,
    ConfigError when the run's planner is not there; then nothing is written, and nothing was spent on asking a planner.
    """
    check_payer(run, ports)
    rules = ports.store.policy()
    check_halt(rules, run)
    if why := exhausted(run):
        return _give_up(run, why, {}, 0, ports)
    check_clocks(ports)  # before anything is asked: what costs money could not be used
    survey = market.survey(run, rules, ports, lambda error, vendor: halt_payee(error, vendor, ports))
    if why := unaffordable(run, survey):
        waits = _awaits_silent(run, survey, ports) or _awaits_holds(run, survey, rules, ports)
        return waits or _abort(run, why, {}, 0, ports)
    survey, spendable = solvent(run, survey, ports)
    answer = decide(run, survey, spendable, ports)
    if answer.decision is None or answer.problem:
        return _unanswered(answer, ports)
    return _event(run, answer, answer.decision, rules, ports)


def exhausted(run: Run) -> str:
    """The limit that the run has reached, so that no planner is asked; "" for none."""
    if len(run.jobs) >= run.jobs_max:
        return f"{run.jobs_max} jobs were tried, which is this run's limit"
    if run.count > 1:
        counts = tries(run)
        often = max(unbought(run), key=lambda index: counts[index], default=0)
        if tries_left(run, often) <= 0:
            return f"job {often} was tried {counts[often]} times, and no more tries are left for it"
    if why := too_large(run):
        return why
    if run.waits >= WAITS_MAX:
        return f"waited {run.waits} times in a row, and no job could be begun"
    return hopeless(run)


def unaffordable(run: Run, survey: Survey) -> str:
    """Why no further job is begun: what is left of the budget cannot complete the rest at the lowest quotes there are,
    or caps that no time lifts forbid it.

    "" where it may, where no quote says, and of a run with one job.
    """
    context, amount = survey.context, survey.context.cheapest
    if run.count == 1 or not amount:
        return ""
    count, available = len(unbought(run)), budget.available(run)
    rest = f"the {count} that are still to be bought cost" if count > 1 else "the last one that is to be bought costs"
    if (needed := amount + context.reserve) > available:
        allowed = (c.vendor_id for c in context.candidates if c.amount == amount and (c.transient or not c.refusals))
        return f"{rest} at least {show_usd(needed)}, at {next(allowed)}, and {show_usd(available)} are left"
    if why := capped(survey, count):
        return why
    if (needed := least_cost(survey.offers, count)) > available:
        rules = _rules(survey)
        return f"{rest} at least {show_usd(needed)} within the caps ({rules}), and {show_usd(available)} are left"
    is_paying = any(isinstance(job, Authorized | Settled) for job in run.jobs)
    if survey.tag_room is None or is_paying or needed <= survey.tag_room:  # later on a hold elsewhere is waited for
        return ""
    return f"{rest} at least {show_usd(needed)}, and the totals of the run's tags leave {show_usd(survey.tag_room)}"


def capped(survey: Survey, count: int) -> str:
    """Why the caps let no vendors have all of so many jobs, "" where they do."""
    allowed = capacity(survey.offers, count)
    if allowed >= count:
        return ""
    jobs = f"{count} jobs are" if count > 1 else "one job is"
    return f"{jobs} still to be bought, and the caps ({_rules(survey)}) let the vendors have {allowed} more"


def _rules(survey: Survey) -> str:
    return ", ".join(sorted({rule for offer in survey.offers for rule in offer.rules}))


def _awaits_silent(run: Run, survey: Survey, ports: Ports) -> Event | None:
    """A wait for vendors that give no quote now, where the rest could be completed with them at recorded prices."""
    count, possible = len(unbought(run)), (*survey.offers, *survey.silent)
    is_enough = capacity(possible, count) >= count and least_cost(possible, count) <= budget.available(run)
    silent = [offer.vendor_id for offer in survey.silent if offer.jobs_of(count)] if is_enough else []
    if not silent or run.waits >= SHORT_WAITS_MAX:
        return None
    until = ports.clock.now() + WAIT_OPEN_S
    reason = f"the others cannot complete all that is missing, and {', '.join(silent)} gave no quote"
    return PlanPostponed(until, Decision(Action.WAIT, reason, wait_until=until), {})


def _awaits_holds(run: Run, survey: Survey, rules: policy.Policy, ports: Ports) -> Event | None:
    """A wait where other runs have what is missing of a tag's total: some of it may only be held, and come back."""
    count, total = len(unbought(run)), tag_room(rules, run, policy.Usage())
    needed = least_cost(survey.offers, count)
    would_do = capacity(survey.offers, count) >= count and needed <= budget.available(run)
    if not would_do or total is None or needed > total or run.waits >= SHORT_WAITS_MAX:
        return None
    until = ports.clock.now() + WAIT_OPEN_S
    reason = (
        f"the totals of the run's tags leave too little for all {count} jobs, while other runs hold or have paid it"
    )
    return PlanPostponed(until, Decision(Action.WAIT, reason, wait_until=until), {})


def solvent(run: Run, survey: Survey, ports: Ports) -> tuple[Survey, int]:
    """The survey with the quotes that the wallet cannot pay marked as refused, and its balance beyond the run's holds.

    Raises ChainError, and WalletUnfunded when it can pay none of the quotes that the budget and the policy allow: no
    planner need be asked.
    """
    balance = ports.chain.head(ports.wallet.address).balance
    spendable = balance - budget.held(run)
    allowed = [
        survey.quotes[candidate.vendor_id]
        for candidate in survey.context.candidates
        if candidate.amount is not None and candidate.amount <= survey.context.available and not candidate.refusals
    ]
    if allowed:
        check_funds(min(allowed, key=lambda quote: quote.amount), spendable, ports)
    return payable(survey, spendable, balance), spendable


def postponed(event: VendorChosen, reason: str) -> PlanPostponed:
    """The wait after a decision that could not be carried out: another run took what the policy allowed."""
    until = event.at + WAIT_MIN_S
    decision = Decision(Action.WAIT, f"not reserved: {reason}", wait_until=until)
    return PlanPostponed(until, decision, event.data, event.cost)


def _event(run: Run, answer: Deliberation, decision: Decision, rules: policy.Policy, ports: Ports) -> Event:
    now = ports.clock.now()
    if answer.quote:
        approval = policy.approval(rules, answer.quote, ports.store.now())  # on the clock that approvers go by
        job_id = next_job_id(run)
        return VendorChosen(job_id, answer.quote, decision, now, answer.data, approval, answer.cost)
    if decision.action is Action.ABORT:
        return _abort(run, decision.reason, answer.data, answer.cost, ports)
    until = min(max(decision.wait_until, now + WAIT_MIN_S), now + WAIT_MAX_S)
    return PlanPostponed(until, decision, answer.data, answer.cost)


def _abort(run: Run, why: str, data: Mapping[str, object], cost: int, ports: Ports) -> Event:
    """The end of the run, but not while money is held that may come back: then it may be able to buy."""
    holds, now = lasting_holds(run), ports.clock.now()
    if not holds:
        return _give_up(run, why, data, cost, ports)
    # The end of a hold begins a new decision by itself.
    ends_at = min(float(job.authorization.valid_before) for job in holds)
    until = min(max(ends_at, now + WAIT_MIN_S), now + WAIT_MAX_S)
    reason = f"{show_usd(sum(job.quote.amount for job in holds))} are still held for failed work: {why}"
    return PlanPostponed(until, Decision(Action.WAIT, reason, wait_until=until), data, cost)


def _unanswered(answer: Deliberation, ports: Ports) -> Event:
    """No answer counts, not even the stub's: an error, but where asking cost money, that is saved first."""
    problem = answer.problem or DecisionRefused("no planner decided anything")
    if not answer.cost:
        raise problem
    until = ports.clock.now() + WAIT_OPEN_S
    decision = Decision(Action.WAIT, f"no answer counts: {problem}", wait_until=until)
    return PlanPostponed(until, decision, answer.data, answer.cost)


def _give_up(run: Run, reason: str, data: Mapping[str, object], cost: int, ports: Ports) -> Event:
    """The end of the run, unless a job of it is still open: that one may yet reach the goal."""
    if not has_open_job(run):
        return PlanAborted(f"{progress(run)}; {reason}" if run.count > 1 else reason, data, cost)
    until = ports.clock.now() + WAIT_OPEN_S
    return PlanPostponed(until, Decision(Action.WAIT, f"no further job: {reason}", wait_until=until), data, cost)
