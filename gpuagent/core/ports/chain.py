"""The ports to the chain: the outcome of an authorization, and the history that a node serves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gpuagent.core.model import Authorization, Settlement, Token, Transfer
from gpuagent.core.records import Block, Incoming, Spent


@dataclass(frozen=True, slots=True)
class Open:
    """Undecided at the final block. used: the newest block already holds it. now: that block's time."""

    now: int
    used: bool


@dataclass(frozen=True, slots=True)
class Void:
    """Expired unused (EXPIRED) or cancelled, at a final block: it can never settle."""

    reason: str


EXPIRED = "expired unused"

Outcome = Open | Settlement | Void
"""The outcome of an authorization on chain."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block, and what an address holds of the token there (atomic units).

    spent: which of the nonces that were asked about it holds as used or cancelled. latest: the time that the furthest
    of several nodes gives, 0 where there is one.
    """

    number: int
    time: int
    balance: int
    spent: tuple[str, ...] = ()
    latest: int = 0


@dataclass(frozen=True, slots=True)
class Gas:
    """The cost of a transaction of an address now. Amounts in wei of the chain's own coin, fees per unit of gas."""

    count: int
    """Transactions the address has sent, pending ones included."""
    max_fee: int
    priority_fee: int
    balance: int


CANCEL_GAS = 100_000
"""Gas limit of a cancellation, which takes about 60,000 on Circle's token; what is not used is not paid."""


class Chain(Protocol):
    """Every method raises ChainError when the chain does not answer or is another chain."""

    def head(self, address: str, nonces: Sequence[str] = ()) -> Head:
        """The newest block, with the address's balance and which of these nonces of it are spent."""
        ...

    def spent(self, payer: str, nonces: Sequence[str]) -> Sequence[str]:
        """Which of these nonces the newest block holds as used or cancelled."""
        ...

    def outcome(self, authorization: Authorization, transaction: str = "") -> Outcome:
        """What became of the authorization, by reads that are pinned to one block.

        transaction: a hash to look at first, from any source: the receipt proves it, or it is ignored. Raises
        ChainMismatch when the nonce paid something else.
        """
        ...

    def gas(self, address: str) -> Gas: ...

    def send(self, transaction: str) -> str:
        """Submit a raw transaction (0x hex) and return its hash. Submitting it again is no error.

        Whether it takes effect, outcome() says.
        """
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a node. keeps_past: whether it reads the token's state at past blocks."""

    logs_span: int
    """Blocks in one query for logs."""
    batch: int
    """Calls in one request; 1 where it takes no batches."""
    keeps_past: bool


class Node(Chain, Protocol):
    """A chain behind one node or several: the port, and the history that a sweep reads. Raises as Chain does."""

    @property
    def token(self) -> Token: ...

    def check(self) -> None:
        """Raises ChainError unless this is the token's chain, with all that a payment needs."""
        ...

    def limits(self) -> Limits:
        """The node's limits, measured by larger and larger requests."""
        ...

    def final(self) -> Block:
        """The newest block that counts as final."""
        ...

    def block(self, number: int) -> Block | None:
        """The block with this number; None where the node has pruned it."""
        ...

    def history(self, payer: str, first: int, last: int) -> Iterator[Transfer | Spent]:
        """The transfers out of the account and the nonces it spent, in these blocks, in order."""
        ...

    def incoming(self, wallet: str, first: int, last: int) -> Iterator[Incoming]:
        """The transfers of the token into the account in these blocks, in order."""
        ...

    def transfers(self, payer: str, from_block: int) -> tuple[Transfer, ...]: ...

    def close(self) -> None: ...
