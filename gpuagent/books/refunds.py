"""The refunds of all wallets, and the transfer that an operator assigns to a job. Nothing is sent or signed.

A refund is booked as the chain's log has it, at a final block, for a job that was paid, and once.
"""

from dataclasses import dataclass

from gpuagent.books.incoming import IncomingBooks, incoming_books, read_received
from gpuagent.books.repair import Sources
from gpuagent.books.sweep import first_block
from gpuagent.core.credits import Credit
from gpuagent.core.records import Incoming, Payment, Refund
from gpuagent.core.refunds import objection, refund_of
from gpuagent.core.text import check_signed
from gpuagent.errors import BadInput


@dataclass(frozen=True, slots=True)
class WalletRefunds:
    """What came into one wallet, and what vendors say that they give back of its payments."""

    wallet: str
    books: IncomingBooks
    claims: tuple[tuple[Credit, Payment], ...]


def wallet_refunds(sources: Sources, from_block: int | None = None) -> tuple[WalletRefunds, ...]:
    """The refunds of every wallet that a ledger knows. Raises ChainError, StoreError."""
    chain, ledgers = sources.chain, sources.ledgers
    result = []
    for record in ledgers.wallets(chain.token):
        senders, final = ledgers.senders(record.payer, chain.token), chain.final()
        first = first_block(record, chain, final, from_block)
        received = read_received(record.payer, first, final, senders, chain)
        books = incoming_books(record.payer, received, chain, ledgers)
        result.append(WalletRefunds(record.payer, books, tuple(ledgers.claims(record.payer, chain.token))))
    return tuple(result)


def assign(transaction: str, job_id: str, by: str, why: str, sources: Sources, log_index: int | None = None) -> Refund:
    """The refund that an operator says this transfer is, booked. log_index: which, of several in the transaction.

    Raises BadInput, Refused with nothing written, ChainError, StoreError.
    """
    check_signed(by, why)
    payment = sources.ledgers.payment_of(job_id)
    transfer = _transfer(transaction.strip().lower(), payment, sources, log_index)
    if problem := objection(transfer, payment):
        earlier = _booked(transfer, payment, sources)
        raise BadInput(f"{transfer} is not booked: {problem}" if not earlier else _taken(earlier))
    refund = refund_of(transfer, payment, sources.chain.token, by, why)
    if not sources.store.book_refund(refund, sources.clock.now()):
        raise BadInput(_taken(_booked(transfer, payment, sources)))
    return refund


def _taken(earlier: Refund | None) -> str:
    job = f"job {earlier.job_id} of run {earlier.run_id}" if earlier else "another job"
    return f"it is booked already, for {job}: a transfer is booked once, and stays so"


def _transfer(transaction: str, payment: Payment, sources: Sources, log_index: int | None) -> Incoming:
    """The transfer of the transaction into the wallet that paid the job. Raises BadInput."""
    wallet, chain = payment.authorization.payer, sources.chain
    terms = payment.authorization
    if (terms.network, terms.asset.lower()) != (chain.token.network, chain.token.address.lower()):
        raise BadInput(f"job {payment.job_id} was paid in another token than X402_NETWORK and X402_ASSET name")
    transfers = [
        transfer
        for transfer in chain.incoming(wallet, payment.block_number, chain.final().number)
        if transfer.transaction == transaction and log_index in (None, transfer.log_index)
    ]
    if not transfers:
        raise BadInput(
            f"no transfer of {chain.token.address} into {wallet} by {transaction[:66]} since job {payment.job_id} was "
            "paid, up to a final block: `gpuagent refund list` shows those that there are"
        )
    if len(transfers) > 1:
        texts = "; ".join(f"--log {transfer.log_index}: {transfer}" for transfer in transfers)
        raise BadInput(f"the transaction holds several transfers into the wallet: say which. {texts}")
    (transfer,) = transfers
    wallets = {record.payer.lower() for record in sources.ledgers.wallets(chain.token)}
    if transfer.sender in wallets:
        raise BadInput(f"{transfer.sender} is a wallet of your own: nothing came back")
    return transfer


def _booked(transfer: Incoming, payment: Payment, sources: Sources) -> Refund | None:
    refunds = sources.ledgers.refunds(payment.authorization.payer, sources.chain.token)
    return next((refund for refund in refunds if refund.transfer.key == transfer.key), None)
