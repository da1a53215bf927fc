"""An HTTP server on this machine that takes and gives files as the vendor API has it, or as a test scripts it."""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.factories import VENDOR, WIRE_QUOTE


@dataclass(frozen=True)
class VendorRequest:
    """A request as it came."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class VendorAnswer:
    """An answer. body: in several parts they are sent one by one, each at once, and the connection is closed then."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[VendorRequest], VendorAnswer]


class FileVendor:
    """Answers by the route that is set for a method and path, else as a plain vendor of the extended API.

    requests: all of them, in order. inputs: what it was sent, by SHA-256. files: what it gives, by path.
    """

    def __init__(self) -> None:
        self.requests: list[VendorRequest] = []
        self.routes: dict[str, Route] = {}
        self.inputs: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.accepts = ["workload", "files", "checkpoint", "cancel"]
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                params = {name: values[0] for name, values in parse_qs(parts.query).items()}
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = VendorRequest(self.command, parts.path, params, dict(self.headers), body)
                vendor.requests.append(request)
                answer = vendor.routes.get(f"{request.method} {request.path}", vendor.respond)(request)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if isinstance(answer.body, bytes | dict | list):
                    data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                    if "Content-Length" not in answer.headers:
                        self.send_header("Content-Length", str(len(data)))
                    parts: Iterable[bytes] = [data]
                else:
                    parts = answer.body
                self.close_connection = parts is answer.body or "Content-Length" in answer.headers
                self.end_headers()
                for part in chain([b""], parts):
                    self.wfile.write(part)
                    if parts is answer.body:
                        self.wfile.flush()

            do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the base class calls them so

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Tests read no access log."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that has read enough hangs up."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.vendor = replace(VENDOR, endpoint=f"http://127.0.0.1:{self.server.server_port}", trusted=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def reset(self) -> None:
        for kept in (self.requests, self.routes, self.inputs, self.files):
            kept.clear()
        self.accepts = ["workload", "files", "checkpoint", "cancel"]

    def script(self, route: str, *answers: VendorAnswer) -> None:
        """These answers in turn, the last one again and again."""
        queue = list(answers)
        self.routes[route] = lambda _: queue.pop(0) if len(queue) > 1 else queue[0]

    def respond(self, request: VendorRequest) -> VendorAnswer:
        match f"{request.method} {request.path}":
            case "POST /quote":
                return self._quote(request)
            case "GET /job-input":
                return self._received(request)
            case "PUT /job-input":
                return self._take(request)
            case "GET /job-file":
                return self._give(request)
        return VendorAnswer(404, {"error": "not_found"})

    def _quote(self, request: VendorRequest) -> VendorAnswer:
        workload = request.json.get("workload")
        if workload is None:
            return VendorAnswer(200, WIRE_QUOTE)
        canonical = json.dumps(workload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        repeated = {"accepts": self.accepts, "workloadHash": sha256(canonical.encode()).hexdigest()}
        return VendorAnswer(200, {**WIRE_QUOTE, **repeated})

    def _received(self, request: VendorRequest) -> VendorAnswer:
        content = self.inputs.get(request.params["sha256"], b"")
        complete = sha256(content).hexdigest() == request.params["sha256"]
        return VendorAnswer(200, {"received": len(content), "complete": complete})

    def _take(self, request: VendorRequest) -> VendorAnswer:
        name, size, start = request.params["sha256"], int(request.params["size"]), int(request.params["start"])
        content = self.inputs.get(name, b"")
        if start != len(content):
            return VendorAnswer(409, {"received": len(content)})
        content += request.body
        if len(content) == size and sha256(content).hexdigest() != name:
            self.inputs.pop(name, None)
            return VendorAnswer(422, {"error": "input_altered"})
        self.inputs[name] = content
        return VendorAnswer(200, {"received": len(content)})

    def _give(self, request: VendorRequest) -> VendorAnswer:
        content = self.files.get(request.params["path"])
        if content is None:
            return VendorAnswer(404, {"error": "no_such_file"})
        start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        return VendorAnswer(206, content[start:], headers)
