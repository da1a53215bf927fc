"""The survey of the market: live quotes, the owner's limits, past jobs. Asks the vendors, writes nothing."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from gpuagent.agent import supply
from gpuagent.agent.past_jobs import job_s, own_past_jobs
from gpuagent.agent.quotes import quotes_of
from gpuagent.agent.suitable import confirmations, unsuitable
from gpuagent.agent.vendors import candidates
from gpuagent.core import budget, months, policy
from gpuagent.core.belief import PAST_JOBS_MAX, learned
from gpuagent.core.context import Candidate, Context, PastJob
from gpuagent.core.hedging import late_s
from gpuagent.core.indices import is_open, missing, next_index, tries_left
from gpuagent.core.model import Job, Quote, Run, Vendor
from gpuagent.core.money import show_usd
from gpuagent.core.outlay import Supply, tag_room
from gpuagent.core.ports import Ports
from gpuagent.core.resume import remainder, rest_hours
from gpuagent.core.run_state import lasting_holds
from gpuagent.core.text import clean
from gpuagent.errors import PayeeChanged, PolicyRefused, VendorError

NAME_MAX, PROBLEM_MAX = 80, 300
ADDRESS = re.compile("0x[0-9a-fA-F]{8,}")


@dataclass(frozen=True, slots=True)
class Survey:
    """context: for planners. quotes and vendors: the records behind it, by vendor_id, with addresses and ids.

    offers, tag_room: of a run with several jobs, what the caps let vendors have of those that are to be bought.
    silent: what vendors without a quote might have of them, at their recorded prices.
    """

    context: Context
    vendors: Mapping[str, Vendor]
    quotes: Mapping[str, Quote]
    offers: tuple[Supply, ...] = ()
    silent: tuple[Supply, ...] = ()
    tag_room: int | None = None


def survey(
    run: Run,
    rules: policy.Policy,
    ports: Ports,
    changed: Callable[[PayeeChanged, Vendor], None] | None = None,
    late: Job | None = None,
) -> Survey:
    """Binding quotes of every candidate vendor, silent ones shown as such, and the refusals of the policy.

    A halted vendor is not asked, and has no quote but the reason. changed: is told of each that named another payee
    than the recorded one, whatever comes of the survey. late: the job to be hedged, None for the next of the run.

    Raises UnknownVendor, and VendorUnauthorized when no vendor quoted and one refused our token.
    """
    vendors = candidates(run, ports.store.vendors(), ports.wallet.token)
    index = late.quote.index if late else next_index(run) or 0
    results = quotes_of(run, vendors, index, rules, ports, changed, late)
    now, network = ports.clock.now(), ports.wallet.token.network
    names = [vendor.vendor_id for vendor in vendors]
    record = ports.store.track_record(run, network, names, now, PAST_JOBS_MAX)
    verdicts = _verdicts(run, rules, record.usage, vendors, [quote for quote, _ in results], index, late)
    past = [*record.past, *own_past_jobs(run)]
    past.sort(key=lambda job: (job.ended_at, job.started_at, job.vendor_id))
    open_jobs = Counter(job.quote.vendor_id for job in run.jobs if is_open(job)) if run.count > 1 else Counter()
    caps = supply.RunCaps(run, rules, record.usage, past, open_jobs)
    if run.count > 1:
        verdicts = supply.provable(verdicts, caps.may_be_proven)
    offers = tuple(
        _candidate(vendor, quote, error, verdicts.get(vendor.vendor_id, ()), past, open_jobs[vendor.vendor_id])
        for vendor, (quote, error) in zip(vendors, results, strict=True)
    )
    quotes = {vendor.vendor_id: quote for vendor, (quote, _) in zip(vendors, results, strict=True) if quote}
    records = {vendor.vendor_id: vendor for vendor in vendors}
    context = _context(run, rules, index, now, offers, past, late)
    if run.count == 1:
        return Survey(context, records, quotes)

    amounts = caps.eligible(index, records, quotes, verdicts)
    context = _among_others(context, run, index, min(amounts.values(), default=0), open_jobs.total())
    hours = context.hours
    recorded = {c.vendor_id: int(c.price_per_hour * hours) for c in offers if c.amount is None and not c.refusals}
    room = tag_room(rules, run, record.usage)
    return Survey(context, records, quotes, caps.supplies(hours, amounts), caps.supplies(hours, recorded), room)


def _context(
    run: Run,
    rules: policy.Policy,
    index: int,
    now: float,
    offers: tuple[Candidate, ...],
    past: Sequence[PastJob],
    late: Job | None,
) -> Context:
    """The context of the decision on one job, as if it were the only one of its run."""
    hours, holds = remainder(run, index).hours, lasting_holds(run)
    hedges = [job for job in run.jobs if job.quote.hedges and is_open(job)]
    return Context(
        goal=run.goal,
        gpu_type=run.gpu_type,
        hours=hours,
        budget=run.budget,
        available=budget.available(run),
        now=now,
        deadline=None,
        decisions_left=tries_left(run, index),
        waits=run.waits,
        job_s=job_s(hours, past),
        candidates=offers,
        past=tuple(past),
        caps=_caps(rules, run),
        hold=sum(job.quote.amount for job in holds),
        hold_ends_at=max((float(job.authorization.valid_before) for job in holds), default=None),
        hedged_vendor=late.quote.vendor_id if late else "",
        late_s=late_s(late, now) if late else 0.0,
        hedge_after_s=run.hedging.after_s,
        hedges_open=len(hedges),
        hedges_held=sum(job.quote.amount for job in hedges),
    )


def _among_others(context: Context, run: Run, index: int, amount: int, open_jobs: int) -> Context:
    """The context of one of several jobs, with what the others need. amount: the lowest quote for this one, or 0."""
    reserve = rest_cost(run, index, context.hours, amount)
    return replace(
        context,
        available=max(context.available - reserve, 0) if reserve else context.available,
        jobs_missing=len(missing(run)),
        jobs_open=open_jobs,
        at_once=run.jobs_open_max,
        reserve=reserve,
    )


def payable(survey: Survey, spendable: int, balance: int) -> Survey:
    """The survey with those quotes marked as refused that the wallet cannot pay; other rules that refuse them stay.

    spendable: of the wallet's balance, what the run has not promised. What only holds stand in the way of may pass.
    """

    def marked(candidate: Candidate) -> Candidate:
        if candidate.amount is None or candidate.amount <= spendable:
            return candidate
        transient = candidate.amount <= balance and (candidate.transient or not candidate.refusals)
        refusals = (*candidate.refusals, "the wallet cannot pay that now")
        return replace(candidate, refusals=refusals, transient=transient)

    candidates = tuple(map(marked, survey.context.candidates))
    return replace(survey, context=replace(survey.context, candidates=candidates))


def rest_cost(run: Run, index: int, hours: Decimal, amount: int) -> int:
    """What the run's other jobs that are still to be bought cost at least, where these hours cost this amount.

    A part of a job has a price that says little of whole ones where some of it is fixed: what those cost before counts.
    """
    rest = rest_hours(run, index)
    before = [job.quote.amount for job in run.jobs if hours < run.max_hours == job.quote.max_hours]
    return min([int(amount * rest / hours), *(int(whole * rest / run.max_hours) for whole in before)])


def _verdicts(
    run: Run,
    rules: policy.Policy,
    usage: policy.Usage,
    vendors: Sequence[Vendor],
    quotes: Sequence[Quote | None],
    index: int,
    late: Job | None,
) -> dict[str, tuple[policy.Refusal, ...]]:
    """Every rule that stands against a purchase from each vendor that quoted."""
    verdicts = {
        vendor.vendor_id: (
            *policy.refusals(rules, run, quote, usage),
            *((policy.Refusal(supply.WORK, why),) if (why := unsuitable(run, vendor, quote, rules)) else ()),
        )
        for vendor, quote in zip(vendors, quotes, strict=True)
        if quote
    }
    if late and late.quote.vendor_id in verdicts:
        verdicts[late.quote.vendor_id] += (policy.Refusal(supply.HEDGE, "it has the job that is late"),)
    able = [vendor_id for vendor_id, refusals in verdicts.items() if not refusals]
    for vendor_id, why in confirmations(run, able, index).items():
        if vendor_id in verdicts:
            verdicts[vendor_id] += (policy.Refusal(supply.CONFIRMATION, why),)
    return verdicts


def _candidate(
    vendor: Vendor,
    quote: Quote | None,
    error: VendorError | PolicyRefused | None,
    refusals: Sequence[policy.Refusal],
    past: Sequence[PastJob],
    open_jobs: int,
) -> Candidate:
    problem = _inert(str(error), PROBLEM_MAX) if error else ""
    # What only an approver can change is a rule against it, and no silence that will pass.
    rules = (problem,) if isinstance(error, PolicyRefused | PayeeChanged) else ()
    return Candidate(
        vendor_id=vendor.vendor_id,
        name=_inert(vendor.name, NAME_MAX),
        price_per_hour=vendor.base_price_per_hour,
        reliability=vendor.reliability,
        amount=quote.amount if quote else None,
        expires_at=quote.expires_at if quote else 0.0,
        eta_s=quote.eta_s if quote else 0.0,
        problem=problem,
        refusals=(*rules, *(refusal.reason for refusal in refusals)),
        transient=bool(refusals) and all(refusal.transient for refusal in refusals),
        learned=learned(vendor.reliability, [job for job in past if job.vendor_id == vendor.vendor_id]),
        open_jobs=open_jobs,
    )


def _inert(text: str, limit: int) -> str:
    """One line, capped, and without an address or a signature for a planner to repeat."""
    return clean(ADDRESS.sub("0x…", text), limit)


def _caps(rules: policy.Policy, run: Run) -> tuple[str, ...]:
    limits = (
        ("a payment", rules.per_payment),
        ("one vendor in this run", rules.vendor_per_run),
        ("one vendor in 24 hours", rules.vendor_per_day),
        ("this wallet in 24 hours", rules.wallet_per_day),
        *((f"all runs tagged {tag}", rules.tag_totals.get(tag)) for tag in run.tags),
    )
    budgets = months.of_run(rules.month_budgets, run.user_id, run.tags)
    texts = [f"{what}: at most {show_usd(limit)}" for what, limit in limits if limit is not None]
    texts += [
        f"all runs {f'tagged {budget.name}' if budget.kind == months.TAG else 'of this user'} in a calendar month: "
        f"at most {show_usd(budget.amount)}"
        for budget in budgets
    ]
    if rules.approval_above is not None:
        texts.append(f"an approver decides on what is above {show_usd(rules.approval_above)}")
    return tuple(texts)
