"""A JSON-RPC proxy in front of the chain's node that can lag, lie, be down, or have the limits that nodes have."""

import gzip
import json
import threading
import zlib
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

Lie = Callable[[list[Any], Any], Any]
"""A false answer, made from the parameters and the true result."""
Upstream = Callable[[dict[str, Any]], Any]
Condition = Callable[[list[Any]], bool]
"""Whether a call with these parameters is refused."""
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: b"\x0b" + body,  # not decoded by anything here
}


class HttpUpstream:
    """The node behind the proxy."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30)

    def __call__(self, call: dict[str, Any]) -> Any:
        return self._client.post("", json=call).json()

    def close(self) -> None:
        self._client.close()


class RpcProxy:
    """One node, with limits and lies until honest() is called. upstream: its URL, or what answers a call.

    methods: those that were called, in order; batches: the number of calls in each HTTP request.
    """

    def __init__(self, upstream: str | Upstream) -> None:
        self._upstream = upstream if callable(upstream) else HttpUpstream(upstream)
        self.methods: list[str] = []
        self.batches: list[int] = []
        self.honest()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: two wait 40 ms for each other

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if proxy._down:
                    self.close_connection = True
                    return
                status, body, headers = proxy._reply(request)
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Tests read no access log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        if isinstance(self._upstream, HttpUpstream):
            self._upstream.close()

    def honest(self) -> None:
        self._last: int | None = None
        self._down = False
        self._lies: dict[str, Lie] = {}
        self._refusals: list[tuple[str, Condition, dict[str, Any], int]] = []
        self._pages: list[tuple[int, bytes, Mapping[str, str]]] = []
        self._batch_max: int | None = None
        self._batch_error: Any = None
        self._encoding = ""

    def down(self) -> None:
        """Hang up on every request."""
        self._down = True

    def up(self) -> None:
        self._down = False

    def stop_at(self, number: int) -> None:
        """Show no block after that one: the chain goes on each second, and a lag in blocks would move with it."""
        self._last = number

    def lie(self, method: str, answer: Lie) -> None:
        self._lies[method] = answer

    def refuse(self, method: str, when: Condition, error: dict[str, Any], status: int = 200) -> None:
        """Answer such calls with an error. status: of the HTTP answer that holds it."""
        self._refusals.append((method, when, error, status))

    def limit_logs(self, blocks: int, code: int = -32600, status: int = 200) -> None:
        """Refuse queries for logs of more blocks."""
        error = {"code": code, "message": f"eth_getLogs requests are limited to a {blocks} block range"}
        self.refuse("eth_getLogs", lambda params: logs_width(params) > blocks, error, status)

    def forget_state(self, before: int) -> None:
        """Keep no state of blocks before that number, as a pruned node."""
        error = {"code": -32000, "message": "missing trie node"}
        self.refuse("eth_call", lambda params: is_before(params[1], before), error)

    def limit_batches(self, calls: int, error: Any = None) -> None:
        """Refuse batches of more calls, with an error as the whole answer, or one of every shape that nodes have."""
        self._batch_max = calls
        self._batch_error = error or {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch limit"}}

    def show(self, status: int, body: bytes, times: int = 1, **headers: str) -> None:
        """Answer the next requests with a page. headers: by name, with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._pages += [(status, body, named)] * times

    def compress(self, encoding: str) -> None:
        """Compress every answer, asked or not."""
        self._encoding = encoding

    def _reply(self, request: Any) -> tuple[int, bytes, Mapping[str, str]]:
        calls = request if isinstance(request, list) else [request]
        self.batches.append(len(calls))
        if self._pages:
            return self._pages.pop(0)
        if isinstance(request, list) and self._batch_max is not None and len(calls) > self._batch_max:
            return 200, json.dumps(self._batch_error).encode(), {}
        statuses, answers = zip(*(self._answer(call) for call in calls), strict=True)
        body = json.dumps(list(answers) if isinstance(request, list) else answers[0]).encode()
        if self._encoding:
            return 200, COMPRESS[self._encoding](body), {"Content-Encoding": self._encoding}
        return max(statuses), body, {}

    def _answer(self, call: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        method = call["method"]
        self.methods.append(method)
        params = [self._newest() if param == "latest" else param for param in call["params"]]
        for refused_method, condition, error, status in self._refusals:
            if refused_method == method and condition(params):
                return status, {"jsonrpc": "2.0", "id": call["id"], "error": error}
        response: dict[str, Any] = self._ask({**call, "params": params})
        if method in self._lies and "result" in response:
            response["result"] = self._lies[method](params, response["result"])
        return 200, response

    def _newest(self) -> str:
        return "latest" if self._last is None else hex(self._last)

    def _ask(self, call: dict[str, Any]) -> Any:
        return self._upstream(call)


def logs_width(params: list[Any]) -> int:
    """The number of blocks that a query for logs asks about."""
    (query,) = params
    return int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1


def is_before(block: Any, number: int) -> bool:
    """Whether a parameter names a block by number, and an older one."""
    return isinstance(block, str) and block.startswith("0x") and int(block, 16) < number
