"""The owner's policy: caps, approvals and halts, whatever a planner or a vendor wants. Pure; stored elsewhere.

Amounts are atomic units; None means no such limit. A day is any 24 hours, so that nothing resets at a midnight
that clocks disagree about. The database holds a reservation against these rules in the transaction that writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuagent.core import months
from gpuagent.core.model import Approval, Authorized, Cause, Quote, Reserved, Run, Settled, Voided
from gpuagent.core.money import show_usd
from gpuagent.core.months import BudgetKey, MonthBudget
from gpuagent.core.rules import ANY_VENDOR, RULES
from gpuagent.core.run_state import ends_its_vendor
from gpuagent.core.zones import UTC_NAME
from gpuagent.errors import BadInput

DAY_S = 86_400.0
APPROVAL_MAX_S = 30 * DAY_S
EVERY_WALLET = "*"
PROVEN_AFTER = 3
"""Completed jobs after which a vendor is not new any more."""


@dataclass(frozen=True, slots=True)
class Halt:
    """The kill switch, thrown. kind: vendor or wallet; name: its id or address, or EVERY_WALLET.

    at: Unix seconds, 0 in a policy that was recorded before halts had it.
    """

    kind: str
    name: str
    by: str
    why: str
    at: float = 0.0

    @property
    def text(self) -> str:
        """Who halted what, and why, as users read it."""
        return f"{self.by} halted {self.scope}: {self.why}"

    @property
    def scope(self) -> str:
        """What is halted, in words."""
        return "all wallets" if self.name == EVERY_WALLET else f"{self.kind} {self.name}"

    @property
    def resume_command(self) -> str:
        """The command that ends it, as a shell takes it: `*` there names the files of a folder."""
        name = "all" if self.name == EVERY_WALLET else self.name
        return f"gpuagent policy resume {self.kind} {name} --why 'what has changed'"


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of the rules. tag_totals: for each tag, all that its runs may ever spend together.

    approval_above: a payment of more than this waits for an approver, at most approval_s seconds. inputs_to: which
    vendors get the user's files, any or only trusted ones. file_max, run_files_max: bytes of one file, and of all that
    come back in a run. keep_files_s, keep_files_max: for how many seconds, and up to how many bytes in all, the files
    of finished runs are kept; None for ever, without limit. keep_observations_s: for how many seconds observations of
    finished runs stay in the database before they go to the file store. authorization_max_s: the longest life of an
    authorization, where a vendor's record asks for a long one. new_vendor: what a vendor that is not proven may hold
    and get in all. month_budgets: of tags and users, for each calendar month in the time zone month_zone.
    """

    version: int = 0
    per_payment: int | None = None
    vendor_per_run: int | None = None
    vendor_per_day: int | None = None
    wallet_per_day: int | None = None
    tag_totals: Mapping[str, int] = field(default_factory=dict)
    approval_above: int | None = None
    approval_s: float = 3600
    halts: tuple[Halt, ...] = ()
    inputs_to: str = ANY_VENDOR
    file_max: int = 64_000_000
    run_files_max: int = 512_000_000
    keep_files_s: int | None = None
    keep_files_max: int | None = None
    keep_observations_s: int | None = None
    authorization_max_s: int = 3600
    new_vendor: int | None = 5_000_000
    month_budgets: tuple[MonthBudget, ...] = ()
    month_zone: str = UTC_NAME

    @property
    def vendor_halts(self) -> Mapping[str, Halt]:
        """The halts of single vendors, by their ids."""
        return {halt.name: halt for halt in self.halts if halt.kind == "vendor"}


@dataclass(frozen=True, slots=True)
class Limit:
    """An amount among the rules. name: the field of Policy; key: its name in MongoDB and JSON; label: for users.

    optional: policies that were recorded before there was this limit lack it, and have the usual one of Policy.
    """

    name: str
    key: str
    label: str
    optional: bool = False

    def of(self, policy: Policy) -> int | None:
        amount: int | None = getattr(policy, self.name)
        return amount


