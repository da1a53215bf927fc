"""A bounded transport for third-party clients, such as litellm's, that records what went over the wire.

Their errors do not say whether a call can have cost anything; what went over the wire does.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import httpcore
import httpx

from gpuagent.wire.compression import CompressionError, Unpacker
from gpuagent.wire.credentials import secrets_sent
from gpuagent.wire.retry_after import retry_after_s
from gpuagent.wire.scrub import KEY, Scrubber
from gpuagent.wire.transport import Transport

BODY_MAX = 1024 * 1024


@dataclass(slots=True)
class Exchange:
    """The outcome of an HTTP exchange.

    status: 0 without an answer. unsent: no connection was made. final: another try would end no better.
    scrubber: takes what was sent out of what is quoted from the server.
    """

    status: int = 0
    unsent: bool = False
    final: bool = False
    problem: str = ""
    retry_after_s: float = 0
    scrubber: Scrubber = field(default=Scrubber({}), repr=False)


_exchange: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


@contextmanager
def watch() -> Iterator[Exchange]:
    """The outcome of the exchanges made inside, in this thread."""
    exchange = Exchange()
    token = _exchange.set(exchange)
    try:
        yield exchange
    finally:
        _exchange.reset(token)


class WatchedTransport(Transport):
    """Follows no redirect, reads no more than BODY_MAX, and records in watch() what happens."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _exchange.get() or Exchange()
        secrets = secrets_sent(str(request.url), request.headers) | dict.fromkeys(self._egress.secrets, KEY)
        exchange.scrubber = Scrubber(secrets)
        request.headers["Accept-Encoding"] = "identity"
        with _translated(exchange):
            response = super().handle_request(request)
        exchange.status = response.status_code
        exchange.retry_after_s = retry_after_s(response.headers)
        assert isinstance(response.stream, httpx.SyncByteStream)
        if response.is_redirect:
            response.stream.close()
            exchange.final, exchange.problem = True, "answered with a redirect, which is not followed"
            raise httpx.ReadError(exchange.problem)
        # Unpacked here, within the cap: the client would unpack without one.
        encoding = response.headers.pop("Content-Encoding", "")
        if encoding:
            response.headers.pop("Content-Length", None)
        response.stream = _Capped(response.stream, exchange, encoding)
        return response


class _Capped(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream, exchange: Exchange, encoding: str) -> None:
        self._inner, self._exchange, self._encoding = inner, exchange, encoding

    def __iter__(self) -> Iterator[bytes]:
        with _translated(self._exchange):
            yield from self._unpacked(self._inner)

    def _unpacked(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        try:
            unpacker = Unpacker(self._encoding, BODY_MAX)
            for chunk in chunks:
                yield unpacker.feed(chunk)
            unpacker.finish()
        except CompressionError as error:
            self._exchange.problem = f"answered {error}"
            raise httpx.ReadError(self._exchange.problem) from error

    def close(self) -> None:
        self._inner.close()


@contextmanager
def _translated(exchange: Exchange) -> Iterator[None]:
    """httpcore's errors as httpx's, which litellm knows; the exchange notes what they mean for the call."""
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.ProxyError) as error:
        exchange.unsent, exchange.problem = True, f"no connection ({exchange.scrubber.scrub(str(error))})"
        raise httpx.ConnectError(exchange.problem) from error
    except httpcore.TimeoutException as error:
        exchange.final, exchange.problem = True, "no answer in time"
        raise httpx.ReadTimeout(exchange.problem) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        exchange.problem = f"the connection broke ({type(error).__name__})"
        raise httpx.ReadError(exchange.problem) from error
