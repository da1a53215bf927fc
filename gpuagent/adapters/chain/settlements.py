"""The search for the log of a nonce's use, wherever it is: nothing that was once told of its block is relied on.

Three ways, each where the one before did not find it: the blocks after the authorization's from_block, in one query;
the block where the token's state changes, by halving, if the node keeps past states; all blocks since the
authorization can have been signed, by block times and span by span, so many queries at a time.
"""

from collections.abc import Callable
from contextlib import suppress

from gpuagent.adapters.chain.json_rpc import NodeRefused
from gpuagent.adapters.chain.logs import Log, TokenLogs
from gpuagent.core.blocks import first_block_at
from gpuagent.core.model import Authorization
from gpuagent.core.records import Block
from gpuagent.core.terms import TIMEOUT_MAX_S
from gpuagent.errors import ChainError
from gpuagent.wire.transport import deadline

QUERIES_MAX = 100
"""Queries for logs in one search, which goes on from there at the next: on Base enough for twice the longest life of an
authorization at ten blocks a query."""
SEARCH_S = 30
NODES_APART_S = 300
"""Nodes may have differed by that much about the time when the authorization was signed."""


class UseSearch:
    """Finds where a nonce was used, on one node.

    used_at: whether the nonce is used at the block of a number. block: the block of a number, None where it is not
    kept. Between searches that did not end it remembers how far they came.
    """

    def __init__(
        self,
        logs: TokenLogs,
        used_at: Callable[[Authorization, int], bool],
        block: Callable[[int], Block | None],
    ) -> None:
        self._logs, self._used_at, self._block = logs, used_at, block
        self._next: dict[str, int] = {}

    def find(self, authorization: Authorization, final: int) -> Log | None:
        """The log of the use, which the final block's state shows; None while the node has none up to that block.

        Raises ChainError when the search did not come to its end; the next one goes on.
        """
        with deadline(SEARCH_S):
            return (
                self._near_signing(authorization, final)
                or self._by_state(authorization, final)
                or self._by_time(authorization, final)
            )

    def _near_signing(self, authorization: Authorization, final: int) -> Log | None:
        first = authorization.from_block
        last = min(first + self._logs.span.size - 1, final)
        if not 0 <= first <= last:
            return None
        # Where a wide query is refused, or too slow, narrower ones may not be; a node that is down fails those too.
        with suppress(ChainError):
            return self._logs.use_at_once(authorization, first, last)
        return None

    def _by_state(self, authorization: Authorization, final: int) -> Log | None:
        with suppress(NodeRefused):  # a past state that is not kept
            block = self._first_used(authorization, final)
            return self._logs.use_at_once(authorization, block, block)
        return None

    def _first_used(self, authorization: Authorization, final: int) -> int:
        """The first block with the nonce in its state: unused at `low`, used at `high`, which is halved."""
        low, high, step = min(authorization.from_block, final) - 1, final, 1
        while low >= 0 and self._used_at(authorization, low):
            high, low, step = low, max(-1, low - step), 2 * step
        while high - low > 1:
            middle = (low + high) // 2
            if self._used_at(authorization, middle):
                high = middle
            else:
                low = middle
        return high

    def _by_time(self, authorization: Authorization, final: int) -> Log | None:
        nonce = authorization.nonce
        start = self._next.get(nonce)
        if start is None:
            signed_at = authorization.valid_before - TIMEOUT_MAX_S - NODES_APART_S
            start = first_block_at(signed_at, final, self._block)
        for _ in range(QUERIES_MAX):
            if start > final:
                break
            end, log = self._logs.use_in(authorization, start, final)
            if log:
                self._next.pop(nonce, None)
                return log
            start = self._next[nonce] = end + 1
        if start <= final:
            raise ChainError(
                f"nonce {nonce} is used, and its event is not yet found: the search came to block {start} of {final} "
                "and goes on. A node that keeps past states, or shows logs of more blocks at once, finds it sooner"
            )
        self._next.pop(nonce, None)  # from the beginning at the next search: a node's logs may lag behind its state
        return None