LIMITS = (
    Limit("per_payment", "perPayment", "each payment"),
    Limit("vendor_per_run", "vendorPerRun", "a vendor in a run"),
    Limit("vendor_per_day", "vendorPerDay", "a vendor in 24 h"),
    Limit("wallet_per_day", "walletPerDay", "a wallet in 24 h"),
    Limit("approval_above", "approvalAbove", "approval above"),
    Limit("new_vendor", "newVendor", "a new vendor in all", optional=True),
)
NEW_VENDOR = f"new vendor, until {PROVEN_AFTER} of its jobs completed"
FIRST = Policy(version=1, per_payment=25_000_000, wallet_per_day=100_000_000)
"""The first policy, until an owner sets another: enough to try, too little to ruin a user."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The amounts held, or settled in the last DAY_S, by the wallet and at each vendor; for tags, ever.

    new_vendors: held, or settled ever, at each vendor whose record says that it is not proven, and of whose jobs fewer
    than PROVEN_AFTER have completed. months: held, or settled this month, by the key of each budget of the run.
    """

    wallet_day: int = 0
    vendor_day: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, int] = field(default_factory=dict)
    new_vendors: Mapping[str, int] = field(default_factory=dict)
    months: Mapping[BudgetKey, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that forbids a purchase. transient: time, or a hold that is released, may lift it."""

    rule: str
    reason: str
    transient: bool = False


def refusals(policy: Policy, run: Run, quote: Quote, usage: Usage, job_id: str = "") -> tuple[Refusal, ...]:
    """Every rule that this purchase would break. usage, and the run's other jobs, without the purchase itself."""
    verdicts = [
        _halted(policy, run.payer, quote.vendor_id),
        _ended(run, quote.vendor_id),
        _rejected(run, quote),
        *_capped(policy, run, quote, usage),
    ]
    at_vendor = sum(
        job.quote.amount
        for job in run.jobs
        if isinstance(job, Reserved | Authorized | Settled)
        and job.quote.vendor_id == quote.vendor_id
        and job.job_id != job_id
    )
    verdicts.append(_cap("vendor per run", policy.vendor_per_run, at_vendor, quote.amount))
    return tuple(refusal for refusal in verdicts if refusal)


def halt(policy: Policy, payer: str, vendor_id: str = "") -> Halt | None:
    """The halt that forbids this wallet, or this vendor, a new signature."""
    names = {("wallet", EVERY_WALLET), ("wallet", payer.lower()), ("vendor", vendor_id)}
    return next((halt for halt in policy.halts if (halt.kind, halt.name) in names), None)


def approval(policy: Policy, quote: Quote, now: float) -> Approval | None:
    """The request that this purchase needs, if any. It ends with the quote: the price approved is the price paid."""
    if policy.approval_above is None or quote.amount <= policy.approval_above:
        return None
    return Approval(now, min(now + policy.approval_s, quote.expires_at))


def loosenings(before: Policy, after: Policy) -> tuple[str, ...]:
    """The changes by which the newer rules allow more than the older, in words."""
    raised = [
        f"{limit.name}: {_limit(limit.of(before))} to {_limit(limit.of(after))}"
        for limit in LIMITS
        if _above(limit.of(after), limit.of(before))
    ]
    raised += [
        f"tag {tag}: {_limit(total)} to {_limit(after.tag_totals.get(tag))}"
        for tag, total in before.tag_totals.items()
        if _above(after.tag_totals.get(tag), total)
    ]
    raised += filter(None, (rule.loosening(before, after) for rule in RULES))
    raised += _loosened_months(before, after)
    still = {(halt.kind, halt.name) for halt in after.halts}
    raised += [f"{halt.kind} {halt.name}: resumed" for halt in before.halts if (halt.kind, halt.name) not in still]
    return tuple(raised)


def check(policy: Policy) -> Policy:
    """The policy itself. Raises BadInput for rules that cannot be meant."""
    for limit in LIMITS:
        amount = limit.of(policy)
        if amount is not None and amount < 0:
            raise BadInput(f"{limit.name} is 0 USD or more; write `none` for no limit")
    if any(total < 0 or not tag for tag, total in policy.tag_totals.items()):
        raise BadInput("a tag's total is NAME=USD, 0 or more")
    for rule in RULES:
        if problem := rule.problem(rule.of(policy)):
            raise BadInput(problem)
    if problem := months.problem(policy.month_budgets, policy.month_zone):
        raise BadInput(problem)
    if not 0 < policy.approval_s <= APPROVAL_MAX_S:
        raise BadInput("a request for approval waits more than 0 s and at most 30 days")
    return policy


def _capped(policy: Policy, run: Run, quote: Quote, usage: Usage) -> list[Refusal | None]:
    return [
        _cap("payment", policy.per_payment, 0, quote.amount),
        _cap("vendor per day", policy.vendor_per_day, usage.vendor_day.get(quote.vendor_id, 0), quote.amount, True),
        _cap("wallet per day", policy.wallet_per_day, usage.wallet_day, quote.amount, True),
        _cap(NEW_VENDOR, policy.new_vendor, usage.new_vendors[quote.vendor_id], quote.amount)
        if quote.vendor_id in usage.new_vendors
        else None,
        *(
            _cap(f"tag {tag}", policy.tag_totals.get(tag), usage.tags.get(tag, 0), quote.amount, True)
            for tag in dict.fromkeys(run.tags)
        ),
        *(
            _cap(
                f"{budget.kind} {budget.name} per month",
                budget.amount,
                usage.months.get(budget.key, 0),
                quote.amount,
                True,
            )
            for budget in months.of_run(policy.month_budgets, run.user_id, run.tags)
        ),
    ]


def _cap(rule: str, cap: int | None, used: int, amount: int, transient: bool = False) -> Refusal | None:
    if cap is None or used + amount <= cap:
        return None
    spent = f", of which {show_usd(used)} are used" if used else ""
    reason = f"{show_usd(amount)} would exceed the cap of {show_usd(cap)} ({rule}){spent}"
    return Refusal(rule, reason, transient and amount <= cap)


def _halted(policy: Policy, payer: str, vendor_id: str) -> Refusal | None:
    order = halt(policy, payer, vendor_id)
    return Refusal(f"halt of {order.kind}", order.text) if order else None


def has_ended_with(run: Run, vendor_id: str) -> bool:
    """Whether the run pays this vendor no more: it took a payment, and left it to a dispute or failed at once."""
    return any(ends_its_vendor(job, vendor_id) for job in run.jobs)


def _ended(run: Run, vendor_id: str) -> Refusal | None:
    if not has_ended_with(run, vendor_id):
        return None
    # No word of the vendor's own: planners read this.
    reason = f"a job that this run paid {vendor_id} for was disputed or failed within seconds"
    return Refusal("dispute", f"{reason}; only `gpuagent run readmit` lets the run pay it again")


def _rejected(run: Run, quote: Quote) -> Refusal | None:
    for job in run.jobs:
        if not isinstance(job, Voided) or job.cause is not Cause.PERSON:
            continue
        if job.quote.vendor_id == quote.vendor_id and quote.amount >= job.quote.amount:
            return Refusal("rejection", f"at {show_usd(job.quote.amount)} it was {job.reason}")
    return None


def _loosened_months(before: Policy, after: Policy) -> list[str]:
    """Another zone counts as more: a month that begins earlier there leaves what was spent behind."""
    amounts = {budget.key: budget.amount for budget in after.month_budgets}
    raised = [
        f"{budget.kind} {budget.name} per month: {_limit(budget.amount)} to {_limit(amounts.get(budget.key))}"
        for budget in before.month_budgets
        if _above(amounts.get(budget.key), budget.amount)
    ]
    moved = before.month_budgets and before.month_zone != after.month_zone
    return [*raised, *([f"month_zone: {before.month_zone} to {after.month_zone}"] if moved else [])]


def _above(after: int | None, before: int | None) -> bool:
    return before is not None and (after is None or after > before)


def _limit(amount: int | None) -> str:
    return "no limit" if amount is None else show_usd(amount)
