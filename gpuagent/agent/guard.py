"""The guard: every rule that a purchase must pass before a signature, in the order in which they are checked.

plan() asks these before it reserves:
- check_payer: the wallet is the run's own, on the run's network
- check_halt: the wallet is not halted
- check_clocks: the clocks of this machine, the database and the chain agree, by which caps and approvals end
- check_payee: a quote names the payee, network and asset of the vendor's record
- check_funds: the wallet can pay beyond what the run has promised: the cheapest quote, then the chosen one
- check_planner: this agent has the planner that the run names
- check_decision: the planner's choice is a live, allowed quote within what the budget has left

authorize() asks these before it signs, after check_payer, check_halt and check_clocks once more:
- policy_problem: the policy in force still allows the reserved purchase, and an approver agreed where one must
- record_problem (core/terms): the vendor is still enabled, with the payee that the quote names
- unsuitable (suitable.py): the vendor can run the workload, and is trusted with its files and secrets if it must be
- check_unspent: the chain holds no spent nonce of the run that the ledger does not know
- check_balance: the wallet holds the payment at the newest block
- check_lifetime: the authorization lives long enough to be sent

pay() asks this before it frees what a chain says can never settle:
- is_expired: this machine or the database is past the authorization's end as well

pay(), claim(), poll() and collect() ask these of a vendor that was paid:
- waited_from: a wait for it begins by the later of this machine's clock and the database's
- lapsed: before it is given up, the wait has lasted too long by the clocks of this machine, the database and the chain
and end_of_work() asks check_clocks for a job that failed: whether its paid time was over decides whose fault that is.

Two pairs stand beside them: core/terms matches the vendor's 402 against the quote and the record (before
check_balance), and adapters/wallets/signing refuses in the wallet itself whatever is not the agreed payment (last).
A vendor that names another payee, in its quote or its 402, is halted (halt.py).
"""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import TypeVar

from gpuagent.core import clocks, policy
from gpuagent.core.context import Context
from gpuagent.core.model import Action, Authorization, Decision, Quote, Reserved, Run, Vendor
from gpuagent.core.money import show_usd
from gpuagent.core.networks import LOCAL
from gpuagent.core.policy import Policy
from gpuagent.core.ports import Ports
from gpuagent.core.ports.chain import Head
from gpuagent.core.terms import is_payee, payee_changed, unsigned_nonces
from gpuagent.errors import (
    ChainMismatch,
    ConfigError,
    DecisionRefused,
    OfferInvalid,
    PolicyRefused,
    Refused,
    StaleRun,
    WalletUnfunded,
)

Verdict = TypeVar("Verdict", bool, str)


def check_payer(run: Run, ports: Ports) -> None:
    """Raises Refused unless the wallet is the run's own, on its network: another one has other nonces and money."""
    if ports.wallet.token.network != run.network:
        raise Refused(f"run {run.run_id} pays on {run.network}, and X402_NETWORK is {ports.wallet.token.network}")
    if ports.wallet.address != run.payer:
        raise Refused(f"run {run.run_id} pays from {run.payer}, and the wallet is {ports.wallet.address}")


def check_halt(rules: Policy, run: Run) -> None:
    """Raises PolicyRefused while the wallet is halted: the run waits until it is resumed."""
    if halt := policy.halt(rules, run.payer):
        raise PolicyRefused(f"{halt.text}. Nothing was signed; `{halt.resume_command}` lets it go on")


def check_clocks(ports: Ports, database: float | None = None) -> float:
    """The time that the three clocks agree on. Raises ClocksDiffer, and ChainError when the chain does not answer.

    database: its clock, where it has just been read. The clock of a local chain does not count: practice turns it.
    """
    practice = ports.wallet.token.network == LOCAL.caip2
    chain = None if practice else ports.chain.head(ports.wallet.address).time
    return clocks.agreed(ports.clock.now(), ports.store.now() if database is None else database, chain)


def check_payee(quote: Quote, vendor: Vendor) -> None:
    """Raises OfferInvalid when the quote names another payee, network or asset than the vendor's record.

    PayeeChanged where it is the payee.
    """
    if not is_payee(quote, vendor):
        terms = (quote.pay_to.lower(), quote.network, quote.asset.lower())
        problem = f"{vendor.vendor_id} wants to be paid otherwise than recorded: {', '.join(terms)}"
        if quote.pay_to.lower() != vendor.pay_to.lower():
            raise payee_changed(problem, quote.pay_to)
        raise OfferInvalid(problem)


def check_funds(quote: Quote, spendable: int, ports: Ports) -> None:
    """Raises WalletUnfunded when the wallet cannot pay the quote on top of all that the run holds."""
    if spendable < quote.amount:
        raise WalletUnfunded(
            f"wallet {ports.wallet.address} has {show_usd(max(spendable, 0))} of {ports.wallet.token.name} on "
            f"{ports.wallet.token.network} to spend, the payment needs {show_usd(quote.amount)}: fund it and tick again"
        )


