"""All ledgers against the chain: every transfer out of every wallet, every recorded payment, every hold.

Safe beside live ticks by the order of its reads: the chain first, up to one final block, then the ledgers. An
authorization is saved before it is sent, so whatever the chain shows must be in a ledger that is read later; what a
ledger says of later blocks is not judged. Memory grows with a wallet's payments, not with blocks or runs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gpuagent.books.come_back import ComeBack, contradictions
from gpuagent.books.findings import (
    ChainActivity,
    Finding,
    Kind,
    Mismatch,
    compare,
    describe,
    explain,
    finding_for,
    incoming_findings,
    remedy,
)
from gpuagent.books.incoming import incoming_books, read_received
from gpuagent.core.blocks import first_block_at
from gpuagent.core.model import Token
from gpuagent.core.money import show_usd
from gpuagent.core.ports.chain import Node, Open
from gpuagent.core.records import Block, Ledgers, PayerRecord, Payment, PaymentStatus, Reservation, RunRecord, Spent
from gpuagent.core.terms import derived_job_id, nonce
from gpuagent.errors import ChainError, ChainMismatch

CLOCKS_APART_S = 3600
"""A run's clock and the chain's are believed to differ by less."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One wallet, or several added up. settled: recorded as paid up to the final block; in_flight: sent, undecided.

    protocols: what was settled, by the protocol that it was bought by.

    incoming, received: the number and the sum of all transfers into the wallets; refunded: what of it is booked.
    """

    wallets: tuple[str, ...] = ()
    transfers: int = 0
    moved: int = 0
    settled: int = 0
    held: int = 0
    in_flight: int = 0
    incoming: int = 0
    received: int = 0
    refunded: int = 0
    findings: tuple[Finding, ...] = ()
    protocols: Mapping[str, int] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        return not any(finding.differs for finding in self.findings)

    def __add__(self, addend: "Sweep") -> "Sweep":
        return Sweep(
            self.wallets + addend.wallets,
            self.transfers + addend.transfers,
            self.moved + addend.moved,
            self.settled + addend.settled,
            self.held + addend.held,
            self.in_flight + addend.in_flight,
            self.incoming + addend.incoming,
            self.received + addend.received,
            self.refunded + addend.refunded,
            self.findings + addend.findings,
            Counter(self.protocols) + Counter(addend.protocols),
        )


def sweep(chain: Node, ledgers: Ledgers, from_block: int | None = None) -> Sweep:
    """Every wallet that a ledger knows, from its first run on, or from an earlier block.

    Raises ChainError, StoreError.
    """
    total = Sweep()
    for wallet in ledgers.wallets(chain.token):
        total += _sweep_wallet(wallet, chain, ledgers, from_block)
    return total


def activity_of(wallet: PayerRecord, chain: Node, from_block: int | None = None) -> tuple[int, Block, ChainActivity]:
    """The first and the final block, and what the chain shows of the wallet in them.

    The first is of its first run, or an earlier one.
    """
    final = chain.final()
    first = first_block(wallet, chain, final, from_block)
    activity = ChainActivity(chain.history(wallet.payer, first, final.number))
    if chain.block(final.number) != final:
        raise ChainError(f"block {final.number} was replaced while the chain was read: sweep again")
    return first, final, activity


def _sweep_wallet(wallet: PayerRecord, chain: Node, ledgers: Ledgers, from_block: int | None) -> Sweep:
    payer, token = wallet.payer, chain.token
    senders = ledgers.senders(payer, token)
    first, final, activity = activity_of(wallet, chain, from_block)
    received = read_received(payer, first, final, senders, chain)
    # From here on the ledgers: they must be read after the chain.
    tally = _Tally(chain, activity, final, ComeBack(payer, token, ledgers))
    for payment in payments_of(payer, token, ledgers):
        tally.add(payment)
    findings = [*tally.findings, *contradictions(tally.suspects, payer, token, ledgers), *tally.come_back.unclaimed()]
    findings += [explain(mismatch, activity) for mismatch in tally.mismatches]
    for reservation in ledgers.reservations(payer, token):
        tally.held += reservation.amount
        findings += _stale(reservation, payer, token, activity, final)
    findings += _of_runs(payer, token, ledgers, activity, tally.paying)
    findings += [
        Finding(Kind.UNKNOWN_TRANSFER, f"{describe(transfer)}, out of {payer}") for transfer in activity.unclaimed()
    ]
    back = incoming_books(payer, received, chain, ledgers)
    return Sweep(
        wallets=(payer,),
        transfers=activity.transfers,
        moved=activity.amount,
        settled=tally.settled,
        held=tally.held,
        in_flight=tally.in_flight,
        incoming=received.transfers,
        received=received.amount,
        refunded=back.refunded,
        findings=(*findings, *incoming_findings(back)),
        protocols=tally.protocols,
    )


@dataclass(slots=True)
class _Tally:
    """A wallet's recorded payments, added up, each held against the chain's activity up to the final block.

    suspects: payments that differ from what is booked of them, to be read again. paying: the ids of the runs that paid.
    """

    chain: Node
    activity: ChainActivity
    final: Block
    come_back: ComeBack
    settled: int = 0
    held: int = 0
    in_flight: int = 0
    protocols: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)
    suspects: list[Payment] = field(default_factory=list)
    paying: set[str] = field(default_factory=set)

    def add(self, payment: Payment) -> None:
        amount, out = payment.authorization.amount, self.final.time < payment.authorization.valid_before
        match payment.status:
            case PaymentStatus.COMPLETED if payment.block_number <= self.final.number:
                self.settled += amount
                self.protocols[payment.protocol] += amount
            case PaymentStatus.PENDING:
                self.held += amount
                self.in_flight += out
        verdict = compare(payment, self.activity, self.final)
        match verdict:
            case Mismatch():
                self.mismatches.append(verdict)
            case Finding():
                self.findings.append(verdict)
            case None if payment.status is PaymentStatus.FAILED and out:
                self.findings += _still_payable(payment, self.chain)
        if payment.contradiction and not isinstance(verdict, Mismatch):
            self.findings.append(finding_for(Kind.CONTRADICTION, payment, payment.contradiction))
        self.paying.add(payment.run_id)
        if self.come_back.claim(payment):
            self.suspects.append(payment)


def payments_of(payer: str, token: Token, ledgers: Ledgers) -> Iterator[Payment]:
    """A payment and its job are read one after the other: a step between the two is seen whole the second time."""
    for payment in ledgers.payments(payer, token):
        yield ledgers.again(payment) if payment.contradiction else payment


def first_block(wallet: PayerRecord, chain: Node, final: Block, from_block: int | None) -> int:
    """The first block that may hold a transfer of the wallet, by block times.

    The block numbers in the ledger are not asked: one that a node once told wrongly would make it the whole chain.
    """
    begin = wallet.first_run_at - CLOCKS_APART_S
    if wallet.first_usable is not None:
        begin = min(begin, wallet.first_usable)
    first = first_block_at(begin, final.number, chain.block)
    return first if from_block is None else min(first, from_block)


def _still_payable(payment: Payment, chain: Node) -> list[Finding]:
    """It may have been released at a later block than the sweep's: only what is open even now is released wrongly."""
    try:
        if not isinstance(chain.outcome(payment.authorization), Open):
            return []
    except ChainMismatch as error:
        return [finding_for(Kind.RELEASED, payment, str(error))]
    return [finding_for(Kind.RELEASED, payment, "still payable on chain")]


