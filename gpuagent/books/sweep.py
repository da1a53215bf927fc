"""All ledgers against the chain: every transfer out of every wallet, every recorded payment, every hold.

Safe beside live ticks by the order of its reads: the chain first, up to one final block, then the ledgers. An
authorization is saved before it is sent, so whatever the chain shows must be in a ledger that is read later; what a
ledger says of later blocks is not judged. Memory grows with a wallet's payments, not with blocks or runs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gpuagent.books.findings import Finding, Kind, Odd, Seen, compare, explain, found, told
from gpuagent.core.model import Authorization, Token, Transfer
from gpuagent.core.money import show_usd
from gpuagent.core.ports import Open, Outcome
from gpuagent.core.records import Block, Payment, Reservation, RunRecord, Spent, Wallet
from gpuagent.core.terms import derived_job_id, nonce
from gpuagent.errors import ChainError, ChainMismatch

CLOCKS_APART_S = 3600
"""A run's clock and the chain's are believed to differ by less."""


class Chain(Protocol):
    """Every method raises ChainError when the chain does not answer."""

    @property
    def token(self) -> Token: ...

    def final(self) -> Block:
        """The newest block that counts as final."""
        ...

    def block(self, number: int) -> Block | None:
        """None where the node does not keep it."""
        ...

    def history(self, payer: str, first: int, last: int) -> Iterator[Transfer | Spent]:
        """What left the account and which nonces it spent, in these blocks, in order."""
        ...

    def outcome(self, authorization: Authorization) -> Outcome: ...

    def spent(self, payer: str, nonces: Sequence[str]) -> Sequence[str]: ...


class Ledgers(Protocol):
    """The record of all runs, read from where it is written: what was saved before a read is in it."""

    def wallets(self, token: Token) -> Iterable[Wallet]: ...

    def payments(self, payer: str, token: Token) -> Iterable[Payment]: ...

    def again(self, payment: Payment) -> Payment:
        """The same payment, read anew."""
        ...

    def reservations(self, payer: str, token: Token) -> Iterable[Reservation]: ...

    def runs(self, payer: str) -> Iterable[RunRecord]: ...

    def run(self, run_id: str) -> RunRecord: ...


@dataclass(frozen=True, slots=True)
class Sweep:
    """One wallet, or several added up. settled: recorded as paid up to the final block; in_flight: sent, undecided."""

    wallets: tuple[str, ...] = ()
    transfers: int = 0
    moved: int = 0
    settled: int = 0
    held: int = 0
    in_flight: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def balanced(self) -> bool:
        return not any(finding.differs for finding in self.findings)

    def __add__(self, other: "Sweep") -> "Sweep":
        return Sweep(
            self.wallets + other.wallets,
            self.transfers + other.transfers,
            self.moved + other.moved,
            self.settled + other.settled,
            self.held + other.held,
            self.in_flight + other.in_flight,
            self.findings + other.findings,
        )


def sweep(chain: Chain, ledgers: Ledgers, from_block: int | None = None) -> Sweep:
    """Every wallet that a ledger knows, from its first run on, or from an earlier block.

    Raises ChainError, StoreError.
    """
    total = Sweep()
    for wallet in ledgers.wallets(chain.token):
        total += _sweep_wallet(wallet, chain, ledgers, from_block)
    return total


def _sweep_wallet(wallet: Wallet, chain: Chain, ledgers: Ledgers, from_block: int | None) -> Sweep:
    final = chain.final()
    first = min(
        number
        for number in (from_block, wallet.from_block, _block_at(wallet.first_run_at - CLOCKS_APART_S, final, chain))
        if number is not None
    )
    seen = Seen(chain.history(wallet.payer, first, final.number))
    if chain.block(final.number) != final:
        raise ChainError(f"block {final.number} was replaced while the chain was read: sweep again")
    # From here on the ledgers: they must be read after the chain.
    settled = held = in_flight = 0
    findings: list[Finding] = []
    odd: list[Odd] = []
    for read in ledgers.payments(wallet.payer, chain.token):
        # A payment and its job are read one after the other: a step between the two is seen whole the second time.
        payment = read if read.agrees else ledgers.again(read)
        amount = payment.authorization.amount
        settled += amount if payment.status == "completed" and payment.block_number <= final.number else 0
        held += amount if payment.status == "pending" else 0
        in_flight += payment.status == "pending" and final.time < payment.authorization.valid_before
        match compare(payment, seen, final):
            case Odd() as one:
                odd.append(one)
            case Finding() as finding:
                findings.append(finding)
            case None if payment.status == "failed" and final.time < payment.authorization.valid_before:
                findings += _still_payable(payment, chain)
        if not payment.agrees:
            findings.append(found(Kind.CONTRADICTION, payment, f"recorded as {payment.status}, its job is not"))
    findings += [explain(one, seen) for one in odd]
    for reservation in ledgers.reservations(wallet.payer, chain.token):
        held += reservation.amount
        findings += _stale(reservation, wallet.payer, chain.token, seen, final)
    findings += _of_runs(wallet.payer, chain.token, ledgers, seen)
    findings += [Finding(Kind.UNKNOWN_TRANSFER, f"{told(one)}, out of {wallet.payer}") for one in seen.unclaimed()]
    return Sweep((wallet.payer,), seen.transfers, seen.amount, settled, held, in_flight, tuple(findings))


def _block_at(at: float, final: Block, chain: Chain) -> int:
    """The first block that is not older, found by halving: one read for every doubling of the chain."""
    first, last = 0, final.number
    while first < last:
        middle = (first + last) // 2
        block = chain.block(middle)
        if block is None or block.time < at:
            first = middle + 1
        else:
            last = middle
    return first


def _still_payable(payment: Payment, chain: Chain) -> list[Finding]:
    """It may have been released at a later block than the sweep's: only what is open even now is released wrongly."""
    try:
        if not isinstance(chain.outcome(payment.authorization), Open):
            return []
    except ChainMismatch as error:
        return [found(Kind.RELEASED, payment, str(error))]
    return [found(Kind.RELEASED, payment, "still payable on chain")]