def check_planner(name: str, ports: Ports) -> None:
    """Raises ConfigError unless this agent has the planner that a run names."""
    if name not in ports.planners:
        raise ConfigError(f"the run's planner is {name!r}, and this agent has {', '.join(ports.planners)}: set it up")


def check_decision(
    decision: Decision, context: Context, quotes: Mapping[str, Quote], now: float, cost: int = 0
) -> Quote | None:
    """The live quote behind a decision to start a job; None for any other decision. Raises DecisionRefused.

    now: Unix seconds, after the planner answered. cost: of its answer, which is no longer available.
    """
    if not isfinite(decision.wait_until):
        raise DecisionRefused("it names no time to wait until")
    if decision.action is not Action.START_JOB:
        return None
    candidate = context.candidate(decision.vendor_id)
    if candidate is None:
        raise DecisionRefused(f"{decision.vendor_id[:80]!r} is not among the candidate vendors")
    quote, available = quotes.get(decision.vendor_id), context.available - cost
    if quote is None:
        raise DecisionRefused(f"{decision.vendor_id} has no live quote: {candidate.problem}")
    if not decision.max_hours.is_finite() or decision.max_hours != context.hours:
        raise DecisionRefused(f"{decision.max_hours} hours chosen, {context.hours} quoted")
    if quote.expires_at <= now:
        raise DecisionRefused(f"the quote of {decision.vendor_id} has expired")
    if quote.amount > available:
        raise DecisionRefused(
            f"{decision.vendor_id} asks {show_usd(quote.amount)}, available are {show_usd(available)}"
        )
    if candidate.refusals:
        raise DecisionRefused(f"{decision.vendor_id}: {'; '.join(candidate.refusals)}")
    return quote


def policy_problem(run: Run, job: Reserved, rules: Policy, now: float, ports: Ports) -> str:
    """Why the policy in force forbids a purchase that an earlier one allowed to reserve; "" when it does not.

    now: as check_clocks() returned it.
    """
    quote = job.quote
    if job.unapproved:
        return "the purchase was not approved in time"
    if job.approval is None and policy.approval(rules, quote, now):
        return f"{show_usd(quote.amount)} needs approval by now"
    usage = ports.store.usage(run, quote.network, [quote.vendor_id], now, job.job_id)
    return "; ".join(refusal.reason for refusal in policy.refusals(rules, run, quote, usage, job.job_id))


def check_unspent(run: Run, ports: Ports) -> None:
    """Raises ChainMismatch for a spent nonce of this run that the ledger has no signature of: its database is older.

    Raises StaleRun where another tick has saved that payment meanwhile.
    """
    spent = ports.chain.spent(run.payer, unsigned_nonces(run, ports.wallet.token))
    if not spent:
        return
    if ports.store.load(run.run_id).version != run.version:
        raise StaleRun(f"run {run.run_id} was paid for by another tick meanwhile")
    raise ChainMismatch(
        f"nonce {spent[0]} of this run is spent, but the ledger knows no payment of it: was an older database "
        "restored? Nothing was signed; `gpuagent books --all` shows what was paid, and "
        f"`gpuagent books {run.run_id} --adopt {spent[0]} --why WHY` books it, so that this run can go on"
    )


def check_balance(quote: Quote, head: Head, ports: Ports) -> None:
    """Raises WalletUnfunded when the wallet holds less than the payment. head: the newest block."""
    if head.balance < quote.amount:
        raise WalletUnfunded(f"wallet {ports.wallet.address} holds {show_usd(head.balance)}, less than the payment")


def check_lifetime(authorization: Authorization, head: Head, vendor: Vendor, ports: Ports) -> None:
    """Raises OfferInvalid when the authorization would expire, on the chain's clock, before it can be sent."""
    if authorization.valid_before <= head.time + ports.pace.send_margin_s:
        raise OfferInvalid(f"the quote or the timeout of {vendor.vendor_id} leaves too little time to pay")


def is_expired(authorization: Authorization, ports: Ports) -> bool:
    """Whether our clocks bear out a chain that says so."""
    return clocks.is_expired(authorization, ports.clock.now(), ports.store.now)


def waited_from(ports: Ports) -> float:
    """The time from which on a vendor that was paid is waited for, by no clock that is behind."""
    return clocks.waited_from(ports.clock.now(), ports.store.now())


def lapsed(verdict: Callable[[float], Verdict], ports: Ports) -> Verdict:
    """The verdict on a wait for a vendor that was paid, where this machine's clock and all three clocks agree on it.

    verdict: takes a time, Unix seconds, and is true when the wait has lasted too long; another vendor is then paid for
    the same work. Where it is true by this machine's clock, raises ClocksDiffer, and ChainError when the chain does not
    answer.
    """
    return verdict(ports.clock.now()) and verdict(check_clocks(ports))
