"""The application on uvicorn, with bounds that uvicorn lacks: of a request's arrival, of connections, of the end."""

import asyncio
import json
import socket
import threading
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from gpuagent.api import problems
from gpuagent.api.problems import ProblemError

REQUEST_S = 20.0
"""Within which a request, of 64 KB at most, is to arrive whole, from its first byte or from the connection's begin."""
CONNECTIONS_MAX = 256
"""Beyond them a connection gets a 503. A process may have 1,024 files open on many systems."""
GRACE_S = 3
"""For answers that are under way when the server is stopped; followers of runs come back by themselves."""
STOP_S = 5.0
"""Within which a stopped server ends, whatever is at work: a tick that is cut off is continued by the next one."""
LINGER_S = 0.5
UNREAD_S = 30
"""How long a peer may acknowledge nothing of what is sent to it."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections end when their peer has vanished. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's delay off only where it is; 40 ms an answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {"TCP_KEEPIDLE": UNREAD_S, "TCP_KEEPINTVL": 5, "TCP_USER_TIMEOUT": UNREAD_S * 1000}.items():
        if option := getattr(socket, name, None):  # Linux has them, and connections inherit them there
            listening.setsockopt(socket.IPPROTO_TCP, option, value)
    try:
        listening.bind((host, port))
        listening.listen(512)
    except OSError:
        listening.close()
        raise
    return listening


class Server:
    """A server of the application in a thread of its own, so that no answer under way can keep the process from ending.

    request_s, connections_max: as REQUEST_S and CONNECTIONS_MAX.
    """

    def __init__(
        self,
        app: FastAPI,
        listening: socket.socket,
        request_s: float = REQUEST_S,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        bounds = {"request_s": request_s, "connections_max": connections_max}
        config = uvicorn.Config(
            _Cancellable(app),
            http=type("BoundedHttp11", (_Http11,), bounds),
            access_log=False,
            log_level="warning",
            server_header=False,
            ws="websockets-sansio",  # the other implementation rests on a part of websockets that is to go
            timeout_graceful_shutdown=GRACE_S,
            # A proxy's word on the client's address would let any client pass for this machine.
            proxy_headers=False,
        )
        self._uvicorn, self._listening = _Uvicorn(config, app), listening
        self._error: BaseException | None = None
        # An event, for a signal that interrupts Thread.join() can make Python 3.11 take the thread for ended.
        self._ended = threading.Event()

    def start(self) -> None:
        """Return once requests are answered. Raises what kept the server from starting."""
        threading.Thread(target=self._run, name="server", daemon=True).start()
        self._uvicorn.ready.wait()
        if self._error:
            raise self._error

    def wait(self) -> None:
        """Return when the server has ended. Raises what ended it."""
        self._ended.wait()
        if self._error:
            raise self._error

    def stop(self, within_s: float = STOP_S) -> bool:
        """Stop the server. Whether it ended in time; threads at work for its requests may be left in either case."""
        self._uvicorn.should_exit = True
        return self._ended.wait(within_s)

    def _run(self) -> None:
        try:
            self._uvicorn.run(sockets=[self._listening])
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._error = error
        finally:
            self._ended.set()
            self._uvicorn.ready.set()


class _Cancellable:
    """The application, whose requests end with a 503 where the server cancels them because it stops."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = scope["type"] != "http"

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except asyncio.CancelledError:
            if started:
                raise
            await problems.response(_stops(), Request(scope))(scope, receive, send)


def _stops() -> ProblemError:
    detail = "the server stops, and what the request began may go on: ask again"
    return ProblemError(503, "server_stops", detail, {"Retry-After": problems.RETRY_AFTER_S})


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.followers.dismiss()  # else the server would wait for answers that have no end
        for connection in list(self.server_state.connections):
            if isinstance(connection, _Http11):
                connection.end_incomplete()
        await super().shutdown(sockets)


class _Http11(H11Protocol):
    """HTTP/1.1 whose requests arrive whole in time, on so many connections at most."""

    request_s = REQUEST_S
    connections_max = CONNECTIONS_MAX
    _deadline: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > 2 * self.connections_max:
            transport.abort()
        elif len(self.connections) > self.connections_max:
            retry_after = {"Retry-After": problems.RETRY_AFTER_S}
            self._refuse(ProblemError(503, "too_many_connections", "too many connections: try again", retry_after))
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()  # of the next request some may be here already

    def end_incomplete(self) -> None:
        """Give up a request that has not arrived whole, for the server stops."""
        if self._deadline is not None:
            self._give_up(
                ProblemError(503, "server_stops", "the server stops", {"Retry-After": problems.RETRY_AFTER_S})
            )

    def _watch(self) -> None:
        """Hold a request that has not arrived whole to its deadline, which no byte of it prolongs."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._unwatch()
        elif self._deadline is None:
            late = ProblemError(408, "too_slow", f"a request is to arrive within {self.request_s:g} s")
            self._deadline = self.loop.call_later(self.request_s, self._give_up, late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self, problem: ProblemError) -> None:
        """Close the connection, with the problem where some of a request came and nothing was answered to it yet."""
        begun = self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]
        if begun or (self.conn.their_state is h11.SEND_BODY and not self.cycle.response_started):
            self._refuse(problem)
        else:
            self.transport.close()

    def _refuse(self, problem: ProblemError) -> None:
        """Answer with a problem document, past the application, and close."""
        self._refused = True
        self._unwatch()
        content = json.dumps(problems.document(problem, "")).encode()
        headers = {
            **problem.headers,
            "Content-Type": problems.MEDIA_TYPE,
            "Content-Length": str(len(content)),
            "Connection": "close",
        }
        lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        self.transport.write_eof()
        # With bytes unread, to close at once would be a reset, which can overtake the answer.
        self.loop.call_later(LINGER_S, self.transport.abort)
