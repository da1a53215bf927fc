"""Repairs of what a sweep can prove: the events that a tick would save, each after asking the chain again.

Nothing is sent to a vendor and nothing is signed. A live tick of the same run at the same moment is safe: the second
to save gets StaleRun, and looks again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gpuagent.books.come_back import ComeBack
from gpuagent.books.findings import Finding, Kind
from gpuagent.books.incoming import is_on_chain
from gpuagent.core.clocks import is_expired, waited_from
from gpuagent.core.events import JobDropped, PaymentSettled, PaymentVoided
from gpuagent.core.model import (
    Authorization,
    Authorized,
    Cause,
    Observation,
    ObservationType,
    Reserved,
    Run,
    Settlement,
)
from gpuagent.core.observations import observations_of
from gpuagent.core.ports.chain import EXPIRED, Node, Outcome, Void
from gpuagent.core.ports.clock import Clock
from gpuagent.core.ports.store import Store
from gpuagent.core.records import Incoming, Ledgers
from gpuagent.core.refunds import objection, refund_of
from gpuagent.core.run_state import find_job
from gpuagent.core.terms import nonce
from gpuagent.core.transitions import apply
from gpuagent.errors import (
    ChainMismatch,
    DuplicateVendorJob,
    IllegalTransition,
    Refused,
    RunDamaged,
    SearchUnfinished,
    StaleRun,
    UnknownRun,
)

TRIES = 5
"""How often a run is loaded anew when live ticks are faster; after that they do the work anyway."""
SEARCHES = 50
"""Shares of a search for one settlement."""

Repair = PaymentSettled | PaymentVoided | JobDropped


@dataclass(frozen=True, slots=True)
class Sources:
    """The places that a repair reads and writes. clock: stamps what is saved, and alone decides nothing."""

    store: Store
    ledgers: Ledgers
    chain: Node
    clock: Clock


def repair(findings: Iterable[Finding], sources: Sources) -> tuple[Finding, ...]:
    """The findings that were repaired. Raises ChainError, StoreError; what was saved until then stays repaired.

    None of a job whose records contradict each other: the chain would be asked about what is not so.
    """
    findings = tuple(findings)
    contradicted = {finding.job_id for finding in findings if finding.kind is Kind.CONTRADICTION} - {""}
    return tuple(
        finding
        for finding in findings
        if finding.repairable and finding.job_id not in contradicted and _repaired(finding, sources)
    )


def _repaired(finding: Finding, sources: Sources) -> bool:
    """False when there was nothing left to do: a tick was faster, or the chain now says something else.

    Also where run or job are gone or cannot be read: one of them is not to keep all others from being repaired.
    """
    if finding.transfer:
        return _book_refund(finding.transfer, finding.job_id, sources)
    for _ in range(TRIES):
        try:
            run = sources.store.load(finding.run_id)
            if finding.kind is Kind.WRONG_SUM:
                return _write_anew(run, finding, sources)
            event = _event(run, finding.job_id, sources)
            if event is None:
                return False
            _save(run, event, finding, sources)
        except StaleRun:
            continue
        except (ChainMismatch, UnknownRun, RunDamaged, IllegalTransition):
            return False
        return True
    return False


def _book_refund(transfer: Incoming, job_id: str, sources: Sources) -> bool:
    payment = sources.ledgers.payment_of(job_id)
    if objection(transfer, payment) or not is_on_chain(transfer, sources.chain):
        return False
    # By a payment that says otherwise than what is booked more could come back than was paid.
    if ComeBack(payment.authorization.payer, sources.chain.token, sources.ledgers).claim(payment):
        return False
    refund = refund_of(transfer, payment, sources.chain.token)
    try:
        return sources.store.book_refund(refund, sources.clock.now())
    except Refused:  # another refund of the job was booked meanwhile
        return False


def _write_anew(run: Run, finding: Finding, sources: Sources) -> bool:
    record = sources.ledgers.run(run.run_id)
    if record.adds_up or not record.jobs_proven:  # a job that was changed would free a budget that is spent
        return False
    sources.store.save(run, run, [_observation(finding)], sources.clock.now())
    return True


def _event(run: Run, job_id: str, sources: Sources) -> Repair | None:
    """What the chain proves of the job now, or None."""
    job, chain, clock = find_job(run, job_id), sources.chain, sources.clock
    match job:
        case Authorized():
            match _outcome(job.authorization, chain):
                case Settlement() as settlement:
                    at = waited_from(clock.now(), sources.store.now())
                    return PaymentSettled(job_id, settlement, at, job.vendor_job_id)
                case Void(reason) if reason != EXPIRED or is_expired(job.authorization, clock.now(), sources.store.now):
                    return PaymentVoided(job_id, reason)
        case Reserved() if job.quote.expires_at <= chain.final().time:
            if not chain.spent(run.payer, [nonce(chain.token, run.payer, job_id)]):
                return JobDropped(job_id, "the quote expired before anything was signed", Cause.UNNEEDED)
    return None


def _outcome(authorization: Authorization, chain: Node) -> Outcome:
    """The outcome, however many shares its search takes: no later tick of this process would go on with it."""
    for _ in range(SEARCHES):
        try:
            return chain.outcome(authorization)
        except SearchUnfinished:
            continue
    return chain.outcome(authorization)


def _save(run: Run, event: Repair, finding: Finding, sources: Sources) -> None:
    try:
        observations = (*observations_of(run, event), _observation(finding))
        sources.store.save(run, apply(run, event), observations, sources.clock.now())
    except DuplicateVendorJob:
        if not isinstance(event, PaymentSettled) or not event.vendor_job_id:
            raise
        # The money is where the chain says, whatever the vendor claims; the next tick asks it for the job.
        _save(run, replace(event, vendor_job_id=""), finding, sources)


def _observation(finding: Finding) -> Observation:
    text = f"repaired by reconcile: {finding.kind}, {finding.text}"
    return Observation(ObservationType.PAYMENT, text, finding.job_id, {"kind": "reconciled"})
