"""Logs of an EIP-3009 token: transfers out of an account, and nonces used or cancelled."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from eth_abi.abi import decode

from gpuagent.adapters.chain.decoding import count, decoded
from gpuagent.adapters.chain.json_rpc import NodeRefused
from gpuagent.core.model import Authorization, Token, Transfer
from gpuagent.core.records import Incoming, Spent
from gpuagent.wire.eip3009 import CANCELED_TOPIC, TRANSFER_TOPIC, USED_TOPIC

Log = dict[str, Any]

PROBE_AFTER = 200
"""Queries of the widest span that a node answered, until a wider one is tried again."""
PAGES_MAX = 20
"""Queries in which the widest span is looked for."""


class Span:
    """How many blocks a node is asked about at once: by half down from `most` where it refuses, and up to its limit.

    No error's text is read: nodes word, number and draw this limit each in its own way.
    """

    def __init__(self, most: int) -> None:
        self.size, self._most = most, most
        self._refused = most + 1
        self._answers = 0

    def refused(self, size: int) -> None:
        """Notes that so many blocks were too many."""
        self._refused, self._answers = size, 0
        self.size = max(1, min(self.size, size // 2))

    def answered(self, size: int) -> None:
        """Notes that so many were not, and goes half the way to the least that was refused."""
        if size < self.size:
            return  # the rest of a range
        self._answers += 1
        if self._answers >= PROBE_AFTER:  # the limit may have been lifted since
            self._refused, self._answers = min(self._most + 1, 2 * size + 1), 0
        self.size = max(size, (size + self._refused) // 2)


class TokenLogs:
    """Reads logs span by span, each when it is reached. batch: JsonRpc.batch(); span: most blocks in one query."""

    def __init__(self, batch: Callable[..., list[Any]], token: Token, span: int) -> None:
        self._batch, self._token, self.span = batch, token, Span(span)

    def history(self, payer: str, first: int, last: int) -> Iterator[Transfer | Spent]:
        """Transfers out of the payer's account and nonces it spent, in order."""
        while first <= last:
            end, events = self._events(payer, first, last)
            yield from events
            first = end + 1

    def incoming(self, wallet: str, first: int, last: int) -> Iterator[Incoming]:
        """Transfers into the wallet, in order. What a node shows of another token, wallet or block is left out."""
        while first <= last:
            end, transfers = self._received(wallet, first, last)
            yield from transfers
            first = end + 1

    def use_in(self, authorization: Authorization, first: int, last: int) -> tuple[int, Log | None]:
        """The log of the nonce's use or cancellation, None where there is none up to the block returned."""
        topics = _use_topics(authorization)
        end, logs = self._page(topics, first, last)
        return end, self._use(logs, topics, first, end)

    def use_at_once(self, authorization: Authorization, first: int, last: int) -> Log | None:
        """The same of all the blocks in one query. Raises NodeRefused where they are too many."""
        topics = _use_topics(authorization)
        return self._use(self._query(topics, first, last), topics, first, last)

    def has_use(self, authorization: Authorization, logs: Sequence[Log], last: int) -> bool:
        """Whether one of a receipt's logs is the nonce's use, as a payment, in a block up to the last one."""
        topics = [[USED_TOPIC], *_use_topics(authorization)[1:]]
        return self._use(logs, topics, 0, last) is not None

    def widest(self, last: int) -> int:
        """The most blocks up to the last one that the node answers at once, found by asking."""
        topics = [[USED_TOPIC], "0x" + "0" * 64]
        for _ in range(PAGES_MAX):
            size = self.span.size
            self._page(topics, max(0, last - size + 1), last)
            if self.span.size == size:
                break
        return self.span.size

    def transfers(self, logs: Sequence[Log]) -> list[tuple[str, str, int]]:
        """(from, to, amount) of the token's transfers among a receipt's logs, addresses in lower case."""
        return [_transfer(log) for log in logs if self._is_transfer(log)]

    @decoded
    def _events(self, payer: str, first: int, last: int) -> tuple[int, list[Transfer | Spent]]:
        topics = [[TRANSFER_TOPIC, USED_TOPIC, CANCELED_TOPIC], _address_topic(payer)]
        end, logs = self._page(topics, first, last)
        events = [_event(log) for log in logs]
        # Any account may have the token log a transfer of 0 out of any other ("address poisoning"): it moves nothing.
        return end, [event for event in events if isinstance(event, Spent) or event.amount]

    @decoded
    def _received(self, wallet: str, first: int, last: int) -> tuple[int, list[Incoming]]:
        end, logs = self._page([TRANSFER_TOPIC, None, _address_topic(wallet)], first, last)
        transfers = [
            _incoming(log)
            for log in logs
            if self._is_transfer(log)
            and log["topics"][2].lower() == _address_topic(wallet)
            and first <= count(log["blockNumber"]) <= end
            and not log.get("removed")
        ]
        return end, [transfer for transfer in transfers if transfer.amount]  # a transfer of 0 brings nothing

    def _page(self, topics: Sequence[object], first: int, last: int) -> tuple[int, list[Log]]:
        """The logs from the first block to the block returned: as far as the node answers at once."""
        while True:
            end = min(first + self.span.size - 1, last)
            try:
                return end, self._query(topics, first, end)
            except NodeRefused:
                if end == first:
                    raise

    def _query(self, topics: Sequence[object], first: int, last: int) -> list[Log]:
        query = {"address": self._token.address, "topics": topics, "fromBlock": hex(first), "toBlock": hex(last)}
        try:
            (logs,) = self._batch(("eth_getLogs", [query]))
        except NodeRefused:
            self.span.refused(last - first + 1)
            raise
        self.span.answered(last - first + 1)
        return list(logs)

    def _use(self, logs: Sequence[Log], topics: Sequence[Any], first: int, last: int) -> Log | None:
        """The log among them that was asked for: a node that ignores the filter shows others' cancellations too."""
        uses = [[kind, *topics[1:]] for kind in topics[0]]
        for log in logs:
            log_topics = [topic.lower() for topic in log["topics"]]
            of_token = log["address"].lower() == self._token.address.lower()
            there = first <= count(log["blockNumber"]) <= last and not log.get("removed")
            if there and of_token and log_topics in uses:
                return log
        return None

    def _is_transfer(self, log: Log) -> bool:
        of_token = log["address"].lower() == self._token.address.lower()
        return bool(of_token and len(log["topics"]) == 3 and log["topics"][0] == TRANSFER_TOPIC)


def _use_topics(authorization: Authorization) -> list[Any]:
    return [[USED_TOPIC, CANCELED_TOPIC], _address_topic(authorization.payer), authorization.nonce.lower()]


def _event(log: Log) -> Transfer | Spent:
    if log["topics"][0] == TRANSFER_TOPIC:
        _, payee, amount = _transfer(log)
        return Transfer(log["transactionHash"], payee, amount)
    cancelled, block_number = log["topics"][0] == CANCELED_TOPIC, count(log["blockNumber"])
    return Spent(log["topics"][2].lower(), log["transactionHash"], cancelled, block_number)


def _transfer(log: Log) -> tuple[str, str, int]:
    payer, payee = ("0x" + topic[-40:].lower() for topic in log["topics"][1:3])
    (amount,) = decode(["uint256"], bytes.fromhex(log["data"][2:]))
    return payer, payee, amount


def _incoming(log: Log) -> Incoming:
    sender, wallet, amount = _transfer(log)
    log_index, block_number = count(log["logIndex"]), count(log["blockNumber"])
    return Incoming(log["transactionHash"].lower(), log_index, block_number, sender, wallet, amount)


def _address_topic(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")
