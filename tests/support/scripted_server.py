"""An HTTP server with a scripted answer, for a hostile vendor or node."""

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.factories import VENDOR


class ScriptedServer:
    """Gives the scripted answer to every request. request_headers: of the last request."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.headers: Mapping[str, str] = {}
        self.request_headers: Mapping[str, str] = {}
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: two wait 40 ms for each other

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.do_GET()

            do_PUT = do_POST  # noqa: N815 - the base class calls it so

            def do_GET(self) -> None:
                scripted.request_headers = dict(self.headers)
                self.send_response(scripted.status)
                for name, value in scripted.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(scripted.body)))
                self.end_headers()
                self.wfile.write(scripted.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Tests read no access log."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.vendor = replace(VENDOR, endpoint=f"http://127.0.0.1:{self.server.server_port}")
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def respond_with(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.headers = status, headers or {}
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
