"""Transfers into a wallet, up to a final block, compared with the refunds that are booked.

Read as a sweep reads: the chain first, then what is booked. Memory grows with what vendors sent, not with what
strangers did: of theirs the number and the sum are kept, and the newest few.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from gpuagent.core.ports.chain import Node
from gpuagent.core.records import Block, Incoming, Ledgers, Payment, Refund
from gpuagent.core.refunds import matches
from gpuagent.errors import ChainError

NEWEST = 50
"""Transfers of others than vendors that are kept one by one."""


@dataclass(frozen=True, slots=True)
class Received:
    """The transfers into a wallet from the first block to a final one. from_vendors: those from vendors' addresses.

    others: the newest of all else, such as top-ups and dust. transfers, amount: of all together.
    """

    first: int
    final: Block
    from_vendors: tuple[Incoming, ...]
    others: tuple[Incoming, ...]
    transfers: int
    amount: int


@dataclass(frozen=True, slots=True)
class IncomingBooks:
    """What came in, sorted. booked: refunds that the chain shows; missing: those it does not. unassigned: from a
    vendor's address, for no job that is known. matched: not booked yet, with the payment of which it is a refund."""

    received: Received
    booked: tuple[Refund, ...]
    missing: tuple[Refund, ...]
    matched: dict[Incoming, Payment]
    unassigned: tuple[Incoming, ...]
    others: tuple[Incoming, ...]

    @property
    def refunded(self) -> int:
        return sum(refund.transfer.amount for refund in self.booked)


def read_received(wallet: str, first: int, final: Block, senders: Collection[str], chain: Node) -> Received:
    """What the chain shows. senders: the addresses of vendors. Raises ChainError, also where it was replaced."""
    from_vendors: list[Incoming] = []
    others: deque[Incoming] = deque(maxlen=NEWEST)
    transfers = amount = 0
    for transfer in chain.incoming(wallet, first, final.number):
        transfers, amount = transfers + 1, amount + transfer.amount
        if transfer.sender in senders and transfer.sender != wallet.lower():
            from_vendors.append(transfer)
        else:
            others.append(transfer)
    if chain.block(final.number) != final:
        raise ChainError(f"block {final.number} was replaced while the chain was read: sweep again")
    return Received(first, final, tuple(from_vendors), tuple(others), transfers, amount)


def incoming_books(wallet: str, received: Received, chain: Node, ledgers: Ledgers) -> IncomingBooks:
    """What came in against what is booked, which must be read after it."""
    refunds = {refund.transfer: refund for refund in ledgers.refunds(wallet, chain.token)}
    booked = [refunds.pop(transfer) for transfer in received.from_vendors if transfer in refunds]
    missing: list[Refund] = []
    for refund in refunds.values():
        if received.first <= refund.transfer.block_number <= received.final.number:
            # One may have been booked meanwhile that came from another address than a vendor's.
            (booked if is_on_chain(refund.transfer, chain) else missing).append(refund)
    booked_transfers = {refund.transfer for refund in booked}
    unbooked = [transfer for transfer in received.from_vendors if transfer not in booked_transfers]
    claims = [*ledgers.claims(wallet, chain.token)] if unbooked else []
    own = {record.payer.lower() for record in ledgers.wallets(chain.token)} if claims else set()
    foreign = [transfer for transfer in unbooked if transfer.sender not in own]  # our own transfers are no refunds
    matched = matches(foreign, claims, ledgers.addresses() if claims else {}, booked)
    return IncomingBooks(
        received=received,
        booked=tuple(booked),
        missing=tuple(missing),
        matched=matched,
        unassigned=tuple(transfer for transfer in unbooked if transfer not in matched),
        others=tuple(transfer for transfer in received.others if transfer not in booked_transfers),
    )


def is_on_chain(transfer: Incoming, chain: Node) -> bool:
    """Whether the chain shows just this transfer, and no later than at a final block."""
    number = transfer.block_number
    return number <= chain.final().number and transfer in chain.incoming(transfer.wallet, number, number)
