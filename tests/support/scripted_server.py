"""A server that answers what it is told to: a vendor or a node of any ill will."""

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.factories import VENDOR


class Parrot:
    """A vendor that answers what it is told to."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.headers: Mapping[str, str] = {}
        self.asked_with: Mapping[str, str] = {}
        parrot = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.do_GET()

            def do_GET(self) -> None:
                parrot.asked_with = dict(self.headers)
                self.send_response(parrot.status)
                for name, value in parrot.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(parrot.body)))
                self.end_headers()
                self.wfile.write(parrot.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Tests read no access log."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.vendor = replace(VENDOR, endpoint=f"http://127.0.0.1:{self.server.server_port}")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def says(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.headers = status, headers or {}
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
