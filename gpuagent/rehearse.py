"""The dry run: plan, quotes, 402 offers and the policy's verdicts on live vendors. Nothing is signed or reserved."""

from dataclasses import dataclass

from gpuagent import policy
from gpuagent.errors import Refused, VendorError
from gpuagent.model import Action, Decision, Quote, Reserved, Run, Vendor
from gpuagent.money import show_usd
from gpuagent.pay import agreed, check_halt, check_payer, derived_job_id
from gpuagent.plan import check_funds, guard, look
from gpuagent.ports import Candidate, Ports, View


@dataclass(frozen=True, slots=True)
class Line:
    """One vendor: its quote, or None; every rule that refuses it; whether a person would have to approve."""

    vendor: Vendor
    quote: Quote | None
    refused: tuple[str, ...]
    needs_approval: bool = False


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """would_pay: what the next ticks would sign and pay, or None; then why_not says what is in the way."""

    lines: tuple[Line, ...]
    decision: Decision
    would_pay: Line | None
    why_not: str


def rehearse(run: Run, ports: Ports) -> Rehearsal:
    """What the run's next purchase would be; the run need not be saved. Vendors see a job id of no run.

    Raises Refused for another wallet or a halted one, VendorUnauthorized, ChainError.
    """
    check_payer(run, ports)
    rules = ports.store.policy()
    check_halt(rules, run)
    view = look(run, rules, ports)
    lines = tuple(_line(candidate, view, rules, ports) for candidate in view.candidates)
    decision = ports.planners[run.planner].decide(view)
    if decision.action is not Action.START_JOB:
        return Rehearsal(lines, decision, None, decision.reason)
    try:
        check_funds(run, guard(decision, view), ports)
    except Refused as error:
        return Rehearsal(lines, decision, None, str(error))
    (chosen,) = [line for line in lines if line.vendor.vendor_id == decision.vendor_id]
    return Rehearsal(lines, decision, None if chosen.refused else chosen, "; ".join(chosen.refused))


def _line(candidate: Candidate, view: View, rules: policy.Policy, ports: Ports) -> Line:
    vendor, quote = candidate.vendor, candidate.quote
    if quote is None:
        return Line(vendor, None, (candidate.problem,))
    refused = [one.words for one in candidate.refusals]
    if quote.amount > view.available:
        refused.append(f"{show_usd(quote.amount)} is more than the {show_usd(view.available)} available")
    trial = Reserved(derived_job_id(ports.store.new_id(), 0), quote, view.now)
    try:
        agreed(ports.vendor_api.challenge(vendor, trial), quote, vendor, ports.wallet.token)
    except VendorError as error:
        refused.append(str(error))
    return Line(vendor, quote, tuple(refused), policy.approval(rules, quote, view.now) is not None)
