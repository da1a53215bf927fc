"""TokenLogs: the span of a query falls to what the node answers, finds its limit, and rises when that is lifted."""

from itertools import pairwise
from typing import Any

import pytest

from gpuagent.adapters.chain.json_rpc import NodeRefused
from gpuagent.adapters.chain.logs import PROBE_AFTER, TokenLogs
from gpuagent.core.records import Incoming
from gpuagent.errors import ChainError
from gpuagent.wire.eip3009 import TRANSFER_TOPIC
from tests.support.factories import PAYEE, PAYER, TOKEN


class Logs:
    """A node that shows no logs. limit: blocks that it answers for at once; answered, refused: the widths asked for."""

    def __init__(self, limit: int, span: int = 2_000) -> None:
        self.limit = limit
        self.spans: list[tuple[int, int]] = []
        self.refused: list[int] = []
        self.broken = False
        self.logs: list[dict[str, Any]] = []
        self.token_logs = TokenLogs(self.batch, TOKEN, span)

    def batch(self, call: tuple[str, list[Any]]) -> list[Any]:
        _, (query,) = call
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        if self.broken:
            raise ChainError("the chain does not answer")
        if last - first + 1 > self.limit:
            self.refused.append(last - first + 1)
            raise NodeRefused("too many blocks")
        self.spans.append((first, last))
        return [self.logs]

    def read(self, first: int, last: int) -> None:
        """Read the history, and check that every block was asked about once, in order."""
        self.spans.clear()
        self.refused.clear()
        assert list(self.token_logs.history(PAYER, first, last)) == []
        assert (self.spans[0][0], self.spans[-1][1]) == (first, last)
        assert all(before[1] + 1 == after[0] for before, after in pairwise(self.spans))

    @property
    def size(self) -> int:
        return self.token_logs.span.size


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 10, 100, 499, 500, 1_000, 1_999, 2_000, 10_000])
def test_the_span_finds_the_node_s_limit(limit: int) -> None:
    node = Logs(limit)
    node.read(7, 7 + 40 * limit)
    assert node.size == min(limit, 2_000)
    assert len(node.refused) <= 22
    node.read(0, 20 * limit)
    assert node.refused == [], "and keeps to it"


def test_a_limit_that_is_lifted_or_lowered_is_noticed() -> None:
    node = Logs(10)
    node.read(0, 1_000)
    node.limit = 10_000
    node.read(0, 10 * PROBE_AFTER * 20)
    assert node.size > 100
    node.limit = 3
    node.read(0, 300)
    assert node.size == 3


def test_probing_costs_little() -> None:
    node = Logs(10)
    node.read(0, 1_000)
    node.read(0, 10 * 10 * PROBE_AFTER)
    assert len(node.spans) < 1.1 * 10 * PROBE_AFTER
    assert len(node.refused) < 0.05 * len(node.spans)


def test_a_node_that_shows_no_logs_is_an_error() -> None:
    node = Logs(0)
    with pytest.raises(NodeRefused):
        list(node.token_logs.history(PAYER, 0, 10_000))
    assert len(node.refused) <= 12


def test_a_node_that_does_not_answer_is_not_asked_for_less() -> None:
    node = Logs(2_000)
    node.broken = True
    with pytest.raises(ChainError, match="does not answer"):
        list(node.token_logs.history(PAYER, 0, 10_000))
    assert node.size == 2_000


def test_the_rest_of_a_range_says_nothing_of_the_limit() -> None:
    node = Logs(2_000)
    node.read(0, 5)
    assert node.size == 2_000


def word(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")


def test_what_comes_in_is_the_token_s_and_the_wallet_s_alone() -> None:
    """Whatever a node shows beside: another contract's log, another wallet's or block's, one that is taken back."""
    node = Logs(2_000)
    log = {
        "address": TOKEN.address,
        "topics": [TRANSFER_TOPIC, word(PAYEE), word(PAYER)],
        "data": "0x" + f"{500_000:064x}",
        "transactionHash": "0x" + "AB" * 32,
        "logIndex": "0x3",
        "blockNumber": "0x9",
    }
    node.logs = [
        {**log, "address": "0x" + "4" * 40},
        {**log, "topics": [TRANSFER_TOPIC, word(PAYER), word(PAYEE)]},
        {**log, "topics": ["0x" + "5" * 64, word(PAYEE), word(PAYER)]},
        {**log, "blockNumber": "0xb"},
        {**log, "removed": True},
        {**log, "data": "0x" + "0" * 64},
        log,
    ]
    received = list(node.token_logs.incoming(PAYER, 5, 10))
    assert received == [Incoming("0x" + "ab" * 32, 3, 9, PAYEE.lower(), PAYER.lower(), 500_000)]
    node.logs = [{**log, "data": "0x"}]
    with pytest.raises(ChainError, match="can be read"):
        list(node.token_logs.incoming(PAYER, 5, 10))
