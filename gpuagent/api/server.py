"""The application on uvicorn, with bounds that uvicorn lacks: of a request's arrival, of connections, of the end."""

import asyncio
import socket
import sys
import threading

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from gpuagent.api import problems
from gpuagent.api.http11 import CONNECTIONS_MAX, REQUEST_S, BoundedHttp11
from gpuagent.api.problems import ProblemError

GRACE_S = 3
"""For answers that are under way when the server is stopped; followers of runs come back by themselves."""
STOP_S = 5.0
"""Within which a stopped server ends, whatever is at work: a tick that is cut off is continued by the next one."""
UNREAD_S = 30
"""How long a peer may acknowledge nothing of what is sent to it."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections end when their peer has vanished. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's delay off only where it is; 40 ms an answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":  # where connections inherit these
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, UNREAD_S)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, UNREAD_S // 3)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_S * 1000)
    try:
        listening.bind((host, port))
        listening.listen(512)
    except OSError:
        listening.close()
        raise
    return listening


class RestServer:
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
            http=type("BoundedHttp11", (BoundedHttp11,), bounds),
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
            if isinstance(connection, BoundedHttp11):
                connection.end_incomplete(_stops())
        await super().shutdown(sockets)
