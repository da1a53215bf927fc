"""The hedge of a late job (core/hedging.py): another vendor is chosen for the same work, within the same rules.

Whatever keeps it from being bought holds up nothing else: that is waited for a few times, then it is said once, and the
late job goes on alone.
"""

from collections.abc import Mapping
from dataclasses import replace

from gpuagent.agent import market
from gpuagent.agent.decide import Deliberation, decide
from gpuagent.agent.guard import check_clocks, check_halt, check_payer
from gpuagent.agent.halt import halt_payee
from gpuagent.agent.market import Survey
from gpuagent.agent.plan import WAIT_OPEN_S, solvent
from gpuagent.core import budget, policy
from gpuagent.core.context import Candidate
from gpuagent.core.events import Event, HedgeDeclined, HedgePostponed, VendorChosen
from gpuagent.core.hedging import late_s, unhedgeable
from gpuagent.core.indices import unbought
from gpuagent.core.model import Action, Decision, Job, Run
from gpuagent.core.money import show_usd
from gpuagent.core.outlay import leaves_rest
from gpuagent.core.ports import Ports
from gpuagent.core.record_size import too_large
from gpuagent.core.run_state import find_job
from gpuagent.core.terms import next_job_id
from gpuagent.core.verdict import hopeless
from gpuagent.errors import ClocksDiffer, Explained, Refused, VendorError

WAITS_MAX = 3
"""Waits in a row for a hedge, each of WAIT_OPEN_S, before it is declined."""


def hedge(run: Run, job_id: str, ports: Ports) -> Event:
    """Collect quotes, let the planner choose among the other vendors, guard its choice. Signs nothing.

    The hedge goes on from the checkpoint from which the late job does, or from none: what the late one leaves is its
    own, and a fault in it must not be the hedge's. Raises ClocksDiffer, ChainError and StoreError.
    """
    late = find_job(run, job_id)
    if why := hopeless(run) or too_large(run):
        return HedgeDeclined(job_id, _reason(late, f"no hedge is bought: {why}", ports), {})
    try:
        return _hedge(run, late, ports)
    except ClocksDiffer:
        raise  # it may not be late at all, and no wait is to end by such a clock
    except (Refused, VendorError, Explained) as error:  # of wallet, rules, vendors or environment: it may pass
        return _put_off(run, late, str(error), {}, 0, ports)


def postponed(run: Run, event: VendorChosen, reason: str, ports: Ports) -> HedgePostponed | HedgeDeclined:
    """The wait after a choice that could not be carried out: another run took what the policy allowed."""
    late = find_job(run, event.quote.hedges)
    return _put_off(run, late, f"not reserved: {reason}", event.data, event.cost, ports)


def _hedge(run: Run, late: Job, ports: Ports) -> Event:
    check_payer(run, ports)
    rules = ports.store.policy()
    check_halt(rules, run)
    check_clocks(ports)
    survey = market.survey(run, rules, ports, lambda error, vendor: halt_payee(error, vendor, ports), late)
    survey = frugal(run, survey)
    if why := _unavailable(survey):
        if any(map(_may_pass, _alternatives(survey))):
            return _put_off(run, late, why, {}, 0, ports)
        return HedgeDeclined(late.job_id, _reason(late, f"no hedge is bought: {why}", ports), {})
    survey, spendable = solvent(run, survey, ports)
    answer = decide(run, survey, spendable, ports)
    return _event(run, late, answer, rules, ports)


def frugal(run: Run, survey: Survey) -> Survey:
    """The survey, in which a quote is refused that leaves too little for the jobs that are still to be bought."""
    count, available = len(unbought(run)), budget.available(run)
    if not count:
        return survey
    room = available if survey.tag_room is None else min(available, survey.tag_room)
    why = f"it leaves too little for the {count} jobs that are still to be bought"

    def judged(candidate: Candidate) -> Candidate:
        amount = candidate.amount
        if amount is None or leaves_rest(survey.offers, candidate.vendor_id, amount, count, room):
            return candidate
        return replace(candidate, refusals=(*candidate.refusals, why), transient=False)

    candidates = tuple(map(judged, survey.context.candidates))
    return replace(survey, context=replace(survey.context, candidates=candidates))


def _unavailable(survey: Survey) -> str:
    """Why no other vendor can have the job now, "" where one can: no planner is asked then."""
    context, problems = survey.context, []
    for candidate in _alternatives(survey):
        problem = "; ".join(candidate.refusals) or candidate.problem
        if candidate.amount is not None and candidate.amount > context.available:
            asks = f"asks {show_usd(candidate.amount)}, and {show_usd(context.available)} are available"
            problem = f"{asks}; {problem}" if problem else asks
        if not problem:
            return ""
        problems.append(f"{candidate.vendor_id}: {problem}")
    return "; ".join(problems) or "no other vendor offers it"


def _alternatives(survey: Survey) -> list[Candidate]:
    """The candidates but the vendor of the late job."""
    return [c for c in survey.context.candidates if c.vendor_id != survey.context.hedged_vendor]


def _may_pass(candidate: Candidate) -> bool:
    """Whether what keeps this vendor from the job may pass: it gives no quote, or time lifts what refuses it."""
    return candidate.transient if candidate.refusals else candidate.amount is None


def _event(run: Run, late: Job, answer: Deliberation, rules: policy.Policy, ports: Ports) -> Event:
    decision, now = answer.decision, ports.clock.now()
    if decision is None or answer.problem:
        return _put_off(run, late, f"no answer counts: {answer.problem}", answer.data, answer.cost, ports)
    if answer.quote:
        if why := unhedgeable(run, late, now):  # while it was thought about, a clock was set back
            return _put_off(run, late, why, answer.data, answer.cost, ports)
        chosen = replace(decision, reason=_reason(late, decision.reason, ports))
        approval = policy.approval(rules, answer.quote, ports.store.now())
        return VendorChosen(next_job_id(run), answer.quote, chosen, now, answer.data, approval, answer.cost)
    if decision.action is Action.ABORT:
        reason = _reason(late, f"no hedge is bought: {decision.reason}", ports)
        return HedgeDeclined(late.job_id, reason, answer.data, answer.cost)
    return _put_off(run, late, decision.reason, answer.data, answer.cost, ports)


def _put_off(
    run: Run, late: Job, why: str, data: Mapping[str, object], cost: int, ports: Ports
) -> HedgePostponed | HedgeDeclined:
    """A wait, or after several the end of them."""
    if run.hedging.waits >= WAITS_MAX:
        return HedgeDeclined(late.job_id, _reason(late, f"no hedge is bought: {why}", ports), data, cost)
    until = ports.clock.now() + WAIT_OPEN_S
    decision = Decision(Action.WAIT, _reason(late, f"waits: {why}", ports), wait_until=until)
    return HedgePostponed(late.job_id, until, decision, data, cost)


def _reason(late: Job, why: str, ports: Ports) -> str:
    """The reason with what the hedge is of, as users read it in the timeline."""
    return f"hedge: {late.quote.vendor_id} is late by {late_s(late, ports.clock.now()):.0f} s; {why}"
