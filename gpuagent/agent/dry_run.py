"""The dry run: plan, quotes, 402 offers and the policy's verdicts on live vendors. Nothing is signed or reserved."""

from dataclasses import dataclass

from gpuagent.agent import market
from gpuagent.agent.decide import decide
from gpuagent.agent.guard import check_halt, check_payer
from gpuagent.agent.market import Survey
from gpuagent.agent.plan import exhausted, solvent
from gpuagent.core import policy
from gpuagent.core.context import Candidate
from gpuagent.core.model import Action, Decision, Quote, Reserved, Run, RunStatus, Vendor
from gpuagent.core.money import show_usd
from gpuagent.core.ports import Ports
from gpuagent.core.terms import agreed, derived_job_id
from gpuagent.errors import VendorError, WalletUnfunded

NOBODY_ASKED = Decision(Action.ABORT, "nobody was asked")


@dataclass(frozen=True, slots=True)
class Line:
    """One vendor: its quote, or None; every rule that refuses it; whether a person would have to approve."""

    vendor: Vendor
    quote: Quote | None
    refused: tuple[str, ...]
    needs_approval: bool = False


@dataclass(frozen=True, slots=True)
class DryRun:
    """would_pay: what the next ticks would sign and pay, or None; then why_not says what is in the way.

    planner_cost: what asking the planner cost, in atomic units. It is charged to no run.
    """

    lines: tuple[Line, ...]
    decision: Decision
    would_pay: Line | None
    why_not: str
    planner_cost: int = 0


def simulate(run: Run, ports: Ports) -> DryRun:
    """What the run's next purchase would be; the run need not be saved. Vendors see a job id of no run.

    A run that has ended, waits for a person or may try no more jobs buys nothing: no vendor and no planner is asked.
    Raises Refused for another wallet or a halted one, VendorUnauthorized, ChainError.
    """
    if why := _idle(run):
        return DryRun((), NOBODY_ASKED, None, why)
    check_payer(run, ports)
    rules = ports.store.policy()
    check_halt(rules, run)
    survey = market.survey(run, rules, ports)
    try:
        survey, spendable = solvent(run, survey, ports)
    except WalletUnfunded as error:
        return DryRun(_lines(survey, rules, ports), NOBODY_ASKED, None, str(error))
    lines = _lines(survey, rules, ports)
    found = decide(run, survey, spendable, ports)
    decision = found.decision or Decision(Action.ABORT, str(found.problem))
    if found.problem or not found.quote:
        return DryRun(lines, decision, None, str(found.problem or decision.reason), found.cost)
    (chosen,) = [line for line in lines if line.vendor.vendor_id == decision.vendor_id]
    return DryRun(lines, decision, None if chosen.refused else chosen, "; ".join(chosen.refused), found.cost)


def _idle(run: Run) -> str:
    """Why the run buys nothing, whatever the market offers; "" where that decides."""
    if run.status is not RunStatus.RUNNING:
        return f"the run has {run.status}: {run.reason}"
    for job in run.jobs:
        if isinstance(job, Reserved) and job.unapproved:
            return f"the run waits for a person to approve {show_usd(job.quote.amount)} for {job.quote.vendor_id}"
    return exhausted(run)


def _lines(survey: Survey, rules: policy.Policy, ports: Ports) -> tuple[Line, ...]:
    return tuple(_line(candidate, survey, rules, ports) for candidate in survey.context.candidates)


def _line(candidate: Candidate, survey: Survey, rules: policy.Policy, ports: Ports) -> Line:
    vendor, quote = survey.vendors[candidate.vendor_id], survey.quotes.get(candidate.vendor_id)
    if quote is None:
        return Line(vendor, None, (candidate.problem,))
    refused = list(candidate.refusals)
    if quote.amount > survey.context.available:
        refused.append(f"{show_usd(quote.amount)} is more than the {show_usd(survey.context.available)} available")
    trial = Reserved(derived_job_id(ports.store.new_id(), 0), quote, survey.context.now)
    try:
        agreed(ports.vendor_api.challenge(vendor, trial), quote, vendor, ports.wallet.token)
    except VendorError as error:
        refused.append(str(error))
    return Line(vendor, quote, tuple(refused), policy.approval(rules, quote, survey.context.now) is not None)
