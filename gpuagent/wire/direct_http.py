"""HTTP/1.1 straight to a server (h11), for Transport: the exchanges of a lifecycle cost a third of httpcore's pool.

What may happen on the way is raised as httpcore's errors, which Transport's users know.
"""

import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import h11
import httpcore
import httpx

READ_MAX = 64 * 1024
"""Bytes of one read."""
HEAD_MAX = 100 * 1024
"""Bytes of an answer's head."""
CONNECTIONS_MAX, IDLE_MAX = 100, 20
"""Connections that are open at once, and those of them that are kept for the next request."""
PORTS = {"http": 80, "https": 443}
SWITCHING_PROTOCOLS = 101
Origin = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer of which the head has come. headers: as they were sent. body: raw, to be read once. Close it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: httpx.SyncByteStream
    extensions: Mapping[str, object] = field(default_factory=dict)


class DirectConnections:
    """Connections to any servers. Safe to share between threads.

    backend: makes them; all that is bounded in time is bounded there. idle_s: how long one may be idle and still be
    used again. left: the seconds of a wait that may be so long.
    """

    def __init__(
        self,
        ssl_context: ssl.SSLContext,
        backend: httpcore.NetworkBackend,
        idle_s: float,
        left: Callable[[float | None], float | None],
    ) -> None:
        self._ssl_context, self._backend, self._idle_s, self._left = ssl_context, backend, idle_s, left
        self._idle: defaultdict[Origin, deque[_Connection]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(CONNECTIONS_MAX)

    def send(self, request: httpx.Request) -> HttpAnswer:
        """The head of the answer. Raises httpcore's errors."""
        timeouts = request.extensions.get("timeout", {})
        scheme, host = request.url.scheme, request.url.raw_host.decode("ascii")
        if scheme not in PORTS:
            raise httpcore.UnsupportedProtocol(f"Request URL has an unsupported protocol '{scheme}://'.")
        if not host:
            raise httpcore.UnsupportedProtocol("Request URL is missing a host.")
        origin = (scheme, host, request.url.port or PORTS[scheme])
        if not self._room.acquire(timeout=self._left(timeouts.get("pool"))):
            raise httpcore.PoolTimeout("no connection became free in time")
        connection: _Connection | None = None
        try:
            connection = self._kept(origin) or self._connect(origin, timeouts.get("connect"))
            body = Body(self, origin, connection, timeouts.get("read"))
            return connection.exchange(request, body, timeouts)
        except BaseException:
            if connection:
                connection.close()
            self._room.release()
            raise

    def give_back(self, origin: Origin, connection: "_Connection") -> None:
        """Keeps a connection for the next request, or closes it."""
        try:
            if connection.is_reusable():
                connection.idle_since = time.monotonic()
                with self._lock:
                    if sum(map(len, self._idle.values())) < IDLE_MAX:
                        self._idle[origin].append(connection)
                        return
            connection.close()
        finally:
            self._room.release()

    def close(self) -> None:
        with self._lock:
            idle = [connection for connections in self._idle.values() for connection in connections]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _kept(self, origin: Origin) -> "_Connection | None":
        """The connection that was used last, if the server has not hung up, nor sent what nobody asked for."""
        oldest = time.monotonic() - self._idle_s
        while True:
            with self._lock:
                connections = self._idle[origin]
                if not connections:
                    del self._idle[origin]
                    return None
                connection = connections.pop()
            if connection.idle_since >= oldest and not connection.stream.get_extra_info("is_readable"):
                return connection
            connection.close()

    def _connect(self, origin: Origin, timeout: float | None) -> "_Connection":
        scheme, host, port = origin
        stream = self._backend.connect_tcp(host, port, timeout)
        if scheme == "https":
            self._ssl_context.set_alpn_protocols(["http/1.1"])
            try:
                stream = stream.start_tls(self._ssl_context, host, timeout)
            except BaseException:
                stream.close()
                raise
        return _Connection(stream)


class Body(httpx.SyncByteStream):
    """The body of an answer. Once it is read or closed its connection serves others."""

    def __init__(
        self, connections: DirectConnections, origin: Origin, connection: "_Connection", timeout: float | None
    ) -> None:
        self._connections, self._origin, self._connection, self._timeout = connections, origin, connection, timeout
        self._is_open = True

    def __iter__(self) -> Iterator[bytes]:
        try:
            while self._is_open and (data := self._connection.read_body(self._timeout)) is not None:
                yield data
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._connections.give_back(self._origin, self._connection)


class _Connection:
    """One connection, which makes one exchange after the other. idle_since: on the monotonic clock."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self.stream, self.idle_since = stream, 0.0
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_MAX)

    def exchange(self, request: httpx.Request, body: Body, timeouts: Mapping[str, float | None]) -> HttpAnswer:
        """Sends the request, and reads the head of its answer."""
        with suppress(httpcore.WriteError):  # a server that hangs up in the middle may have said why
            self._send(request, timeouts.get("write"))
        while True:
            event = self._event(timeouts.get("read"))
            if isinstance(event, h11.Response) or (
                isinstance(event, h11.InformationalResponse) and event.status_code == SWITCHING_PROTOCOLS
            ):
                version = b"HTTP/" + event.http_version
                return HttpAnswer(event.status_code, event.headers.raw_items(), body, {"http_version": version})

    def _send(self, request: httpx.Request, timeout: float | None) -> None:
        assert isinstance(request.stream, Iterable)
        with _own_faults():
            pending = self._sent(
                h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            )
            for part in request.stream:
                if pending and len(pending) > READ_MAX:
                    self.stream.write(pending, timeout)
                    pending = b""
                pending += self._sent(h11.Data(data=part))
            self.stream.write(pending + self._sent(h11.EndOfMessage()), timeout)

    def _sent(self, event: h11.Event) -> bytes:
        return self._state.send(event) or b""

    def read_body(self, timeout: float | None) -> bytes | None:
        """What comes next of the body, None at its end."""
        while True:
            event = self._event(timeout)
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                return None

    def _event(self, timeout: float | None) -> object:
        while True:
            with _server_faults():
                event = self._state.next_event()
            if event is not h11.NEED_DATA:
                return event
            data = self.stream.read(READ_MAX, timeout)
            if data == b"" and self._state.their_state is h11.SEND_RESPONSE:
                raise httpcore.RemoteProtocolError("Server disconnected without sending a response.")
            self._state.receive_data(data)

    def is_reusable(self) -> bool:
        """Whether the exchange is over on both sides, and another may follow; it is made ready for that."""
        if self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        if self._state.trailing_data[0]:  # it would be taken for the next answer
            return False
        self._state.start_next_cycle()
        return True

    def close(self) -> None:
        self.stream.close()


@contextmanager
def _own_faults() -> Iterator[None]:
    try:
        yield
    except h11.LocalProtocolError as error:
        raise httpcore.LocalProtocolError(str(error)) from error


@contextmanager
def _server_faults() -> Iterator[None]:
    try:
        yield
    except h11.RemoteProtocolError as error:
        raise httpcore.RemoteProtocolError(str(error)) from error
