"""The dry run: plan, quotes, 402 offers and the policy's verdicts on live vendors. Nothing is signed or reserved."""

from dataclasses import dataclass, replace

from gpuagent.agent import market
from gpuagent.agent.decide import decide
from gpuagent.agent.guard import check_halt, check_payer
from gpuagent.agent.market import Survey, rest_cost
from gpuagent.agent.plan import exhausted, solvent, unaffordable
from gpuagent.core import policy
from gpuagent.core.context import Candidate
from gpuagent.core.indices import next_index, unbought
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
    shipment: what would be sent to whom, None for a run without a workload. jobs: of a run with several, those that are
    still to be bought, 0 for one with one; cost_of_all: what they cost at this price, or at the lowest there is.
    """

    lines: tuple[Line, ...]
    decision: Decision
    would_pay: Line | None
    why_not: str
    planner_cost: int = 0
    shipment: Shipment | None = None
    jobs: int = 0
    cost_of_all: int = 0

    @property
    def several(self) -> str:
        """What all jobs cost that are still to be bought, in words; "" for a run with one."""
        if not self.jobs:
            return ""
        jobs = f"the {self.jobs} jobs that are" if self.jobs > 1 else "the one job that is"
        return f"{jobs} still to be bought cost {show_usd(self.cost_of_all)} at this price, and more where some fail"


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
    result = replace(_purchase(run, rules, survey, ports), shipment=_shipment(run, rules, survey))
    return _counted(result, run, survey) if run.count > 1 else result


def _counted(result: DryRun, run: Run, survey: Survey) -> DryRun:
    """With what all jobs cost that are still to be bought."""
    chosen = result.would_pay.quote if result.would_pay else None
    amount = chosen.amount if chosen else survey.context.cheapest
    rest = rest_cost(run, next_index(run) or 0, survey.context.hours, amount)
    return replace(result, jobs=len(unbought(run)), cost_of_all=amount + rest)


def _purchase(run: Run, rules: policy.Policy, survey: Survey, ports: Ports) -> DryRun:
    if why := unaffordable(run, survey):
        return DryRun(_lines(survey, rules, ports), NO_DECISION, None, why)
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
    if next_index(run) is None:
        return "each job that is missing is open"
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
