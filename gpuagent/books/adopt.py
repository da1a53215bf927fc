"""The adoption of a payment that the chain proves and no ledger knows, as after a restore: booked, never sent.

Never automatic, always with a name and a reason, and nothing but what the chain proves at a final block.
"""

from dataclasses import replace

from gpuagent.books.findings import remedy
from gpuagent.books.repair import Sources
from gpuagent.books.unclaimed import book, undecided, unknown_payment
from gpuagent.core.events import PaymentAdopted
from gpuagent.core.indices import TRIES_MAX, UNKNOWN
from gpuagent.core.model import (
    HOURS_MIN,
    Authorization,
    Authorized,
    Job,
    Quote,
    Reserved,
    Run,
    RunStatus,
    Settled,
    Settlement,
    Transfer,
    Vendor,
)
from gpuagent.core.money import show_usd
from gpuagent.core.records import Spent
from gpuagent.core.terms import derived_job_id
from gpuagent.core.terms import nonce as nonce_of
from gpuagent.core.text import check_signed
from gpuagent.errors import BadInput, ChainMismatch, UnknownRun


def adopt(nonce: str, run_id: str, by: str, why: str, sources: Sources, from_block: int | None = None) -> Run:
    """The run with the payment of this nonce, as the chain proves it. Its payee must be a recorded vendor's.

    run_id: the run whose job the nonce pays for, which the ledger may have lost: the nonce itself proves it; "" where
    no known run is, for a new record of an ended run. Raises BadInput with nothing written, ChainError, StoreError.
    """
    check_signed(by, why)
    nonce = nonce.lower()
    owner, job = _recorded(nonce, run_id, sources)
    if owner and job and not isinstance(job, Reserved) and job.authorization:
        signed, quote = job.authorization, job.quote  # narrowed: a closure would lose it
        return book(owner.run_id, lambda run: _signed(run, job, signed, quote, by, why, sources), sources)
    wallet, spent, transfer = unknown_payment(nonce, sources, from_block)
    owner = owner or _known_owner(wallet.payer, nonce, sources)
    if owner and owner.run_id != run_id:
        raise BadInput(f"the nonce is of run {owner.run_id} {remedy(owner.run_id, 'adopt', nonce)}")
    job_id = _job_id(run_id, wallet.payer, nonce, sources) if run_id else ""
    vendor = _vendor(transfer, job.quote.vendor_id if job else "", sources)
    authorization, settlement = _proven(wallet.payer, vendor.pay_to, transfer.amount, nonce, spent, sources)
    owner = owner or _create(run_id, wallet.payer, vendor, transfer.amount, settlement, by, sources)
    job_id = job_id or derived_job_id(owner.run_id, 0)
    quote = _quote(owner, vendor, authorization, settlement)
    event = PaymentAdopted(job_id, quote, authorization, settlement, by, why, sources.clock.now())
    return book(owner.run_id, lambda _: event, sources)


def _signed(
    run: Run, job: Job, signed: Authorization, quote: Quote, by: str, why: str, sources: Sources
) -> PaymentAdopted:
    """A payment whose terms the ledger has, and that it holds as released or as paid by another transaction."""
    try:
        outcome = sources.chain.outcome(signed)
    except ChainMismatch as error:
        raise BadInput(f"{error} {remedy(run.run_id, 'write-off', job.job_id)}") from error
    if not isinstance(outcome, Settlement):
        raise BadInput(f"{undecided(outcome, signed)}: there is no payment to adopt")
    if isinstance(job, Authorized):
        raise BadInput(f"it was paid by {outcome.transaction}: `gpuagent run tick {run.run_id}` records it")
    if isinstance(job, Settled) and job.settlement == outcome:
        raise BadInput(f"the ledger knows it: job {job.job_id} was paid by {outcome.transaction}")
    return PaymentAdopted(job.job_id, quote, signed, outcome, by, why, sources.clock.now())


