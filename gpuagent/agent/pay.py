"""Authorize and pay. Save before sending, send only what was saved, believe only the chain.

The protocol: authorize() fixes and signs the terms under a nonce that the job determines, and returns them to be
saved. pay() first asks the chain; while the authorization is open it sends the saved bytes, whatever the vendor
answers is ignored but for its job id, and the chain is asked again. Only a final block moves the budget.
EIP-3009: https://eips.ethereum.org/EIPS/eip-3009. x402 v2, scheme exact: https://github.com/coinbase/x402.
"""

import hashlib
import re
from dataclasses import replace

from gpuagent.agent.guard import (
    check_balance,
    check_clocks,
    check_halt,
    check_lifetime,
    check_payer,
    check_unspent,
    is_expired,
    policy_problem,
)
from gpuagent.agent.halt import halt_payee
from gpuagent.agent.postpone import postponed
from gpuagent.agent.suitable import unsuitable
from gpuagent.agent.vendors import find_vendor
from gpuagent.core import policy
from gpuagent.core.events import (
    Event,
    JobClaimed,
    JobDropped,
    PaymentAuthorized,
    PaymentSettled,
    PaymentUnresolved,
    PaymentUnwanted,
    PaymentVoided,
)
from gpuagent.core.indices import completed, is_paid_elsewhere
from gpuagent.core.model import (
    NO_ACCESS,
    TIMEOUT_MAX_S,
    Authorization,
    Authorized,
    Cause,
    Reserved,
    Run,
    RunStatus,
    Settlement,
    Settles,
    Submitted,
    Terms,
    Vendor,
)
from gpuagent.core.ports import EXPIRED, Open, Outcome, Ports, Void
from gpuagent.core.terms import agreed, declined, life_s, nonce, record_problem, timeout_max_s
from gpuagent.core.text import clean
from gpuagent.core.transitions import find_job
from gpuagent.core.work import Completed, Failed, JobEnding, Work, failed_by_vendor
from gpuagent.errors import (
    ChainError,
    FileMissing,
    FileStoreError,
    IllegalTransition,
    PayeeChanged,
    Refused,
    VendorError,
    VendorTokenMissing,
    WalletError,
)

REORG_MARGIN = 64
"""Blocks before the newest one from which a settlement is looked for."""
PROBLEM_MAX = 300
_TRANSACTION = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
NO_CONTENT = hashlib.sha256(b"").hexdigest()


def authorize(run: Run, job_id: str, ports: Ports) -> Event | None:
    """Fetch the 402, match it against the quote and the vendor's record, fix the terms and sign them.

    A reservation that the policy forbids by now, that was not approved in time, or whose vendor has been disabled or
    given another payee, is dropped before that; None for one that an approver may still answer. Put off while the file
    store does not work. Raises Refused,
    StaleRun, VendorTokenMissing, ChainError, ChainMismatch and WalletError, with no signature that left the agent.
    """
    job = find_job(run, job_id)
    if not isinstance(job, Reserved):
        raise IllegalTransition(f"{job} is not reserved")
    now = ports.store.now()  # not ours: what an approver is shown as open no agent ends before
    if job.approval and job.unapproved and now < min(job.approval.expires_at, job.quote.expires_at):
        return None
    if job.quote.expires_at <= now:  # before all that may refuse: the hold is of no more use
        reason = "the purchase was not approved in time" if job.unapproved else "the quote expired, unsigned"
        return JobDropped(job_id, reason, Cause.POLICY if job.unapproved else Cause.UNNEEDED)
    check_payer(run, ports)
    rules = ports.store.policy()
    check_halt(rules, run)
    vendor = find_vendor(job.quote.vendor_id, ports)
    if problem := record_problem(job.quote, vendor) or policy_problem(run, job, rules, check_clocks(ports), ports):
        return JobDropped(job_id, problem, Cause.POLICY)
    if problem := unsuitable(run, vendor, job.quote, rules):
        return JobDropped(job_id, problem, Cause.POLICY)
    check_unspent(run, ports)
    try:
        if run.workload:
            ports.files.size(NO_CONTENT)  # nothing is bought whose files could not be kept
        challenge = ports.vendor_api.challenge(vendor, job)
        longest = timeout_max_s(vendor, rules.authorization_max_s)
        terms = agreed(challenge, job.quote, vendor, ports.wallet.token, longest)
        authorization = _authorization(job, vendor, terms, rules, ports)
    except VendorTokenMissing:
        raise  # our own slip, not the vendor's failure
    except FileMissing as error:
        return JobDropped(job_id, f"{error}: it was to be sent", Cause.UNNEEDED)
    except FileStoreError as error:
        return postponed(job, error)
    except PayeeChanged as error:
        halt_payee(error, vendor, ports)
        return JobDropped(job_id, str(error))
    except VendorError as error:
        return JobDropped(job_id, str(error))
    identifier = job_id if challenge.wants_identifier else ""
    reasons = declined(challenge, terms, job.quote, vendor, ports.wallet.token)
    header = ports.wallet.sign(authorization, terms, identifier)
    return PaymentAuthorized(job_id, authorization, header, reasons)


