"""Several nodes of one chain that must agree: the port Node over other Nodes.

No node is believed alone: one that lags or lies can hold money up, not move it.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import TypeVar

from gpuagent.core.model import Authorization, Settlement, Token, Transfer
from gpuagent.core.ports.chain import Gas, Head, Limits, Node, Open, Outcome, Void
from gpuagent.core.records import Block, Incoming, Spent
from gpuagent.errors import ChainError, ChainMismatch

LAG_MAX_S = 300
"""The widest gap between the newest blocks of two nodes: beyond it one of them lags or lies."""

T = TypeVar("T")


class AgreeingChain:
    """The answer that all nodes give alike, or the most careful of theirs. ChainError if a node does not answer."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = tuple(nodes)

    @property
    def token(self) -> Token:
        return self._nodes[0].token

    def close(self) -> None:
        for node in self._nodes:
            node.close()

    def check(self) -> None:
        for node in self._nodes:
            node.check()

    def limits(self) -> Limits:
        """The narrowest of each."""
        limits = [node.limits() for node in self._nodes]
        return Limits(
            min(limit.logs_span for limit in limits),
            min(limit.batch for limit in limits),
            all(limit.keeps_past for limit in limits),
        )

    def head(self, address: str, nonces: Sequence[str] = ()) -> Head:
        """The smallest of each number: the least balance, the shortest life for what is signed now.

        Spent is what any node holds as spent.
        """
        heads = [node.head(address, nonces) for node in self._nodes]
        spent = {nonce for head in heads for nonce in head.spent}
        _check_lag([head.time for head in heads])
        return Head(
            number=min(head.number for head in heads),
            time=min(head.time for head in heads),
            balance=min(head.balance for head in heads),
            spent=tuple(nonce for nonce in nonces if nonce in spent),
            latest=max(head.time for head in heads),
        )

    def spent(self, payer: str, nonces: Sequence[str]) -> tuple[str, ...]:
        """The nonces that any node holds as spent."""
        spent = {nonce for node in self._nodes for nonce in node.spent(payer, nonces)}
        return tuple(nonce for nonce in nonces if nonce in spent)

    def outcome(self, authorization: Authorization, transaction: str = "") -> Outcome:
        """Settled or void when every node says so; open while one of them is undecided.

        Raises ChainMismatch when the final blocks of two nodes contradict each other: no waiting would end that.
        """
        outcomes = [node.outcome(authorization, transaction) for node in self._nodes]
        undecided = [outcome for outcome in outcomes if isinstance(outcome, Open)]
        if undecided:
            settled_at = [outcome.at for outcome in outcomes if isinstance(outcome, Settlement)]
            times = [outcome.now for outcome in undecided] + settled_at
            _check_lag(times)
            # Decided for one node, so not to be sent any more; not decided for another, so held.
            return Open(max(times), used=len(undecided) < len(outcomes) or any(outcome.used for outcome in undecided))
        if len(set(outcomes)) > 1 and not all(isinstance(outcome, Void) for outcome in outcomes):
            raise ChainMismatch(
                f"the nodes of CHAIN_RPC_URL contradict each other about nonce {authorization.nonce}: "
                f"{'; '.join(map(str, outcomes))}. One of them lies, or is on a fork"
            )
        return outcomes[0]

    def transfers(self, payer: str, from_block: int) -> tuple[Transfer, ...]:
        """Every final transfer out of the account. Raises ChainError unless all nodes show the same ones."""
        history = self.history(payer, from_block, self.final().number)
        return tuple(event for event in history if isinstance(event, Transfer))

    def final(self) -> Block:
        """The oldest block among those that the nodes hold as final."""
        blocks = [node.final() for node in self._nodes]
        _check_lag([block.time for block in blocks])
        return min(blocks, key=lambda block: block.number)

    def block(self, number: int) -> Block | None:
        """The block; None where a node does not keep it. Raises ChainError when two nodes have different ones."""
        blocks = [node.block(number) for node in self._nodes]
        kept_blocks = [block for block in blocks if block]
        if len(set(kept_blocks)) > 1:
            raise ChainError(f"the nodes of CHAIN_RPC_URL have different blocks {number}: one of them is on a fork")
        return kept_blocks[0] if len(kept_blocks) == len(blocks) else None

    def history(self, payer: str, first: int, last: int) -> Iterator[Transfer | Spent]:
        """Transfers and spent nonces that all nodes show alike. Raises ChainError where they differ."""
        return _alike([node.history(payer, first, last) for node in self._nodes], f"out of {payer}")

    def incoming(self, wallet: str, first: int, last: int) -> Iterator[Incoming]:
        """Transfers into the wallet that all nodes show alike. Raises ChainError where they differ."""
        return _alike([node.incoming(wallet, first, last) for node in self._nodes], f"into {wallet}")

    def gas(self, address: str) -> Gas:
        """Gas by the first node that answers: what a transaction costs decides nothing in the books."""
        return self._answers(lambda node: node.gas(address))[0]

    def send(self, transaction: str) -> str:
        """Sends to every node; one that takes it is enough."""
        return self._answers(lambda node: node.send(transaction))[0]

    def _answers(self, ask: Callable[[Node], T]) -> list[T]:
        """The answers of those nodes that give one. Raises ChainError if none does."""
        answers: list[T] = []
        errors: list[ChainError] = []
        for node in self._nodes:
            try:
                answers.append(ask(node))
            except ChainError as error:
                errors.append(error)
        if not answers:
            raise errors[0]
        return answers


def _alike(histories: Sequence[Iterator[T]], direction: str) -> Iterator[T]:
    for event, *other_events in zip_longest(*histories):
        if any(other_event != event for other_event in other_events):
            raise ChainError(f"the nodes of CHAIN_RPC_URL show different transfers {direction}: try again")
        yield event


def _check_lag(times: Sequence[int]) -> None:
    gap_s = max(times) - min(times)
    if gap_s > LAG_MAX_S:
        raise ChainError(f"the nodes of CHAIN_RPC_URL are {gap_s} s apart: one of them lags, or lies about the time")