def _recorded(nonce: str, run_id: str, sources: Sources) -> tuple[Run | None, Job | None]:
    """The run, and its job that the nonce belongs to, by its authorization or by its id. Raises BadInput."""
    try:
        run = sources.store.load(run_id) if run_id else None
    except UnknownRun:
        return None, None
    if run is None:
        return None, None
    for job in run.jobs:
        signed = None if isinstance(job, Reserved) else job.authorization
        if nonce == (signed.nonce.lower() if signed else nonce_of(sources.chain.token, run.payer, job.job_id)):
            return run, job
    return run, None


def _job_id(run_id: str, payer: str, nonce: str, sources: Sources) -> str:
    """The id of the run's job that the nonce pays for. Raises BadInput: no other run can have this nonce."""
    for ordinal in range(TRIES_MAX):
        job_id = derived_job_id(run_id, ordinal)
        if nonce_of(sources.chain.token, payer, job_id) == nonce:
            return job_id
    raise BadInput(f"nonce {nonce} pays for no job of run {run_id}: `gpuagent books --all` says whose it is")


def _known_owner(payer: str, nonce: str, sources: Sources) -> Run | None:
    for record in sources.ledgers.runs(payer):
        for ordinal in range(record.jobs_max):
            if nonce_of(sources.chain.token, payer, derived_job_id(record.run_id, ordinal)) == nonce:
                return sources.store.load(record.run_id)
    return None


def _vendor(transfer: Transfer, preferred: str, sources: Sources) -> Vendor:
    """The recorded vendor that was paid, `preferred` among several. Raises BadInput."""
    token = sources.chain.token
    vendors = [
        vendor
        for vendor in sources.store.vendors()
        if (vendor.pay_to.lower(), vendor.network, vendor.asset.lower())
        == (transfer.payee, token.network, token.address.lower())
    ]
    if not vendors:
        raise BadInput(
            f"{show_usd(transfer.amount)} went to {transfer.payee}, which is no recorded vendor's payee: nothing is "
            "adopted. If that is a vendor of yours, `gpuagent vendor seed FILE` records it; if not, halt the wallet"
        )
    return next((vendor for vendor in vendors if vendor.vendor_id == preferred), vendors[0])


def _proven(
    payer: str, payee: str, amount: int, nonce: str, spent: Spent, sources: Sources
) -> tuple[Authorization, Settlement]:
    """The terms of the payment and its settlement, asked of the chain anew. Raises BadInput, ChainMismatch."""
    token = sources.chain.token
    # The end of its life is not on chain: when it was settled stands for it.
    until = sources.chain.final().time
    terms = Authorization(payer, payee, amount, token.network, token.address, nonce, until, spent.block_number)
    settlement = sources.chain.outcome(terms)
    if not isinstance(settlement, Settlement) or settlement.transaction != spent.transaction:
        raise BadInput(f"nonce {nonce} is not paid at a final block: wait, and try again")
    return replace(terms, valid_before=settlement.at), settlement


def _quote(run: Run, vendor: Vendor, terms: Authorization, settlement: Settlement) -> Quote:
    """What was bought, as far as the chain and the run tell; the vendor's own quote is lost."""
    return Quote(
        vendor_id=vendor.vendor_id,
        template_id="",
        amount=terms.amount,
        pay_to=vendor.pay_to,
        network=terms.network,
        asset=terms.asset,
        expires_at=settlement.at,
        eta_s=0,
        gpu_type=run.gpu_type,
        max_hours=run.max_hours,
        protocol=vendor.protocol,
        index=0 if run.count == 1 else UNKNOWN,
    )


def _create(
    run_id: str, payer: str, vendor: Vendor, amount: int, settlement: Settlement, by: str, sources: Sources
) -> Run:
    """A record of the run that paid, which the ledger has lost or never had; it has ended."""
    run = Run(
        run_id=run_id or sources.store.new_id(),
        user_id=by,
        goal="a payment that the ledger did not know",
        budget=amount,
        gpu_type=vendor.gpu_types[0] if vendor.gpu_types else "",
        max_hours=HOURS_MIN,
        planner="stub",
        payer=payer,
        network=vendor.network,
        created_at=settlement.at,
        status=RunStatus.FAILED,
        reason=f"its record was lost; adopted by {by}",
    )
    sources.store.create(run)
    return run