def pay(run: Run, job_id: str, ports: Ports) -> Event | None:
    """Settled, void, or still unknown. Sends the stored header only while the chain says it is open.

    What is not wanted any more is not sent but cancelled: the run has ended, the policy halts it, the vendor has been
    disabled, given another payee or is not trusted any more, or the run has ended with it over another payment. So is
    what a vendor was to take after work that it failed. An order that a vendor has taken is not sent again.
    """
    job = find_job(run, job_id)
    if not isinstance(job, Authorized):
        raise IllegalTransition(f"{job} is not authorized")
    outcome = ports.chain.outcome(job.authorization)
    reply, order, is_after = "", Submitted(job.vendor_job_id), False
    if job.work is not None:
        if _is_undecided(outcome) and _is_lost(run, job, job.work, ports):
            return _cancel(job, ports)
    elif _may_send(outcome, job.authorization, ports):
        vendor = _wanted_from(run, job, ports)
        if vendor is None or _has_lapsed(outcome, job):
            return _cancel(job, ports)
        try:
            answer = ports.vendor_api.submit(vendor, job)
            order = answer if answer.vendor_job_id else replace(answer, vendor_job_id=job.vendor_job_id)
            reply, is_after = f"job {order.vendor_job_id or 'not named'}", vendor.settles is Settles.AFTER
        except VendorTokenMissing:
            raise  # our own slip: the vendor was not asked
        except VendorError as error:
            reply = str(error)  # says nothing about the money
        outcome = ports.chain.outcome(job.authorization, _named_transaction(order))
    match outcome:
        case Settlement():
            return PaymentSettled(job_id, outcome, ports.clock.now(), order.vendor_job_id, order.access)
        case Void(reason) if reason == EXPIRED and not is_expired(job.authorization, ports):
            return None  # a node that is ahead, or lies: what is out may still be taken
        case Void(reason):
            return PaymentVoided(job_id, reason)
        case Open() if is_after and order.vendor_job_id:
            return JobClaimed(job_id, order.vendor_job_id, ports.clock.now(), order.access)
        case Open():
            is_news = reply != job.last_reply or order.access not in (NO_ACCESS, job.access)
            return PaymentUnresolved(job_id, reply, order.vendor_job_id, order.access) if reply and is_news else None


def _authorization(job: Reserved, vendor: Vendor, terms: Terms, rules: policy.Policy, ports: Ports) -> Authorization:
    wallet, quote = ports.wallet, job.quote
    head = ports.chain.head(wallet.address)
    check_balance(quote, head, ports)
    life = life_s(vendor, terms, rules.authorization_max_s, ports.pace.authorization_s)
    expiry = head.time + life
    authorization = Authorization(
        payer=wallet.address,
        payee=vendor.pay_to,
        amount=quote.amount,
        network=wallet.token.network,
        asset=wallet.token.address,
        nonce=nonce(wallet.token, wallet.address, job.job_id),
        # On the chain's clock, which alone decides; not past the quote, or we would pay a price that lapsed. Where the
        # work comes first, the price is agreed by sending the order in time, and the payment follows it.
        valid_before=expiry if vendor.settles is Settles.AFTER else min(expiry, int(quote.expires_at)),
        from_block=max(0, head.number - REORG_MARGIN),
        life_s=max(life, TIMEOUT_MAX_S),
    )
    check_lifetime(authorization, head, vendor, ports)
    return authorization


def _wanted_from(run: Run, job: Authorized, ports: Ports) -> Vendor | None:
    """The vendor that is to be sent the payment; None where run, rules or record, as they are now, do not want it.

    All is read anew: a user may have cancelled the run since this tick began.
    """
    current, vendor_id = ports.store.load(run.run_id), job.quote.vendor_id
    if current.status is not RunStatus.RUNNING or policy.has_ended_with(current, vendor_id):
        return None
    if job.quote.index in completed(current) or is_paid_elsewhere(current, job):
        return None
    vendor, rules = find_vendor(vendor_id, ports), ports.store.policy()
    problem = record_problem(job.quote, vendor) or unsuitable(current, vendor, job.quote, rules)
    return None if problem or policy.halt(rules, run.payer, vendor_id) else vendor


def _named_transaction(order: Submitted) -> str:
    """The transaction that the vendor says has paid it, "" where it names none: a place to look, no proof."""
    transaction = order.receipt.transaction if order.receipt else ""
    return transaction if _TRANSACTION.fullmatch(transaction) else ""


def _is_lost(run: Run, job: Authorized, work: Work, ports: Ports) -> bool:
    """Whether work that was to be paid once it is done is not wanted any more, or will never be done."""
    if isinstance(work, Failed) and work.ending is JobEnding.SUPERSEDED:
        return True  # it has come to no end: it was told to stop
    if isinstance(work, Completed | Failed):
        return failed_by_vendor(work)  # what came to its end is the vendor's to be paid for, if it wants
    return _wanted_from(run, job, ports) is None


def _has_lapsed(outcome: Outcome, job: Authorized) -> bool:
    """Whether the price is not good any more for an order that no vendor has taken, on the chain's clock."""
    return isinstance(outcome, Open) and outcome.now >= job.quote.expires_at


def _is_undecided(outcome: Outcome) -> bool:
    return isinstance(outcome, Open) and not outcome.used


def _cancel(job: Authorized, ports: Ports) -> Event | None:
    """Ask the token, once, to cancel what may be in the vendor's hands. Else it dies by itself, in a minute or two.

    One that lives longer is not left to that: what could not be sent is tried again, and said once.
    """
    if job.cancellation and (job.authorization.life_s <= TIMEOUT_MAX_S or _TRANSACTION.fullmatch(job.cancellation)):
        return None
    try:
        transaction = ports.wallet.cancel(job.authorization, ports.chain.gas(job.authorization.payer))
        return PaymentUnwanted(job.job_id, ports.chain.send(transaction))
    except (Refused, ChainError, WalletError) as error:
        if job.cancellation:
            return None
        return PaymentUnwanted(job.job_id, problem=clean(str(error), PROBLEM_MAX))  # a node's words may be in it


def _may_send(outcome: Outcome, authorization: Authorization, ports: Ports) -> bool:
    if not isinstance(outcome, Open) or outcome.used:
        return False
    return outcome.now < authorization.valid_before - ports.pace.send_margin_s
