"""Alerts: what a user must learn of without looking. Pure: each follows from a state, and its key makes it one.

An alert is written by the transaction that brings it about, under its key: what is done again writes it no second
time. Amounts are atomic units, times Unix seconds.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gpuagent.core import budget
from gpuagent.core.model import Authorized, Job, Quote, Reserved, Run, RunStatus, Settled
from gpuagent.core.money import show_usd, usd
from gpuagent.core.policy import Halt
from gpuagent.core.text import WHY_MAX, clean

THRESHOLDS = (50, 80, 100)
"""Percent of a budget: of several that are passed at once, the highest is told."""
LATE_S = 600.0
"""A hold is late so long after its own end: until then the next tick is likely to release it."""
TITLE_MAX, TEXT_MAX, GOAL_MAX = 120, 1_000, 200


class AlertKind(StrEnum):
    """The kinds of alert, as they are stored."""

    APPROVAL = "approval"
    FAILED = "failed"
    BUDGET = "budget"
    HALTED = "halted"
    LATE_HOLD = "late_hold"
    BOOKS = "books"


@dataclass(frozen=True, slots=True)
class Purchase:
    """The purchase that an approval request is about, bound to its very quote."""

    run_id: str
    job_id: str
    amount: int
    quote: str
    """The fingerprint of the quote."""
    expires_at: float


@dataclass(frozen=True, slots=True)
class Alert:
    """One event. key: kind, subject and generation: there is never a second alert of the same key.

    expires_at: after which it is not worth sending, 0 for never.
    """

    key: str
    kind: AlertKind
    title: str
    text: str
    run_id: str = ""
    purchase: Purchase | None = None

    @property
    def message_id(self) -> str:
        """The same for every copy of the alert's message, so that a receiver can tell a repeat."""
        return hashlib.sha256(f"gpuagent/alert/{self.key}".encode()).hexdigest()[:24]

    @property
    def expires_at(self) -> float:
        return self.purchase.expires_at if self.purchase else 0.0


def fingerprint(quote: Quote) -> str:
    """The quote in 32 hex digits: another amount, payee, length, order or end gives another one."""
    parts = (
        *(quote.vendor_id, quote.template_id, quote.amount, quote.pay_to, quote.network, quote.asset),
        *(quote.expires_at, quote.gpu_type, quote.max_hours, quote.order, quote.protocol),
    )
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def purchase_of(run_id: str, job: Reserved) -> Purchase:
    """What is asked for, of a job that has a request for approval."""
    expires_at = job.approval.expires_at if job.approval else 0.0
    return Purchase(run_id, job.job_id, job.quote.amount, fingerprint(job.quote), expires_at)


def alerts_of(before: Run, after: Run) -> tuple[Alert, ...]:
    """What a save of a run is to tell."""
    return (*_approvals(before, after), *_failure(before, after), *_run_budget(before, after))


def tag_alerts(totals: Mapping[str, int], used: Mapping[str, int], run: Run, quote: Quote) -> tuple[Alert, ...]:
    """What a reservation is to tell of its tags' budgets. used: what counts against each without it."""
    alerts = []
    for tag in dict.fromkeys(run.tags):
        total, now_used = totals.get(tag), used.get(tag, 0) + quote.amount
        percent = _passed(now_used, total) if total is not None else 0
        if total is not None and percent:
            text = f"Runs tagged {tag} hold or have spent {show_usd(now_used)} of {show_usd(total)}."
            alerts.append(_budget_alert(f"tag:{tag}:{total}", f"tag {tag}", percent, text, run.run_id))
    return tuple(alerts)


def halt_alert(halt: Halt, version: int) -> Alert:
    """version: of the policy that halts first."""
    text = f"{halt.text}. To go on: {halt.resume_command}"
    return _alert(AlertKind.HALTED, f"{halt.kind}:{halt.name}:{version}", f"Payments halted: {halt.scope}", text)


def late_alert(run_id: str, job_id: str, vendor_id: str, amount: int, signed: bool) -> Alert:
    """A hold that outlives its end: signed, past the authorization's life; or reserved, past the quote's."""
    what = "is signed and past its time, and the chain was not asked" if signed else "is reserved, its quote expired"
    text = (
        f"{show_usd(amount)} for {vendor_id} {what}: does anything tick run {run_id}? "
        f"`gpuagent run tick {run_id}` decides it."
    )
    subject = f"{job_id}:{'signed' if signed else 'reserved'}"
    return _alert(AlertKind.LATE_HOLD, subject, f"A hold of {show_usd(amount)} is late", text, run_id)


