"""An HTTP server with a scripted answer, for a hostile vendor or node."""

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.factories import VENDOR


class ScriptedServer:
    """Gives the scripted answer to every request, or to those of a path one of its own.

    request_headers: of the last request; requests: path with query and body of each since the last script.
    """

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.by_path: dict[str, tuple[int, bytes, Mapping[str, str]]] = {}
        self.requests: list[tuple[str, bytes]] = []
        self.headers: Mapping[str, str] = {}
        self.request_headers: Mapping[str, str] = {}
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: two wait 40 ms for each other

            def do_POST(self) -> None:
                self.do_GET(self.rfile.read(int(self.headers.get("Content-Length", 0))))

            do_PUT = do_POST  # noqa: N815 - the base class calls it so

            def do_GET(self, received: bytes = b"") -> None:
                scripted.request_headers = dict(self.headers)
                scripted.requests.append((self.path, received))
                usual = (scripted.status, scripted.body, scripted.headers)
                status, body, headers = scripted.by_path.get(self.path.partition("?")[0], usual)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Tests read no access log."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.vendor = replace(VENDOR, endpoint=f"http://127.0.0.1:{self.server.server_port}")
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def respond_with(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.headers = status, headers or {}
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.by_path.clear()
        self.requests.clear()

    def respond_at(self, path: str, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.by_path[path] = (status, content, headers or {})
