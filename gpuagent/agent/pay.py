"""Authorize and pay. Save before sending, send only what was saved, believe only the chain.

authorize() signs the agreed terms under a nonce that the job determines, and returns them to be saved. pay() first asks
the chain; while the authorization is open, it sends the saved bytes and asks the chain again. Of the vendor's answer
only the job id counts, and only a final block moves the budget.
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
    waited_from,
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
from gpuagent.core.ports import Ports
from gpuagent.core.ports.chain import EXPIRED, Open, Outcome, Void
from gpuagent.core.run_state import find_job
from gpuagent.core.terms import agreed, declined, life_s, nonce, record_problem, timeout_max_s
from gpuagent.core.text import clean
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
"""Blocks before the newest one at signing, from which on the settlement is searched for."""
PROBLEM_MAX = 300
_TRANSACTION = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
NO_CONTENT = hashlib.sha256(b"").hexdigest()


def authorize(run: Run, job_id: str, ports: Ports) -> Event | None:
    """Fetch the 402, match it against the quote and the vendor's record, fix the terms and sign them.

    A reservation that the policy forbids by now, that was not approved in time, or whose vendor has been disabled or
    given another payee, is dropped before that; None for one that an approver may still answer. It waits while the file
    store does not work.

    Raises Refused, StaleRun, VendorTokenMissing, ChainError, ChainMismatch and WalletError, with no signature that left
    the agent.
    """
    job = find_job(run, job_id)
    if not isinstance(job, Reserved):
        raise IllegalTransition(f"{job} is not reserved")
    now = ports.store.now()  # not ours: approvers see the request as open by this clock
    if job.approval and job.unapproved and now < min(job.approval.expires_at, job.quote.expires_at):
        return None
    if job.quote.expires_at <= now:  # before all that may refuse: the hold is of no more use
        reason = "the purchase was not approved in time" if job.unapproved else "the quote expired, unsigned"
        return JobDropped(job_id, reason, Cause.POLICY if job.unapproved else Cause.UNNEEDED)
    check_payer(run, ports)
    rules = ports.store.policy()
    check_halt(rules, run)
    vendor = find_vendor(job.quote.vendor_id, ports)
    problem = record_problem(job.quote, vendor) or policy_problem(run, job, rules, check_clocks(ports), ports)
    if problem := problem or unsuitable(run, vendor, job.quote, rules):
        return JobDropped(job_id, problem, Cause.POLICY)
    check_unspent(run, ports)
    try:
        if run.workload:
            ports.files.size(NO_CONTENT)  # nothing is bought whose files could not be kept
        challenge = ports.vendor_api.challenge(vendor, job)
        longest = timeout_max_s(vendor, rules.authorization_max_s)
        terms = agreed(challenge, job.quote, vendor, ports.wallet.token, longest)
        authorization = _authorization(job, vendor, terms, rules, ports)
    except (FileStoreError, VendorError) as error:
        return _not_agreed(job, vendor, error, ports)
    identifier = job_id if challenge.wants_identifier else ""
    reasons = declined(challenge, terms, job.quote, vendor, ports.wallet.token)
    header = ports.wallet.sign(authorization, terms, identifier)
    return PaymentAuthorized(job_id, authorization, header, reasons)


def pay(run: Run, job_id: str, ports: Ports) -> Event | None:
    """The payment's outcome on chain: settled, void or unresolved. Sends the stored header only while it is open there.

    A payment that is no longer wanted is cancelled instead: the run has ended, the policy halts it, the vendor was
    disabled, given another payee, is no longer trusted, or is one that the run has ended with; or it was to be paid
    after work that it failed. An order that a vendor has accepted is not sent again.

    Raises ChainError, ChainMismatch, VendorTokenMissing and StoreError.
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
            return PaymentSettled(job_id, outcome, waited_from(ports), order.vendor_job_id, order.access)
        case Void(reason) if reason == EXPIRED and not is_expired(job.authorization, ports):
            return None  # a node that is ahead, or lies: what is out may still be taken
        case Void(reason):
            return PaymentVoided(job_id, reason)
        case Open() if is_after and order.vendor_job_id:
            return JobClaimed(job_id, order.vendor_job_id, waited_from(ports), order.access)
        case Open():
            is_news = reply != job.last_reply or order.access not in (NO_ACCESS, job.access)
            return PaymentUnresolved(job_id, reply, order.vendor_job_id, order.access) if reply and is_news else None


def _not_agreed(job: Reserved, vendor: Vendor, error: FileStoreError | VendorError, ports: Ports) -> Event | None:
    """The end of a reservation whose terms could not be agreed, or a wait for the file store."""
    match error:
        case VendorTokenMissing():
            raise error  # our own slip, not the vendor's failure
        case FileMissing():
            return JobDropped(job.job_id, f"{error}: it was to be sent", Cause.UNNEEDED)
        case FileStoreError():
            return postponed(job, error)
        case PayeeChanged():
            halt_payee(error, vendor, ports)
    return JobDropped(job.job_id, str(error))


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
    """The vendor to send the payment to; None where the run, the policy or the vendor's record no longer allow it.

    All of them are read again: a user may have cancelled the run since this tick began.
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
    """The transaction that the vendor names as its payment, "" for none: where to look first, not a proof."""
    transaction = order.receipt.transaction if order.receipt else ""
    return transaction if _TRANSACTION.fullmatch(transaction) else ""


def _is_lost(run: Run, job: Authorized, work: Work, ports: Ports) -> bool:
    """Whether work that is paid for afterwards is no longer wanted, or has failed."""
    if isinstance(work, Failed) and work.ending is JobEnding.SUPERSEDED:
        return True  # it did not end by itself: it was told to stop
    if isinstance(work, Completed | Failed):
        return failed_by_vendor(work)  # finished work may be charged for
    return _wanted_from(run, job, ports) is None


def _has_lapsed(outcome: Outcome, job: Authorized) -> bool:
    """Whether the quote of an order that was not accepted has expired, on the chain's clock."""
    return isinstance(outcome, Open) and outcome.now >= job.quote.expires_at


def _is_undecided(outcome: Outcome) -> bool:
    return isinstance(outcome, Open) and not outcome.used


def _cancel(job: Authorized, ports: Ports) -> Event | None:
    """Cancel, on chain, an authorization that the vendor may hold. A short-lived one is tried once, as it soon expires.

    A long-lived one is tried again until its cancellation is sent; a failure is recorded once.
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