def books_alert(scope: str, differences: Sequence[str]) -> Alert:
    """The ledger differs from the chain. scope: a run's id, or "all". The same differences are told once."""
    digest = hashlib.sha256("\0".join(sorted(differences)).encode()).hexdigest()[:24]
    run_id = "" if scope == "all" else scope
    command = f"gpuagent books {run_id or '--all'}"
    places = f"{len(differences)} place{'s' * (len(differences) != 1)}"
    text = f"The ledger differs from the chain in {places}, first: {next(iter(differences), '')} See `{command}`."
    return _alert(AlertKind.BOOKS, f"{scope}:{digest}", f"The books differ in {places}", text, run_id)


def _approvals(before: Run, after: Run) -> Iterator[Alert]:
    earlier = {job.job_id for job in before.jobs if _waits(job)}
    for job in after.jobs:
        if isinstance(job, Reserved) and _waits(job) and job.job_id not in earlier:
            quote, amount = job.quote, show_usd(job.quote.amount)
            price = f"{usd(quote.amount).normalize():f}"
            text = (
                f"Run {after.run_id} asks to pay {amount} to {quote.vendor_id} for "
                f"{quote.max_hours:g} h of {quote.gpu_type}. "
                f"`gpuagent run approve {after.run_id} --job {job.job_id} --amount {price}` agrees. "
                f"Its goal: {_goal(after)}"  # the last, for it could pretend to be any of what it stood before
            )
            subject = f"{after.run_id}:{job.job_id}:{fingerprint(quote)}"
            title = f"{amount} for {quote.vendor_id} waits for approval"
            yield _alert(AlertKind.APPROVAL, subject, title, text, after.run_id, purchase_of(after.run_id, job))


def _waits(job: Job) -> bool:
    return isinstance(job, Reserved) and job.unapproved


def _failure(before: Run, after: Run) -> Iterator[Alert]:
    if before.status is not RunStatus.FAILED and after.status is RunStatus.FAILED:
        spent = show_usd(budget.settled(after) + after.planner_cost)
        text = f"Run {after.run_id} ({_goal(after)}) failed: {clean(after.reason, WHY_MAX)}. It spent {spent}."
        yield _alert(AlertKind.FAILED, after.run_id, f"Run failed: {after.goal}", text, after.run_id)


def _run_budget(before: Run, after: Run) -> Iterator[Alert]:
    used, percent = _spent(after), _passed(_spent(after), after.budget)
    if percent > _passed(_spent(before), before.budget):
        text = f"Run {after.run_id} ({_goal(after)}) has spent {show_usd(used)} of {show_usd(after.budget)}."
        yield _budget_alert(f"run:{after.run_id}", f"run {after.goal}", percent, text, after.run_id)


def _goal(run: Run) -> str:
    """The goal, so short that it leaves room for what the alert says."""
    return clean(run.goal, GOAL_MAX)


def _spent(run: Run) -> int:
    """Paid, or signed away; what is only reserved may yet come to nothing."""
    signed = sum(job.quote.amount for job in run.jobs if isinstance(job, Authorized | Settled))
    return signed + run.planner_cost


def _passed(used: int, total: int) -> int:
    """The highest threshold that is reached, in percent; 0 for none."""
    return max((percent for percent in THRESHOLDS if used > 0 and 100 * used >= percent * total), default=0)


def _budget_alert(subject: str, name: str, percent: int, text: str, run_id: str) -> Alert:
    title = f"{percent}% of the budget of {name} is used"
    return _alert(AlertKind.BUDGET, f"{subject}:{percent}", title, text, run_id)


def _alert(
    kind: AlertKind, subject: str, title: str, text: str, run_id: str = "", purchase: Purchase | None = None
) -> Alert:
    return Alert(f"{kind}:{subject}", kind, clean(title, TITLE_MAX), clean(text, TEXT_MAX), run_id, purchase)


@dataclass(frozen=True, slots=True)
class Claimed:
    """An alert that one sender may send to one channel for a while. attempt: the sender's own id.

    doubtful: an earlier sender of it was lost, which may or may not have sent it.
    """

    alert: Alert
    channel: str
    attempt: str
    attempts: int
    doubtful: bool


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel gets. message_id: the same for every repeat."""

    title: str
    text: str = field(repr=False)  # it may hold a link that approves
    message_id: str
