"""A JSON-RPC proxy in front of the chain's node that can lag, lie, or be down."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

Lie = Callable[[list[Any], Any], Any]
"""A false answer, made from the parameters and the true result."""


class RpcProxy:
    """One node. It lags or lies until honest() is called. methods: those that were called, in order."""

    def __init__(self, upstream: str) -> None:
        self._upstream = httpx.Client(base_url=upstream, timeout=30)
        self._lag, self._down = 0, False
        self._lies: dict[str, Lie] = {}
        self.methods: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                calls = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if proxy._down:
                    self.close_connection = True
                    return
                body = json.dumps([proxy._answer(call) for call in calls]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Tests read no access log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._upstream.close()

    def honest(self) -> None:
        self._lag, self._down = 0, False
        self._lies.clear()

    def down(self) -> None:
        """Hang up on every request."""
        self._down = True

    def up(self) -> None:
        self._down = False

    def lag(self, blocks: int) -> None:
        """Show a newest block that is so many blocks old."""
        self._lag = blocks

    def lie(self, method: str, answer: Lie) -> None:
        self._lies[method] = answer

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        self.methods.append(call["method"])
        params = [self._newest() if self._lag and param == "latest" else param for param in call["params"]]
        response: dict[str, Any] = self._ask({**call, "params": params})
        if call["method"] in self._lies and "result" in response:
            response["result"] = self._lies[call["method"]](params, response["result"])
        return response

    def _newest(self) -> str:
        number = self._ask({"jsonrpc": "2.0", "id": 0, "method": "eth_blockNumber", "params": []})["result"]
        return hex(max(0, int(number, 16) - self._lag))

    def _ask(self, call: dict[str, Any]) -> Any:
        return self._upstream.post("", json=call).json()