def _stale(hold: Reservation, payer: str, token: Token, activity: ChainActivity, final: Block) -> list[Finding]:
    """A hold that no authorization can follow any more, by the chain's clock: none is signed past its quote."""
    if hold.expires_at > final.time or nonce(token, payer, hold.job_id) in activity.unknown_nonces():
        return []
    text = f"{show_usd(hold.amount)} to {hold.vendor_id}: the quote expired, and nothing was signed"
    return [Finding(Kind.STALE_HOLD, text, hold.run_id, hold.job_id)]


def _of_runs(
    payer: str, token: Token, ledgers: Ledgers, activity: ChainActivity, paying: set[str]
) -> Iterator[Finding]:
    """One pass over the wallet's runs: which do not add up, and to which of them the unknown nonces belong.

    paying: the runs that payments of the wallet name, by id.
    """
    unknown, missing = dict(activity.unknown_nonces()), set(paying)
    for run in ledgers.runs(payer):
        missing.discard(run.run_id)
        # A run that a tick has saved in between comes back with another version.
        if not (run.adds_up and run.jobs_proven) and ledgers.run(run.run_id) == run:
            yield from _of_sums(run)
        for ordinal in range(run.jobs_max) if unknown else ():
            job_id = derived_job_id(run.run_id, ordinal)
            if spent := unknown.pop(nonce(token, payer, job_id), None):
                owner = f"this run's job {ordinal + 1}; was an older database restored?"
                yield _unknown(spent, owner, activity, run.run_id)
    for spent in unknown.values():
        yield _unknown(spent, f"no known run of {payer}", activity)
    for run_id in sorted(missing):
        text = f"run {run_id} has payments by {payer}, and is gone or another wallet's"
        yield Finding(Kind.CONTRADICTION, text, run_id)


def _of_sums(run: RunRecord) -> Iterator[Finding]:
    for job_id, text in run.contradictions:
        yield Finding(Kind.CONTRADICTION, f"job {job_id}: {text}", run.run_id, job_id)
    if not run.adds_up:
        text = (
            f"the record says {show_usd(run.settled)} settled and {show_usd(run.held)} held, "
            f"its jobs {show_usd(run.settled_by_jobs)} and {show_usd(run.held_by_jobs)}"
        )
        yield Finding(Kind.WRONG_SUM, text, run.run_id)


def _unknown(spent: Spent, owner: str, activity: ChainActivity, run_id: str = "") -> Finding:
    transfer = activity.claim_any(spent.transaction) if not spent.cancelled else None
    use = "cancelled" if spent.cancelled else "used"
    text = describe(transfer) if transfer else f"{use} by {spent.transaction}"
    if transfer:
        owner = f"{owner} {remedy(run_id or '--all', 'adopt', spent.nonce)}"
    return Finding(Kind.UNKNOWN_PAYMENT, f"{text}, nonce {spent.nonce}: {owner}", run_id, differs=not spent.cancelled)
