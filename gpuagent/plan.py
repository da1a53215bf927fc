"""Choose a vendor: what the planner sees, and the guard that checks what it answers."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from gpuagent import budget, policy
from gpuagent.errors import (
    DecisionRefused,
    OfferInvalid,
    UnknownVendor,
    VendorError,
    VendorUnauthorized,
    WalletUnfunded,
)
from gpuagent.events import Event, PlanAborted, PlanPostponed, VendorChosen
from gpuagent.model import Action, Cause, Completed, Decision, Failed, Quote, Run, Settled, Token, Vendor, Voided
from gpuagent.money import show_usd
from gpuagent.pay import check_halt, check_payer, derived_job_id
from gpuagent.ports import Candidate, Ports, View
from gpuagent.transitions import has_open_job

WAIT_MIN_S, WAIT_MAX_S = 1.0, 3600.0
"""A decision to wait is held to these bounds, so that no run spins and none waits for ever."""
WAIT_OPEN_S = 60.0
"""No further job can be bought: planning waits so long, or until an open job ends."""


def plan(run: Run, ports: Ports) -> Event:
    """Collect quotes, let the planner choose, guard its choice. Reserves on save, signs nothing.

    Raises VendorUnauthorized when no vendor quoted and one refused our token (a person must fix that), Refused when
    the wallet is another one, is halted or cannot pay, or the guard says no; then nothing is written.
    """
    check_payer(run, ports)
    rules = ports.store.policy()
    check_halt(rules, run)
    if len(run.jobs) >= run.jobs_max:
        return _give_up(run, f"{run.jobs_max} jobs were tried, which is this run's limit", {}, ports)
    view = look(run, rules, ports)
    decision = ports.planners[run.planner].decide(view)
    data = record(run.planner, view, decision)
    match decision.action:
        case Action.ABORT:
            return _give_up(run, decision.reason, data, ports)
        case Action.WAIT:
            until = min(max(decision.wait_until, view.now + WAIT_MIN_S), view.now + WAIT_MAX_S)
            return PlanPostponed(until, decision, data)
        case Action.START_JOB:
            quote = guard(decision, view)
            check_funds(run, quote, ports)
            now = ports.clock.now()
            job_id, approval = derived_job_id(run.run_id, len(run.jobs)), policy.approval(rules, quote, now)
            return VendorChosen(job_id, quote, decision, now, data, approval)


def postponed(event: VendorChosen, reason: str) -> PlanPostponed:
    """The decision could not be carried out: another run took what the policy allowed. Plan again, soon."""
    until = event.at + WAIT_MIN_S
    return PlanPostponed(until, Decision(Action.WAIT, f"not reserved: {reason}", wait_until=until), event.data)


def _give_up(run: Run, reason: str, data: Mapping[str, object], ports: Ports) -> Event:
    """The end of the run, unless a job of it is still open: that one may yet reach the goal."""
    if not has_open_job(run):
        return PlanAborted(reason, data)
    until = ports.clock.now() + WAIT_OPEN_S
    return PlanPostponed(until, Decision(Action.WAIT, f"no further job: {reason}", wait_until=until), data)


def look(run: Run, rules: policy.Policy, ports: Ports) -> View:
    """What the planner sees: binding quotes from every candidate vendor, silent ones shown as such, and what the
    policy forbids.
    """
    vendors = candidates(run, ports.store.vendors(), ports.wallet.token)
    with ThreadPoolExecutor(max_workers=max(1, len(vendors))) as pool:
        quoted = list(pool.map(lambda vendor: _ask(run, vendor, ports), vendors))
    refused = [error for _, error in quoted if isinstance(error, VendorUnauthorized)]
    if refused and all(quote is None for quote, _ in quoted):
        raise refused[0]
    now = ports.clock.now()
    usage = ports.store.usage(run, ports.wallet.token.network, [vendor.vendor_id for vendor in vendors], now)
    return View(
        goal=run.goal,
        gpu_type=run.gpu_type,
        max_hours=run.max_hours,
        budget=run.budget,
        available=budget.available(run),
        now=now,
        waits=run.waits,
        candidates=tuple(
            Candidate(
                vendor,
                quote,
                str(error) if error else "",
                policy.refusals(rules, run, quote, usage) if quote else (),
            )
            for vendor, (quote, error) in zip(vendors, quoted, strict=True)
        ),
        past=past(run),
    )


def candidates(run: Run, vendors: Sequence[Vendor], token: Token) -> list[Vendor]:
    """The enabled vendors that the run allows, that offer its GPU and take our token. Raises UnknownVendor."""
    known = {vendor.vendor_id: vendor for vendor in vendors}
    missing = [name for name in run.vendor_ids if name not in known]
    if missing:
        raise UnknownVendor(f"no vendor {missing[0]!r}; known: {', '.join(known) or 'none'}")
    allowed = [known[name] for name in run.vendor_ids] if run.vendor_ids else list(vendors)
    return [
        vendor
        for vendor in allowed
        if vendor.enabled
        and run.gpu_type in vendor.gpu_types
        and (vendor.network, vendor.asset.lower()) == (token.network, token.address.lower())
    ]


def past(run: Run) -> tuple[tuple[str, bool], ...]:
    """Ended jobs as (vendor_id, succeeded); a purchase that fell through by the vendor's doing is a failure."""
    ended: list[tuple[str, bool]] = []
    for job in run.jobs:
        match job:
            case Voided(cause=Cause.VENDOR) | Settled(work=Failed()):
                ended.append((job.quote.vendor_id, False))
            case Settled(work=Completed()):
                ended.append((job.quote.vendor_id, True))
    return tuple(ended)


