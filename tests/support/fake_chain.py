"""A chain in memory with one payment, read by EvmChain through a node with limits."""

from collections.abc import Callable
from typing import Any

from eth_abi.abi import encode

from gpuagent.adapters.chain.evm import EvmChain
from gpuagent.adapters.chain.json_rpc import NodeRefused
from gpuagent.core.model import Authorization
from gpuagent.errors import ChainError
from gpuagent.wire.eip3009 import TRANSFER_TOPIC, USED_TOPIC
from tests.support.factories import TOKEN

PERIOD_S = 2
"""Between two blocks, as on Base."""
TRANSACTION = "0x" + "5" * 64


class FakeChain(EvmChain):
    """The chain, its newest block final. used_in: the block with the payment, or what cancelled it by `topic`.

    span_max: blocks in one query for logs. state_from: the first block whose state is kept. indexed: whether logs
    show the payment yet. forgets: its state shows no use. fails: so many queries for logs, from now on. receipted:
    whether the receipt is there. blocks_from: the first block that is kept. queries: those for logs; calls: all.
    """

    born = 1_000
    """The block of the token's deployment."""

    def __init__(self, authorization: Authorization, used_in: int, newest: int, topic: str = USED_TOPIC) -> None:
        super().__init__("http://127.0.0.1:1", TOKEN)
        self.authorization, self.used_in, self.newest, self.topic = authorization, used_in, newest, topic
        self.span_max, self.state_from, self.indexed = 2_000, 0, True
        self.ignores_number = self.forgets = False
        self.fails, self.receipted, self.blocks_from = 0, True, 0
        self.other_logs: list[dict[str, Any]] = []
        self.calls = self.queries = 0

    def time_of(self, number: int) -> int:
        return 1_700_000_000 + PERIOD_S * number

    def _batch(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        self.calls += len(calls)
        methods: dict[str, Callable[..., Any]] = {
            "eth_getBlockByNumber": self._block,
            "eth_call": self._state,
            "eth_chainId": lambda: hex(TOKEN.chain_id),
            "eth_getLogs": self._find_logs,
            "eth_getTransactionReceipt": self._receipt,
        }
        return [methods[method](*params) for method, params in calls]

    def _block(self, tag: str, _: bool) -> dict[str, str] | None:
        number = self.newest if tag == "latest" else int(tag, 16)
        if number < self.blocks_from:
            return None
        return {"number": hex(number), "timestamp": hex(self.time_of(number)), "hash": hex(number)}

    def _state(self, _: Any, block: Any) -> str:
        number = int(block["blockHash"] if isinstance(block, dict) else block, 16)
        if number < self.state_from:
            raise NodeRefused("missing trie node")
        if number < self.born:
            return "0x"
        used = number >= self.used_in or (self.ignores_number and self.used_in <= self.newest)
        return "0x" + encode(["bool"], [used and not self.forgets]).hex()

    def _find_logs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        self.queries += 1
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        assert 0 <= first <= last <= self.newest
        if self.fails:
            self.fails -= 1
            raise ChainError("busy")
        if last - first + 1 > self.span_max:
            raise NodeRefused("up to a few block range")
        mine = [self.use()] if self.indexed and first <= self.used_in <= last else []
        return self.other_logs + mine

    def _receipt(self, _: str) -> dict[str, Any] | None:
        if not self.receipted:
            return None
        terms = self.authorization
        names = [TRANSFER_TOPIC, *("0x" + address[2:].rjust(64, "0") for address in (terms.payer, terms.payee))]
        transfer = {"address": TOKEN.address, "topics": names, "data": hex_word(terms.amount)}
        return {"blockHash": hex(self.used_in), "logs": [transfer]}

    def use(self) -> dict[str, Any]:
        """The log of the use or cancellation."""
        names = [self.topic, "0x" + self.authorization.payer[2:].rjust(64, "0"), self.authorization.nonce]
        block = hex(self.used_in)
        return {"address": TOKEN.address, "topics": names, "blockNumber": block, "transactionHash": TRANSACTION}


def hex_word(number: int) -> str:
    return "0x" + encode(["uint256"], [number]).hex()
