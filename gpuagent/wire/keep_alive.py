"""A pool of connections to servers that are reached without a proxy; the one used last is used next.

httpcore's own pool looks at each of its connections whenever one is taken or given back: with eight busy threads that
takes as long as a third of an exchange.
"""

import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock

import httpcore

from gpuagent.wire.http11 import Http11

Origin = tuple[bytes, bytes, int | None]
"""Scheme, host and port of a URL."""


@dataclass(frozen=True, slots=True, eq=False)
class _Idle:
    """A connection that waits for its next use. since: by the monotonic clock."""

    origin: Origin
    connection: Http11
    since: float


class KeepAlive:
    """Keep-alive connections with handle_request() as httpcore's pool has it, safe to share between threads.

    max_connections: in use at once; whoever finds none waits for `pool` of the request's timeouts. keepalive_expiry:
    seconds after which one that was idle is not used again, None for none.
    """

    def __init__(
        self,
        ssl_context: ssl.SSLContext,
        max_connections: int,
        max_keepalive_connections: int,
        keepalive_expiry: float | None,
        network_backend: httpcore.NetworkBackend,
    ) -> None:
        ssl_context.set_alpn_protocols(["http/1.1"])
        self._ssl_context, self._backend = ssl_context, network_backend
        self._idle_max, self._expiry = max_keepalive_connections, keepalive_expiry
        self._room, self._lock = BoundedSemaphore(max_connections), Lock()
        self._idle: list[_Idle] = []  # in the order in which they were given back
        self._closed = False

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """The answer, to be closed once it is read. Raises httpcore's errors."""
        if request.url.scheme not in (b"http", b"https"):
            raise httpcore.UnsupportedProtocol(f"{request.url.scheme.decode()!r} is neither http nor https")
        if not self._room.acquire(timeout=request.extensions.get("timeout", {}).get("pool")):
            raise httpcore.PoolTimeout("too many exchanges at once")
        origin = (request.url.scheme, request.url.host, request.url.port)
        connection = None
        try:
            connection = self._taken(origin) or self._new_connection(request)
            response = connection.exchange(request)
        except BaseException:
            if connection:
                connection.close()
            self._room.release()
            raise
        assert isinstance(response.stream, Iterable)
        response.stream = _Body(response.stream, lambda: self._give_back(origin, connection))
        return response

    def close(self) -> None:
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for waiting in idle:
            waiting.connection.close()

    def _new_connection(self, request: httpcore.Request) -> Http11:
        origin, timeout = request.url.origin, request.extensions.get("timeout", {}).get("connect")
        host = origin.host.decode("ascii")
        stream = self._backend.connect_tcp(host, origin.port, timeout=timeout)
        if origin.scheme == b"https":
            stream = stream.start_tls(self._ssl_context, server_hostname=host, timeout=timeout)
        return Http11(stream)

    def _taken(self, origin: Origin) -> Http11 | None:
        """The idle connection to this origin that was used last; None where none can be used."""
        while True:
            with self._lock:
                waiting = next((idle for idle in reversed(self._idle) if idle.origin == origin), None)
                if waiting is None:
                    return None
                self._idle.remove(waiting)
            if not self._is_old(waiting, time.monotonic()) and not waiting.connection.has_spoken():
                return waiting.connection
            waiting.connection.close()

    def _give_back(self, origin: Origin, connection: Http11) -> None:
        """Keeps a connection whose answer was read to the end, and closes those that are idle for too long or many."""
        now, surplus = time.monotonic(), [connection]
        if connection.is_idle:
            with self._lock:
                if not self._closed:
                    self._idle.append(_Idle(origin, connection, now))
                    surplus = []
                while self._idle and self._is_surplus(now):
                    surplus.append(self._idle.pop(0).connection)
        try:
            for unused in surplus:
                unused.close()
        finally:
            self._room.release()

    def _is_surplus(self, now: float) -> bool:
        """Whether the connection that is idle for the longest time is not worth keeping."""
        return self._is_old(self._idle[0], now) or len(self._idle) > self._idle_max

    def _is_old(self, waiting: _Idle, now: float) -> bool:
        return self._expiry is not None and now - waiting.since > self._expiry


class _Body:
    """The body of an answer. closed: is called when it is."""

    def __init__(self, inner: Iterable[bytes], closed: Callable[[], None]) -> None:
        self._inner, self._closed = inner, closed
        self._is_open = True

    def __iter__(self) -> Iterator[bytes]:
        yield from self._inner

    def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        try:
            if hasattr(self._inner, "close"):
                self._inner.close()
        finally:
            self._closed()