def guard(decision: Decision, view: View) -> Quote:
    """The live quote that the decision stands for. Raises DecisionRefused: known, right, affordable or no."""
    found = [c for c in view.candidates if c.vendor.vendor_id == decision.vendor_id]
    if not found:
        raise DecisionRefused(f"{decision.vendor_id!r} is not among the candidate vendors")
    quote = found[0].quote
    if quote is None:
        raise DecisionRefused(f"{decision.vendor_id} has no live quote: {found[0].problem}")
    if decision.max_hours != view.max_hours:
        raise DecisionRefused(f"{decision.max_hours} hours chosen, {view.max_hours} quoted")
    if quote.expires_at <= view.now:
        raise DecisionRefused(f"the quote of {decision.vendor_id} has expired")
    if quote.amount > view.available:
        raise DecisionRefused(
            f"{decision.vendor_id} asks {show_usd(quote.amount)}, available are {show_usd(view.available)}"
        )
    if found[0].refusals:
        raise DecisionRefused(f"{decision.vendor_id}: {'; '.join(one.words for one in found[0].refusals)}")
    return quote


def check_payee(quote: Quote, vendor: Vendor) -> None:
    """Raises OfferInvalid when the quote names another payee, network or asset than the vendor's record."""
    named = (quote.pay_to.lower(), quote.network, quote.asset.lower())
    if named != (vendor.pay_to.lower(), vendor.network, vendor.asset.lower()):
        raise OfferInvalid(f"{vendor.vendor_id} wants to be paid otherwise than recorded: {', '.join(named)}")


def record(planner: str, view: View, decision: Decision) -> Mapping[str, object]:
    """What the planner saw and answered, as it is stored with the decision. Amounts are atomic units."""
    return {
        "planner": planner,
        "action": decision.action.value,
        "vendorId": decision.vendor_id,
        "maxHours": str(decision.max_hours),
        "available": str(view.available),
        "candidates": [
            {
                "vendorId": c.vendor.vendor_id,
                "reliability": c.vendor.reliability,
                "amount": str(c.quote.amount) if c.quote else None,
                "problem": c.problem,
                "refusals": [one.words for one in c.refusals],
            }
            for c in view.candidates
        ],
    }


def _ask(run: Run, vendor: Vendor, ports: Ports) -> tuple[Quote | None, VendorError | None]:
    try:
        quote = ports.vendor_api.quote(vendor, run.goal, run.gpu_type, run.max_hours)
        check_payee(quote, vendor)
    except VendorError as error:
        return None, error
    return quote, None


def check_funds(run: Run, quote: Quote, ports: Ports) -> None:
    """Raises WalletUnfunded when the wallet cannot pay for this on top of all that the run holds."""
    needed = budget.held(run) + quote.amount
    balance = ports.chain.head(ports.wallet.address).balance
    if balance < needed:
        raise WalletUnfunded(
            f"wallet {ports.wallet.address} holds {show_usd(balance)} of {ports.wallet.token.name} "
            f"on {ports.wallet.token.network}, the payment needs {show_usd(needed)}: fund it and tick again"
        )
