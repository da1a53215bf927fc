"""A local OpenAI-compatible server with scripted replies, good or bad, over real HTTP."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE_S = 20
"""A reply that is held back ends after this long, unless it is released before."""
TOKEN_COUNTS = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}


@dataclass(frozen=True)
class ScriptedReply:
    """One reply. text: the model's words; usage None: tokens are not counted. body: sent as it is, in place of all.

    message, choice: fields beside or in place of the usual ones.
    """

    text: str | None = ""
    status: int = 200
    usage: Any = field(default_factory=lambda: dict(TOKEN_COUNTS))
    finish: str | None = "stop"
    message: Mapping[str, Any] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    manner: str = "at once"  # late: not before release(); endless: for ever; drip: a byte at a time; cut: half of it

    def encoded(self, model: str) -> bytes:
        if self.body is not None:
            return self.body
        if self.status != 200:
            return json.dumps({"error": {"message": self.text, "type": "scripted", "code": self.status}}).encode()
        message = {"role": "assistant", "content": self.text, **self.message}
        answer = {
            "id": "scripted",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "finish_reason": self.finish, "message": message, **self.choice}],
        }
        return json.dumps(answer | ({"usage": self.usage} if self.usage is not None else {})).encode()


def start_reply(vendor_id: str = "cheap", **changes: Any) -> ScriptedReply:
    """A reply with a well-formed decision to start."""
    answer = {"action": "start_job", "vendorId": vendor_id, "maxHours": 1, "waitSeconds": 0, "reason": "best value"}
    return ScriptedReply(json.dumps(answer | changes))


@dataclass(frozen=True)
class ChatRequest:
    """A request for a chat completion, as the server received it."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def last(self) -> str:
        """The last message."""
        return str(self.body["messages"][-1]["content"])


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news here."""


class LlmServer:
    """Replies by its script, one reply a request, then the last one again. requests: those received, in order."""

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []
        self._script: list[ScriptedReply | Callable[[ChatRequest], ScriptedReply]] = [ScriptedReply()]
        self._lock, self._released = threading.Lock(), threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                request = ChatRequest(self.path, dict(self.headers), body)
                reply = server._next(request)
                try:
                    self._send(reply, reply.encoded(str(body.get("model"))))
                except OSError:  # the client has gone, which is what some of these replies are for
                    self.close_connection = True

            def _send(self, reply: ScriptedReply, body: bytes) -> None:
                if reply.manner == "late":
                    server._released.wait(PATIENCE_S)
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/json")
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.manner == "at once":
                    self.send_header("Content-Length", str(len(body)))
                self.close_connection = reply.manner != "at once"
                if self.close_connection:
                    self.send_header("Connection", "close")
                if reply.manner == "cut":
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                for chunk in self._chunks(reply.manner, body):
                    self.wfile.write(chunk)

            def _chunks(self, manner: str, body: bytes) -> Iterator[bytes]:
                match manner:
                    case "endless":
                        while True:
                            yield body
                    case "drip":
                        for place in range(len(body)):
                            yield body[place : place + 1]
                            server._released.wait(0.05)
                    case "cut":
                        yield body[: len(body) // 2]
                    case _:
                        yield body

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Tests read no access log."""

        self._http = _Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def script(self, *replies: ScriptedReply | Callable[[ChatRequest], ScriptedReply]) -> None:
        """Set the replies from now on; a callable replies to the request it is given."""
        with self._lock:
            self._script, self.requests = list(replies), []
        self._released.clear()

    def release(self) -> None:
        """Let go of every reply that is held back."""
        self._released.set()

    def close(self) -> None:
        self.release()
        self._http.shutdown()
        self._http.server_close()

    def _next(self, request: ChatRequest) -> ScriptedReply:
        with self._lock:
            self.requests.append(request)
            reply = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        return reply(request) if callable(reply) else reply


@contextmanager
def running() -> Iterator[LlmServer]:
    server = LlmServer()
    try:
        yield server
    finally:
        server.close()
