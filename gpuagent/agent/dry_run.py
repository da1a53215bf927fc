"""The dry run: plan, quotes, 402 offers and the policy's verdicts on live vendors. Nothing is signed or reserved."""

from dataclasses import dataclass, replace

from gpuagent.agent import market
from gpuagent.agent.decide import decide
from gpuagent.agent.guard import check_halt, check_payer
from gpuagent.agent.market import Survey
from gpuagent.agent.plan import exhausted, solvent
from gpuagent.core import policy
from gpuagent.core.context import Candidate
from gpuagent.core.model import Action, Decision, Quote, Reserved, Run, RunStatus, Vendor
from gpuagent.core.money import show_usd
from gpuagent.core.orders import order_files, order_text
from gpuagent.core.ports import Ports
from gpuagent.core.shipment import Shipment, shipment
from gpuagent.core.terms import agreed, derived_job_id
from gpuagent.errors import VendorError, WalletUnfunded

NO_DECISION = Decision(Action.ABORT, "no planner was asked")


@dataclass(frozen=True, slots=True)
class Line:
    """One vendor: its quote, or None; every rule that refuses it; whether an approver would have to agree."""

    vendor: Vendor
    quote: Quote | None
    refusals: tuple[str, ...]
    needs_approval: bool = False


@dataclass(frozen=True, slots=True)
class DryRun:
    """The next purchase as it would be. would_pay: the payment of the next ticks, or None; then why_not says why.

    planner_cost: what asking the planner cost, in atomic units. It is charged to no run.
    shipment: what would be sent to whom, None for a run without a workload.
    """

    lines: tuple[Line, ...]
    decision: Decision
    would_pay: Line | None
    why_not: str
    planner_cost: int = 0
    shipment: Shipment | None = None


def simulate(run: Run, ports: Ports) -> DryRun:
    """The run's next purchase as it would be; the run need not be saved. Vendors see a job id of no run.

    A run that has ended, waits for an approval or may try no more jobs buys nothing: no vendor and no planner is asked.
    Raises Refused for another wallet or a halted one, VendorUnauthorized, ChainError.
    """
    if why := _idle(run):
        return DryRun((), NO_DECISION, None, why)
    check_payer(run, ports)
    rules = ports.store.policy()
    check_halt(rules, run)
    survey = market.survey(run, rules, ports)
    return replace(_purchase(run, rules, survey, ports), shipment=_shipment(run, rules, survey))


def _purchase(run: Run, rules: policy.Policy, survey: Survey, ports: Ports) -> DryRun:
    try:
        survey, spendable = solvent(run, survey, ports)
    except WalletUnfunded as error:
        return DryRun(_lines(survey, rules, ports), NO_DECISION, None, str(error))
    lines = _lines(survey, rules, ports)
    answer = decide(run, survey, spendable, ports)
    decision = answer.decision or Decision(Action.ABORT, str(answer.problem))
    if answer.problem or not answer.quote:
        return DryRun(lines, decision, None, str(answer.problem or decision.reason), answer.cost)
    (choice,) = [line for line in lines if line.vendor.vendor_id == decision.vendor_id]
    return DryRun(lines, decision, None if choice.refusals else choice, "; ".join(choice.refusals), answer.cost)


def _shipment(run: Run, rules: policy.Policy, survey: Survey) -> Shipment | None:
    """What the vendors were asked to quote: the same order from each."""
    orders = [quote.order for quote in survey.quotes.values() if quote.order]
    order = orders[0] if orders else order_text(run.workload, None)
    return shipment(order, survey.vendors.values(), rules.inputs_to)


def _idle(run: Run) -> str:
    """Why the run buys nothing, whatever the market offers; "" where that decides."""
    if run.status is not RunStatus.RUNNING:
        return f"the run has {run.status}: {run.reason}"
    for job in run.jobs:
        if isinstance(job, Reserved) and job.unapproved:
            return f"the run waits for approval of {show_usd(job.quote.amount)} for {job.quote.vendor_id}"
    return exhausted(run)


def _lines(survey: Survey, rules: policy.Policy, ports: Ports) -> tuple[Line, ...]:
    return tuple(_line(candidate, survey, rules, ports) for candidate in survey.context.candidates)


def _line(candidate: Candidate, survey: Survey, rules: policy.Policy, ports: Ports) -> Line:
    vendor, quote = survey.vendors[candidate.vendor_id], survey.quotes.get(candidate.vendor_id)
    if quote is None:
        return Line(vendor, None, (candidate.problem,))
    refusals = list(candidate.refusals)
    if quote.amount > survey.context.available:
        refusals.append(f"{show_usd(quote.amount)} is more than the {show_usd(survey.context.available)} available")
    trial = Reserved(derived_job_id(ports.store.new_id(), 0), quote, survey.context.now)
    try:
        # A vendor offers no job whose files it lacks, and a dry run sends none.
        if not order_files(quote.order):
            agreed(ports.vendor_api.challenge(vendor, trial), quote, vendor, ports.wallet.token)
    except VendorError as error:
        refusals.append(str(error))
    return Line(vendor, quote, tuple(refusals), policy.approval(rules, quote, survey.context.now) is not None)
