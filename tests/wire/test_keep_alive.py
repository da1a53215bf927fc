"""Keep-alive connections: which are used again, which are not, and how many there are."""

import ssl
from typing import Any

import httpcore
import pytest

from gpuagent.wire.keep_alive import KeepAlive

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class CountedBackend(httpcore.NetworkBackend):
    """Connects to servers that give the same answer again and again. connected: hosts, in order."""

    def __init__(self, answer: bytes = ANSWER) -> None:
        self.answer, self.connected = answer, list[str]()
        self.streams: list[CountedStream] = []

    def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore.NetworkStream:
        self.connected.append(host)
        self.streams.append(CountedStream([self.answer] * 10))
        return self.streams[-1]


class CountedStream(httpcore.MockStream):
    """readable: whether the server has hung up, or says something unasked."""

    closed, readable = False, False

    def get_extra_info(self, info: str) -> Any:
        return self.readable if info == "is_readable" else None

    def close(self) -> None:
        self.closed = True
        super().close()


def connections(backend: CountedBackend, **limits: Any) -> KeepAlive:
    usual = {"max_connections": 3, "max_keepalive_connections": 2, "keepalive_expiry": 60.0}
    return KeepAlive(ssl.create_default_context(), network_backend=backend, **{**usual, **limits})


def ask(pool: KeepAlive, host: str = "a", pool_s: float = 0.0) -> httpcore.Response:
    return pool.handle_request(
        httpcore.Request("GET", f"http://{host}/", headers=[("Host", host)], extensions={"timeout": {"pool": pool_s}})
    )


def finish(response: httpcore.Response) -> None:
    assert response.read() == b"ok"
    response.close()
    response.close()  # once more does no harm


def test_the_connection_used_last_is_used_next_and_each_server_has_its_own() -> None:
    backend = CountedBackend()
    pool = connections(backend)
    for host in ("a", "a", "b", "a", "b"):
        finish(ask(pool, host))
    assert backend.connected == ["a", "b"]
    pool.close()
    assert all(stream.closed for stream in backend.streams)


@pytest.mark.parametrize("spoilt", ["readable", "unread", "last", "old"])
def test_a_connection_that_cannot_be_used_again_is_closed(spoilt: str) -> None:
    backend = CountedBackend(LAST if spoilt == "last" else ANSWER)
    pool = connections(backend, keepalive_expiry=-1.0 if spoilt == "old" else None)
    first = ask(pool)
    if spoilt == "unread":
        first.close()
    else:
        finish(first)
    backend.streams[0].readable = spoilt == "readable"
    finish(ask(pool))
    assert backend.connected == ["a", "a"]
    assert backend.streams[0].closed


def test_no_more_are_open_than_may_be_and_a_failure_gives_its_place_back() -> None:
    backend = CountedBackend()
    pool = connections(backend)
    open_answers = [ask(pool) for _ in range(3)]
    with pytest.raises(httpcore.PoolTimeout):
        ask(pool)
    for answer in open_answers:
        finish(answer)
    assert sum(not stream.closed for stream in backend.streams) == 2
    backend.answer = b"no HTTP\r\n\r\n"
    for _ in range(4):
        with pytest.raises(httpcore.RemoteProtocolError):
            ask(pool, "b")
    assert all(stream.closed for stream in backend.streams[3:])
    backend.answer = ANSWER
    finish(ask(pool, "c"))
    with pytest.raises(httpcore.UnsupportedProtocol):
        pool.handle_request(httpcore.Request("GET", "ftp://a/"))


def test_what_is_given_back_after_the_end_is_closed() -> None:
    backend = CountedBackend()
    pool = connections(backend)
    answer = ask(pool)
    pool.close()
    finish(answer)
    assert backend.streams[0].closed
