"""The search for the log of a nonce's use, in any block: no earlier hint of where it is is relied on.

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
from gpuagent.errors import ChainError, SearchUnfinished
from gpuagent.wire.transport import deadline, time_left

QUERIES_MAX = 100
"""Queries for logs in one search; the next one goes on. Enough for the usual life of an authorization with one block a
query on Base, and with ten on chains with four blocks a second."""
SEARCH_S = 30
TURN_S = 1
"""With less time left a search ends, and says how far it came."""
LIFE_S = 120
"""The usual life of an authorization; none has more than its life_s."""
NODES_APART_S = 60
"""Nodes may have differed by that much about the time when the authorization was signed."""

Range = tuple[int, int]
"""First and last block."""
Search = tuple[str, str]
"""A nonce, and the kind of search for it."""


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
        self._left: dict[Search, list[Range]] = {}

    def find(self, authorization: Authorization, final: int) -> Log | None:
        """The log of the use, which the final block's state shows; None while the node has none up to that block.

        Raises SearchUnfinished when the search did not come to its end; the next one goes on.
        """
        with deadline(SEARCH_S):
            return (
                self._near_signing(authorization, final)
                or self._by_state(authorization, final)
                or self._by_time(authorization, final)
            )

    def find_forgotten(self, authorization: Authorization, final: int) -> Log | None:
        """The log of a use that the state does not show, as after an upgrade of the token that lost its nonces.

        It is looked for in the life of the authorization, which is over. Raises ChainError where the node cannot
        show all of it, SearchUnfinished as find() does.
        """
        first = authorization.from_block
        last = min(first + self._logs.span.size - 1, final)  # before the query, whose answer changes the span
        with deadline(SEARCH_S), suppress(ChainError):
            log = self._logs.use_at_once(authorization, first, last) if 0 <= first <= last else None
            if log or self._holds_the_life(authorization, first, last):
                return log
        search = (authorization.nonce, "forgotten")
        ranges = self._left.get(search) or self._life(authorization, final)
        with deadline(SEARCH_S):
            return self._walk(authorization, ranges, search, 4 * QUERIES_MAX)

    def _holds_the_life(self, authorization: Authorization, first: int, last: int) -> bool:
        """Whether these blocks hold all in which the authorization can have been used."""
        if not 0 <= first <= last:
            return False
        begin, end = self._block(first), self._block(last)
        expiry = authorization.valid_before
        return begin is not None and end is not None and begin.time <= expiry - LIFE_S and expiry <= end.time

    def _life(self, authorization: Authorization, final: int) -> list[Range]:
        """The blocks up to the expiry. Raises ChainError where the node does not keep them."""
        ranges = self._ranges(authorization, final)[:-1]
        earliest = min(first for first, _ in ranges)
        if earliest and self._block(earliest - 1) is None:
            raise ChainError("the node does not keep the blocks in which this payment was valid: name another node")
        return ranges

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
        search = (authorization.nonce, "used")
        return self._walk(authorization, self._left.get(search) or self._ranges(authorization, final), search)

    def _walk(
        self, authorization: Authorization, ranges: list[Range], search: Search, queries_max: int = QUERIES_MAX
    ) -> Log | None:
        """The log in some ranges, query by query."""
        log = None
        ranges = [(first, last) for first, last in ranges if first <= last]
        for _ in range(queries_max):
            if not ranges or time_left() < TURN_S:
                break
            (first, last), *rest = ranges
            end, log = self._logs.use_in(authorization, first, last)
            ranges = [(end + 1, last), *rest] if end < last else rest
            self._left[search] = ranges
            if log:
                break
        if ranges and not log:
            blocks = sum(last - first + 1 for first, last in ranges)
            raise SearchUnfinished(
                f"the use of nonce {authorization.nonce} is not found yet in {queries_max} queries, {blocks:,} blocks "
                "are left: ask again. A node that keeps past states or shows logs of more blocks at once is faster"
            )
        # Without a log from the beginning at the next search: a node's logs may lag behind its state.
        self._left.pop(search, None)
        return log

    def _ranges(self, authorization: Authorization, final: int) -> list[Range]:
        """Where the use may be, the likeliest first: up to the expiry, from the recorded block if that can be."""
        expiry = authorization.valid_before
        usual = first_block_at(expiry - LIFE_S - NODES_APART_S, final, self._block)
        expired = first_block_at(expiry, final, self._block, first=usual)
        earliest = first_block_at(expiry - authorization.life_s - NODES_APART_S, usual, self._block)
        likeliest = authorization.from_block if earliest <= authorization.from_block <= expired else usual
        # Only a cancellation can be later than the expiry.
        return [(likeliest, expired), (earliest, likeliest - 1), (expired + 1, final)]
