"""JsonRpc against nodes with limits: small batches or none, rate limits, pages, compressed answers, another chain."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from gpuagent.adapters.chain.json_rpc import BATCH_MAX, TRIES, JsonRpc, NodeRefused
from gpuagent.errors import ChainError
from tests.support.rpc_proxy import RpcProxy

CHAIN = 31337
KEY = "an-api-key-of-ours"
DATE = "Sat, 28 Nov 2026 08:00:00 GMT"
BUSY = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32005, "message": "daily request count exceeded"}}'
CLOUDFLARE = (
    b"<html><head><title>Just a moment...</title><style>p {x: y}</style></head><body><p>Checking</p></body></html>"
)


def upstream(call: dict[str, Any]) -> dict[str, Any]:
    """A node that repeats the parameter of every call."""
    result = hex(CHAIN) if call["method"] == "eth_chainId" else call["params"][0]
    return {"jsonrpc": "2.0", "id": call["id"], "result": result}


@pytest.fixture
def node() -> Iterator[RpcProxy]:
    with closing(RpcProxy(upstream)) as proxy:
        yield proxy


@pytest.fixture
def pauses() -> list[float]:
    """The waits that were made."""
    return []


@pytest.fixture
def rpc(node: RpcProxy, pauses: list[float]) -> Iterator[JsonRpc]:
    with closing(JsonRpc(f"{node.url}/v2/{KEY}", 5, CHAIN, pauses.append)) as rpc:
        yield rpc


def echo(rpc: JsonRpc, count: int) -> None:
    """Ask so many calls, and check that each got its own answer."""
    assert rpc.batch(*(("echo", [number]) for number in range(count))) == list(range(count))


def test_one_request_holds_the_calls_and_the_chain_s_id(rpc: JsonRpc, node: RpcProxy) -> None:
    echo(rpc, 7)
    assert node.batches == [8]
    assert node.methods[-1] == "eth_chainId"
    echo(rpc, 120)
    assert max(node.batches) == BATCH_MAX


@pytest.mark.parametrize("most", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "error",
    [
        {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch too large"}},
        [{"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch too large"}}],
        [{"jsonrpc": "2.0", "id": 0, "error": {"code": -32600, "message": "batch too large"}}],
        {"error": "no batches on the free plan"},
        [],
        "no batches",
    ],
)
def test_smaller_batches_or_none(rpc: JsonRpc, node: RpcProxy, most: int, error: Any) -> None:
    node.limit_batches(most, error)
    echo(rpc, 9)
    assert rpc.size <= most
    refused = [size for size in node.batches if size > most]
    echo(rpc, 9)
    assert [size for size in node.batches if size > most] == refused, "what a node takes is remembered"


@pytest.mark.parametrize("status", [400, 403, 405, 413, 500, 502])
def test_a_batch_refused_by_a_page_is_asked_call_by_call(rpc: JsonRpc, node: RpcProxy, status: int) -> None:
    node.show(status, b"<html>no batches</html>")
    echo(rpc, 1)
    assert node.batches == [2, 1, 1]


def test_calls_that_a_batch_leaves_out_are_asked_alone(rpc: JsonRpc, node: RpcProxy) -> None:
    too_large = {"code": -32003, "message": "response too large"}
    node.refuse("echo", lambda params: params[0] in (3, 4) and node.batches[-1] > 1, too_large)
    echo(rpc, 6)
    assert node.batches == [7, 1, 1]
    assert rpc.size == BATCH_MAX


def test_a_call_that_is_refused_for_itself_is_said(rpc: JsonRpc, node: RpcProxy) -> None:
    node.refuse("echo", lambda params: params == [1], {"code": -32000, "message": f"header not found, {KEY}"}, 400)
    with pytest.raises(NodeRefused, match=r"refused a request \(HTTP 400\): .*header not found, \[key\]") as error:
        echo(rpc, 2)
    assert KEY not in str(error.value)


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({}, [0.5, 1.0]),
        ({"Retry_After": "2"}, [2, 2]),
        ({"Retry_After": "Sat, 28 Nov 2026 08:00:03 GMT", "Date": DATE}, [3, 3]),
        ({"Retry_After": "Sat, 28 Nov 2026 07:00:00 GMT", "Date": DATE}, [0.5, 1.0]),
        ({"Retry_After": "soon"}, [0.5, 1.0]),
        ({"Retry_After": "-5"}, [0.5, 1.0]),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_node_is_waited_for(
    rpc: JsonRpc, node: RpcProxy, pauses: list[float], status: int, headers: dict[str, str], waits: list[float]
) -> None:
    node.show(status, BUSY, 2, **headers)
    echo(rpc, 2)
    assert pauses == waits
    assert rpc.size == BATCH_MAX, "that is no reason for smaller batches"


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry_After": "3600"},
        {"Retry_After": "9" * 400},
        {"Retry_After": "Sun, 29 Nov 2026 08:00:00 GMT", "Date": DATE},
    ],
)
def test_a_node_that_is_busy_for_long_is_not_waited_for(
    rpc: JsonRpc, node: RpcProxy, pauses: list[float], headers: dict[str, str]
) -> None:
    node.show(429, BUSY, **headers)
    with pytest.raises(ChainError, match=r"is busy, and asks to wait \d+ s: .*HTTP 429.*daily request count"):
        echo(rpc, 2)
    assert (pauses, len(node.batches)) == ([], 1)


def test_a_node_that_stays_busy_is_left(rpc: JsonRpc, node: RpcProxy, pauses: list[float]) -> None:
    node.show(429, b"slow down", 9)
    with pytest.raises(ChainError, match=r"is busy: .*HTTP 429, slow down\. Try again later") as error:
        echo(rpc, 2)
    assert not isinstance(error.value, NodeRefused), "no smaller question would help"
    assert len(node.batches) == TRIES


def test_a_rate_limit_within_an_answer(rpc: JsonRpc, node: RpcProxy, pauses: list[float]) -> None:
    limits = [True, False]
    node.refuse("echo", lambda _: limits.pop(0), {"code": -32016, "message": "over rate limit"})
    echo(rpc, 1)
    assert pauses == [0.5]


@pytest.mark.parametrize("status", [200, 401, 403, 404, 502])
def test_a_page_is_said_with_its_status(rpc: JsonRpc, node: RpcProxy, status: int) -> None:
    node.show(status, CLOUDFLARE.replace(b"Checking", KEY.encode()), 9)
    with pytest.raises(ChainError, match=rf"no answer that can be read: HTTP {status}, Just a moment... \[key\]"):
        echo(rpc, 1)


def test_a_result_that_comes_with_an_error_s_status_is_none(rpc: JsonRpc, node: RpcProxy) -> None:
    node.show(500, b'[{"id": 0, "result": 0}, {"id": 1, "result": "0x7a69"}]', 1)
    node.show(500, b'{"id": 0, "result": 0}', 1)
    with pytest.raises(ChainError, match="HTTP 500"):
        echo(rpc, 1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_answers_are_read(rpc: JsonRpc, node: RpcProxy, encoding: str) -> None:
    node.compress(encoding)
    echo(rpc, 3)


def test_a_compression_that_is_not_known_is_said(rpc: JsonRpc, node: RpcProxy) -> None:
    node.compress("br")
    with pytest.raises(ChainError, match=r"compressed \(br\), though it was asked not to"):
        echo(rpc, 1)


@pytest.mark.parametrize("batch_max", [50, 1])
def test_nothing_counts_of_another_chain(rpc: JsonRpc, node: RpcProxy, batch_max: int) -> None:
    node.limit_batches(batch_max)
    echo(rpc, 2)
    node.lie("eth_chainId", lambda *_: hex(84532))
    with pytest.raises(ChainError, match=f"127.0.0.1 is chain 84532, not eip155:{CHAIN}"):
        echo(rpc, 2)
    node.honest()
    echo(rpc, 2)


def test_a_silent_node_is_asked_once(rpc: JsonRpc, node: RpcProxy) -> None:
    node.down()
    with pytest.raises(ChainError, match=r"does not answer at 127\.0\.0\.1") as error:
        echo(rpc, 2)
    assert KEY not in str(error.value)
    assert not isinstance(error.value, NodeRefused)


def test_all_tries_together_end_by_the_deadline(node: RpcProxy, pauses: list[float]) -> None:
    with closing(JsonRpc(node.url, 0.4, CHAIN, pauses.append)) as rpc:
        node.show(429, BUSY, 9)
        with pytest.raises(ChainError, match="is busy"):
            echo(rpc, 1)
    assert pauses == [], "half a second is more than there is"
