"""A lean JSON-RPC client of one node: pooled connections, several calls in one exchange.

https://ethereum.org/developers/docs/apis/json-rpc, https://www.jsonrpc.org/specification#batch.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, make_headers
from urllib3.exceptions import HTTPError

TIMEOUT_S = 30.0
ANSWER_MAX = 8 * 2**20
"""Bytes of an answer, unpacked: some thousand logs are less."""
READ = 64 * 1024
TRIES, BACKOFF_S = 5, 0.125
"""As web3.py has them: after a broken connection, an HTTP error or a late answer, each wait twice the one before."""
PASSING = (408, 425, 429, 502, 503, 504)
"""HTTP statuses after which the same request may succeed."""
CONNECTIONS = 64
HEADERS = {"Content-Type": "application/json", "User-Agent": "gpu-seller"}
ERROR_OF_STRING = "0x08c379a0"
"""How Solidity begins the reason of a revert."""


class NodeError(Exception):
    """The node's answer to a call is an error: the message is its own, with the reason of a revert."""


class NodeAway(OSError):
    """The node gave no answer that can be used. The message is its kind alone: the node's URL may have a key in it."""


class NodeRefuses(NodeAway):
    """The node takes no such request: to repeat it is of no use."""


@dataclass(frozen=True)
class Call:
    """A call of a method with its parameters, which are JSON."""

    method: str
    params: tuple[Any, ...] = ()

    @cached_property
    def key(self) -> str:
        return json.dumps([self.method, self.params])


class Node:
    """The node at a URL. Safe to call from any thread. Its methods raise NodeAway, and those with results NodeError."""

    def __init__(self, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.url = url
        self._sleep, self._pool, self._headers = sleep, _pool(url), _headers(url)
        self._batches = True
        self._fetched = threading.local()

    def close(self) -> None:
        self._pool.clear()

    def call(self, method: str, *params: Any) -> Any:
        """The result of one call."""
        (result,) = self.many([Call(method, params)])
        return result

    def many(self, calls: Sequence[Call]) -> list[Any]:
        """The results of calls, in their order, by one exchange for all that is not asked ahead."""
        fetched: dict[str, Any] = getattr(self._fetched, "results", {})
        results = {call.key: fetched.pop(call.key) for call in calls if call.key in fetched}
        results |= self._batch([call for call in calls if call.key not in results])
        return [results[call.key] if call.key in results else self._alone(call) for call in calls]

    @contextmanager
    def ahead(self, calls: Sequence[Call]) -> Iterator[None]:
        """Asks these in one exchange: in the block, each has its result once, where this thread calls it.

        A call that failed is made again there, and so are all with a node that takes one at a time.
        """
        self._fetched.results = self._batch(calls)
        try:
            yield
        finally:
            self._fetched.results = {}

    def is_reachable(self) -> bool:
        try:
            self.call("eth_chainId")
        except (NodeAway, NodeError):
            return False
        return True

    def _batch(self, calls: Sequence[Call]) -> dict[str, Any]:
        """The results of those that succeeded, by key. One that failed or is missing may succeed alone."""
        if len(calls) < 2 or not self._batches:
            return {}
        try:
            answers = self._post([_request(call, number) for number, call in enumerate(calls)])
        except NodeRefuses:
            answers = None
        if not isinstance(answers, list):
            self._batches = False
            return {}
        results = {answer.get("id"): answer["result"] for answer in answers if _is_result(answer)}
        return {call.key: results[number] for number, call in enumerate(calls) if number in results}

    def _alone(self, call: Call) -> Any:
        answer = self._post(_request(call, 0))
        if not _is_answer(answer):
            raise NodeAway("no JSON-RPC answer")
        if answer.get("error"):
            raise NodeError(_error_text(answer["error"]))
        return answer["result"]

    def _post(self, document: Any) -> Any:
        body = json.dumps(document).encode()
        for wait_s in [BACKOFF_S * 2**number for number in range(TRIES - 1)]:
            try:
                return self._post_once(body)
            except NodeRefuses:
                raise
            except NodeAway:
                self._sleep(wait_s)
        return self._post_once(body)

    def _post_once(self, body: bytes) -> Any:
        try:
            answer = self._pool.request(
                *("POST", self.url, body),
                headers=self._headers,
                retries=False,
                timeout=TIMEOUT_S,
                preload_content=False,
            )
            content = _content(answer)
        except HTTPError as error:
            raise NodeAway(type(error).__name__) from None
        if answer.status != 200:
            raise (NodeAway if answer.status in PASSING else NodeRefuses)(f"HTTP {answer.status}")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise NodeAway("no JSON") from None


def _content(answer: BaseHTTPResponse) -> bytes:
    """The body, which is unpacked no further than to ANSWER_MAX. Raises NodeRefuses beyond, or after TIMEOUT_S."""
    content, ends_at = bytearray(), time.monotonic() + TIMEOUT_S
    while part := answer.read1(READ):
        content += part
        if len(content) > ANSWER_MAX or time.monotonic() > ends_at:
            answer.close()  # with its connection, on which the rest would come
            raise NodeRefuses("its answer is too long")
    answer.release_conn()
    return bytes(content)


def _pool(url: str) -> PoolManager:
    """Connections, by way of the environment's proxy where there is one for this host, with httpx' certificates."""
    parts = urlsplit(url)
    options: dict[str, Any] = {"num_pools": 2, "maxsize": CONNECTIONS}
    if parts.scheme == "https":
        options["ssl_context"] = httpx.create_ssl_context()
    proxies = getproxies()
    proxy = "" if proxy_bypass(parts.netloc) else proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy:
        return PoolManager(**options)
    return ProxyManager(proxy, proxy_headers=make_headers(proxy_basic_auth=_credentials(proxy)), **options)


def _headers(url: str) -> dict[str, str]:
    return HEADERS | dict(make_headers(basic_auth=_credentials(url)))


def _credentials(url: str) -> str | None:
    """What a URL has before its host, as Basic authentication takes it."""
    parts = urlsplit(url)
    return None if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"


def _request(call: Call, number: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": call.method, "params": call.params}


def _is_answer(answer: Any) -> bool:
    return isinstance(answer, dict) and (bool(answer.get("error")) or "result" in answer)


def _is_result(answer: Any) -> bool:
    return _is_answer(answer) and not answer.get("error")


def _error_text(error: Any) -> str:
    """The words of an error: its message, and the reason of a revert where only its data has it."""
    if not isinstance(error, dict):
        return str(error)
    message, data = str(error.get("message", error)), error.get("data")
    if isinstance(data, dict):
        data = data.get("data")
    if not isinstance(data, str) or not data.startswith(ERROR_OF_STRING):
        return message
    try:
        (reason,) = decode(["string"], bytes.fromhex(data.removeprefix(ERROR_OF_STRING)))
    except (DecodingError, ValueError):
        return message
    return message if reason in message else f"{message}: {reason}"