def _stale(held: Reservation, payer: str, token: Token, seen: Seen, final: Block) -> list[Finding]:
    """A hold that no authorization can follow any more, by the chain's clock: none is signed past its quote."""
    if held.expires_at > final.time or nonce(token, payer, held.job_id) in seen.unknown_nonces():
        return []
    words = f"{show_usd(held.amount)} to {held.vendor_id}: the quote expired, and nothing was signed"
    return [Finding(Kind.STALE_HOLD, words, held.run_id, held.job_id)]


def _of_runs(payer: str, token: Token, ledgers: Ledgers, seen: Seen) -> Iterator[Finding]:
    """One pass over the wallet's runs: which do not add up, and to which of them the unknown nonces belong."""
    unknown = dict(seen.unknown_nonces())
    for run in ledgers.runs(payer):
        # A run that a tick has saved in between comes back with another version.
        if not run.adds_up and ledgers.run(run.run_id) == run:
            words = (
                f"the record says {show_usd(run.settled)} settled and {show_usd(run.held)} held, "
                f"its jobs {show_usd(run.settled_by_jobs)} and {show_usd(run.held_by_jobs)}"
            )
            yield Finding(Kind.WRONG_SUM, words, run.run_id)
        for ordinal in range(run.jobs_max) if unknown else ():
            job_id = derived_job_id(run.run_id, ordinal)
            if spent := unknown.pop(nonce(token, payer, job_id), None):
                whose = f"this run's job {ordinal + 1}; was an older database restored?"
                yield _unknown(spent, whose, seen, run.run_id)
    for spent in unknown.values():
        yield _unknown(spent, f"no known run of {payer}", seen)


def _unknown(spent: Spent, whose: str, seen: Seen, run_id: str = "") -> Finding:
    moved = seen.claim_any(spent.transaction) if not spent.cancelled else None
    words = f"cancelled by {spent.transaction}" if spent.cancelled else f"used by {spent.transaction}"
    words = told(moved) if moved else words
    return Finding(Kind.UNKNOWN_PAYMENT, f"{words}, nonce {spent.nonce}: {whose}", run_id, differs=not spent.cancelled)
