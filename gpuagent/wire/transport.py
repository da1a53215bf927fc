"""An httpcore transport with one deadline for a whole exchange.

httpx bounds each read; a server that drips one byte at a time is never late. Here every socket call gets what remains
of the whole exchange. The deadline travels in a context variable, because connections outlive exchanges.
"""

import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from gpuagent.wire.core_requests import of_httpx
from gpuagent.wire.egress import Egress, Proxy, direct
from gpuagent.wire.keep_alive import KeepAlive
from gpuagent.wire.public_addresses import is_public

ADDRESSES_MAX = 3
"""Addresses of a name that are tried."""
IDLE_MAX_S = 4
"""A connection that was idle for longer is not used again. A NAT that has forgotten it would swallow the next request,
for its whole deadline; and servers commonly hang up after 5 s."""
_ends_at: ContextVar[float | None] = ContextVar("ends_at", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Ends every exchange inside that runs over a Transport in this thread after so many seconds.

    Inside another deadline the earlier of the two counts.
    """
    ends_at, outer = time.monotonic() + seconds, _ends_at.get()
    token = _ends_at.set(ends_at if outer is None else min(ends_at, outer))
    try:
        yield
    finally:
        _ends_at.reset(token)


def time_left() -> float:
    """Seconds until the deadline that is set in this thread; infinite where none is."""
    ends_at = _ends_at.get()
    return float("inf") if ends_at is None else ends_at - time.monotonic()


class Transport(httpx.BaseTransport):
    """A transport for httpx clients that obeys deadline(). Raises httpcore's errors. egress: direct() unless given."""

    def __init__(self, egress: Egress | None = None, *, public_only: bool = False) -> None:
        """public_only: whether only public addresses are connected to. A proxy's own may be another, and it looks up
        names itself."""
        self._egress = egress or direct()
        proxies = {None, *self._egress.proxies.values()}
        self._pools = {proxy: _pool(self._egress.ssl_context, proxy, public_only) for proxy in proxies}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self.exchange(of_httpx(request), str(request.url))
        assert isinstance(response.stream, Iterable)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Stream(response.stream),
            extensions=response.extensions,
        )

    def exchange(self, request: httpcore.Request, url: str) -> httpcore.Response:
        """The answer, whose body is still to be read: handle_request() without objects of httpx. url: the request's."""
        response = self._pools[self._egress.proxy(url)].handle_request(request)
        stream = response.extensions.get("network_stream")
        if isinstance(stream, _Socket) and not stream.has_heard:
            stream.close()  # what may yet come is no answer to a later request either
            response.close()
            raise httpcore.RemoteProtocolError("the server answered before it was asked")
        return response

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


def _pool(ssl_context: ssl.SSLContext, proxy: Proxy | None, public_only: bool) -> httpcore.ConnectionPool | KeepAlive:
    """The connections over one way out. What goes to https through a proxy goes through a tunnel, unread by it."""
    limits: dict[str, Any] = {
        "ssl_context": ssl_context,
        "max_connections": 100,
        "max_keepalive_connections": 20,
        "keepalive_expiry": IDLE_MAX_S,
        "network_backend": _Backend(public_only and proxy is None),
    }
    if proxy is None:
        return KeepAlive(**limits)
    return httpcore.HTTPProxy(
        proxy.url,
        proxy_auth=(proxy.user.encode(), proxy.password.encode()) if proxy.user or proxy.password else None,
        proxy_ssl_context=ssl_context if proxy.url.startswith("https:") else None,
        **limits,
    )


class _Stream(httpx.SyncByteStream):
    def __init__(self, inner: Iterable[bytes]) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        yield from self._inner

    def close(self) -> None:
        if hasattr(self._inner, "close"):
            self._inner.close()


class _Backend(httpcore.NetworkBackend):
    def __init__(self, public_only: bool = False) -> None:
        self._inner, self._public_only = httpcore.SyncBackend(), public_only

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any
    ) -> httpcore.NetworkStream:
        """Connects to the first address that answers: a name with hundreds of dead ones stays within the deadline."""
        addresses = {str(info[4][0]): None for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        if self._public_only:  # checked here, so that no second look-up of the name can differ
            addresses = {address: None for address in addresses if is_public(address)}
            if not addresses:
                raise httpcore.ConnectError("the name stands for no public address")
        *first, last = list(addresses)[:ADDRESSES_MAX]
        for address in first:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return _Socket(self._inner.connect_tcp(address, port, _remaining(timeout, 2), *args, **options))
        return _Socket(self._inner.connect_tcp(last, port, _remaining(timeout), *args, **options))


class _Socket(httpcore.NetworkStream):
    """A stream whose every step ends by the deadline.

    has_heard: whether anything was read since the last write. Else what httpcore takes for the answer came with an
    earlier one.
    """

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner
        self.has_heard = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.has_heard = True
        return self._inner.read(max_bytes, _remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.has_heard = False
        self._inner.write(buffer, _remaining(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Socket(self._inner.start_tls(ssl_context, server_hostname, _remaining(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _remaining(timeout: float | None, parts: int = 1) -> float | None:
    """The timeout of one socket call: a part of what remains of the deadline. Raises ReadTimeout when nothing does."""
    ends_at = _ends_at.get()
    if ends_at is None:
        return timeout
    remaining = ends_at - time.monotonic()
    if remaining <= 0:
        raise httpcore.ReadTimeout("the deadline of the whole exchange has passed")
    return remaining / parts if timeout is None else min(timeout, remaining) / parts
