"""An HTTP server with an answer for each route, which keeps what it was sent."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class RoutedRequest:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class RoutedAnswer:
    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class RoutedServer:
    """answers: by "METHOD path", the last of several again and again. requests: in order."""

    def __init__(self) -> None:
        self.answers: dict[str, list[RoutedAnswer]] = {}
        self.requests: list[RoutedRequest] = []
        routed = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: two wait 40 ms for each other

            def do_GET(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = json.loads(content) if content else None
                routed.requests.append(RoutedRequest(self.command, self.path, dict(self.headers), body))
                queue = routed.answers.get(f"{self.command} {self.path}") or [RoutedAnswer({"error": "no route"}, 404)]
                answer = queue.pop(0) if len(queue) > 1 else queue[0]
                content = json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_DELETE = do_GET  # noqa: N815 - the base class calls it so

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Tests read no access log."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, route: str, *answers: RoutedAnswer) -> None:
        self.answers[route] = list(answers)

    def clear(self) -> None:
        self.answers.clear()
        self.requests.clear()


@contextmanager
def routed_server() -> Iterator[RoutedServer]:
    routed = RoutedServer()
    yield routed
    routed.server.shutdown()
    routed.server.server_close()
