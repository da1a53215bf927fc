"""The lean client of a node: exchanges, answers that are known ahead, nodes with limits, and nodes that are away."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from eth_abi.abi import encode

from seller.payments.node import ANSWER_MAX, BACKOFF_S, TRIES, Call, Node, NodeAway, NodeError
from tests.support.rpc_proxy import RpcProxy

PRICE, COUNT = Call("eth_gasPrice"), Call("eth_getTransactionCount", ("0xab", "pending"))
REVERT = {"code": 3, "message": "execution reverted", "data": "0x08c379a0" + encode(["string"], ["no money"]).hex()}


def upstream(call: dict[str, Any]) -> dict[str, Any]:
    results = {"eth_gasPrice": "0x7", "eth_getTransactionCount": "0x2", "eth_call": None}
    return {"jsonrpc": "2.0", "id": call["id"], "result": results[call["method"]]}


@pytest.fixture
def proxy() -> Iterator[RpcProxy]:
    with closing(RpcProxy(upstream)) as proxy:
        yield proxy


@pytest.fixture
def waits() -> list[float]:
    """The seconds that the client waited, between tries."""
    return []


@pytest.fixture
def node(proxy: RpcProxy, waits: list[float]) -> Iterator[Node]:
    with closing(Node(proxy.url, waits.append)) as node:
        yield node


def test_several_calls_are_one_exchange(node: Node, proxy: RpcProxy) -> None:
    assert node.many([COUNT, PRICE, COUNT]) == ["0x2", "0x7", "0x2"]
    assert node.many([]) == []
    assert node.call("eth_call", {}) is None, "null is a result"
    assert proxy.batches == [3, 1]


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_node_that_takes_one_call_at_a_time_is_asked_so(
    node: Node, proxy: RpcProxy, waits: list[float], status: int
) -> None:
    proxy.show(status, b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "one at a time"}}')
    for _ in range(2):
        assert node.many([COUNT, PRICE]) == ["0x2", "0x7"]
    assert proxy.batches == [2, 1, 1, 1, 1], "and not in batches again"
    assert waits == []


def test_one_that_fails_among_others_is_asked_for_alone(node: Node, proxy: RpcProxy) -> None:
    refusals = iter([True, False, True, True])  # in a batch, alone
    proxy.refuse("eth_gasPrice", lambda _: next(refusals), {"code": -32005, "message": "too many at once"})
    assert node.many([COUNT, PRICE]) == ["0x2", "0x7"]
    with pytest.raises(NodeError, match="too many at once"):
        node.many([COUNT, PRICE])


def test_a_revert_is_told_with_its_reason(node: Node, proxy: RpcProxy) -> None:
    proxy.refuse("eth_call", lambda _: True, REVERT)
    with pytest.raises(NodeError, match="execution reverted: no money"):
        node.call("eth_call", {})


def test_what_is_asked_ahead_is_answered_once_and_to_its_thread(node: Node, proxy: RpcProxy) -> None:
    proxy.refuse("eth_call", lambda _: True, REVERT)
    with node.ahead([PRICE, COUNT, Call("eth_call", ({},))]):
        other = threading.Thread(target=node.call, args=("eth_gasPrice",))
        other.start()
        other.join()
        assert node.many([PRICE]) == ["0x7"]
        assert proxy.batches == [3, 1], "another thread asks for itself"
        assert node.many([PRICE]) == ["0x7"]
        assert proxy.batches == [3, 1, 1], "what is asked twice may have changed"
        with pytest.raises(NodeError, match="no money"):
            node.call("eth_call", {})
    node.many([COUNT])
    assert proxy.batches == [3, 1, 1, 1, 1], "after the block nothing is left of it"


def test_a_node_that_is_away_is_tried_some_times(node: Node, proxy: RpcProxy, waits: list[float]) -> None:
    proxy.show(503, b"busy", times=2)
    assert node.call("eth_gasPrice") == "0x7"
    assert waits == [BACKOFF_S, 2 * BACKOFF_S]
    proxy.down()
    with pytest.raises(NodeAway) as away:
        node.call("eth_gasPrice")
    assert len(waits) == 2 + TRIES - 1
    assert proxy.url.rpartition(":")[2] not in str(away.value), "the URL may have a key in it"
    assert not node.is_reachable()


@pytest.mark.parametrize("page", [b"<html>", b"[]", b'{"id": 0}'])
def test_a_page_is_no_answer(node: Node, proxy: RpcProxy, page: bytes) -> None:
    proxy.show(200, page, times=2 * TRIES)
    with pytest.raises(NodeAway):
        node.call("eth_gasPrice")


@pytest.mark.parametrize("encoding", ["", "gzip"], ids=["long", "a bomb"])
def test_an_answer_fills_no_memory(node: Node, proxy: RpcProxy, encoding: str) -> None:
    body = b" " * (ANSWER_MAX + 1)
    proxy.show(200, gzip.compress(body) if encoding else body, Content_Encoding=encoding or "identity")
    with pytest.raises(NodeAway, match="too long"):
        node.call("eth_gasPrice")
    proxy.compress("gzip")
    assert node.call("eth_gasPrice") == "0x7"


def test_it_goes_by_the_environments_proxy(proxy: RpcProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with closing(Node("http://node.invalid/key")) as node:
        assert node.call("eth_gasPrice") == "0x7"
    with closing(RpcProxy(upstream)) as local, closing(Node(local.url)) as node:
        node.call("eth_gasPrice")
        assert (proxy.batches, local.batches) == ([1], [1])
