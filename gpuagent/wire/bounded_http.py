"""HTTP that a hostile server cannot use against us: one deadline, capped sizes, no redirects, no proxies."""

import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

BODY_MAX = 64 * 1024
ADDRESSES_MAX = 3
LOOPBACK = ("127.0.0.1", "localhost", "::1")
TRANSPORT_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    OSError,
)


class HttpFailed(Exception):
    """No usable answer: refused, cut off, too slow, too large, or a redirect. Says nothing of what was done."""


def is_private(url: str) -> bool:
    """Whether what is sent there cannot be read on the way: https, or this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _problem(error: Exception) -> str:
    """The error in words. Of a request that we made wrongly only the kind: the text would show its headers."""
    own_fault = isinstance(error, httpcore.LocalProtocolError | httpx.LocalProtocolError)
    return type(error).__name__ if own_fault else f"{type(error).__name__}: {error}"[:300]


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


class BoundedHttp:
    """A keep-alive client, safe to share between threads."""

    def __init__(self, deadline_s: float, body_max: int = BODY_MAX) -> None:
        self._deadline_s = deadline_s
        self._body_max = body_max
        self._client = httpx.Client(
            transport=Transport(),
            timeout=deadline_s,
            follow_redirects=False,
            trust_env=False,
            # Compressed bodies could grow past the cap while they are unpacked.
            headers={"Accept-Encoding": "identity"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        params: Mapping[str, str] | None = None,
    ) -> Reply:
        """One exchange, over within the deadline but for the system's own time to resolve a name. Raises HttpFailed."""
        try:
            with (
                deadline(self._deadline_s),
                self._client.stream(method, url, headers=headers, json=json, params=params) as response,
            ):
                if response.is_redirect:
                    raise HttpFailed(f"answered with a redirect ({response.status_code}), which is not followed")
                return Reply(response.status_code, response.headers, self._read(response))
        except TRANSPORT_ERRORS as error:
            raise HttpFailed(_problem(error)) from None

    def close(self) -> None:
        self._client.close()

    def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > self._body_max:
                raise HttpFailed(f"answered with more than {self._body_max} bytes")
        return bytes(body)


# httpx bounds each read; a server that drips one byte at a time is never late. Here every socket call gets what is
# left of the whole exchange. The deadline travels in a context variable, because connections outlive exchanges.

_ends_at: ContextVar[float | None] = ContextVar("ends_at", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Every exchange inside, over a Transport and in this thread, is over by then."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def _remaining(timeout: float | None, parts: int = 1) -> float | None:
    ends_at = _ends_at.get()
    if ends_at is None:
        return timeout
    remaining = ends_at - time.monotonic()
    if remaining <= 0:
        raise httpcore.ReadTimeout("the deadline of the whole exchange has passed")
    return remaining / parts if timeout is None else min(timeout, remaining) / parts


@cache
def _ssl_context() -> ssl.SSLContext:
    """One for all clients: reading the certificates takes longer than most exchanges."""
    return httpx.create_ssl_context(trust_env=False)


class Transport(httpx.BaseTransport):
    """For clients that are not ours: what is in deadline() ends in time. Raises what httpcore raises."""

    def __init__(self) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=_ssl_context(),
            max_connections=100,
            max_keepalive_connections=20,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        response = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        assert isinstance(response.stream, Iterable)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Stream(response.stream),
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class _Stream(httpx.SyncByteStream):
    def __init__(self, inner: Iterable[bytes]) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        yield from self._inner

    def close(self) -> None:
        if hasattr(self._inner, "close"):
            self._inner.close()


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any
    ) -> httpcore.NetworkStream:
        """Each address gets what is left of the deadline: a name with hundreds of dead ones stays within it."""
        addresses = {info[4][0]: None for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        *first, last = [str(address) for address in addresses][:ADDRESSES_MAX]
        for address in first:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return _Socket(self._inner.connect_tcp(address, port, _remaining(timeout, 2), *args, **options))
        return _Socket(self._inner.connect_tcp(last, port, _remaining(timeout), *args, **options))


class _Socket(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _remaining(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Socket(self._inner.start_tls(ssl_context, server_hostname, _remaining(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
