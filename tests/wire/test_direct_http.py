"""Connections straight to servers: which are used again, how many there may be, and what of a bad answer is said."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import httpcore
import httpx
import pytest

from gpuagent.wire import direct_http
from gpuagent.wire.transport import Transport, deadline

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TURNS_S = 0.2


class CountedServer:
    """Answers every request alike. hangs_up: closes its connections after each answer, unannounced."""

    def __init__(self, answer: bytes, hangs_up: bool = False) -> None:
        self.answer, self.hangs_up, self.connections = answer, hangs_up, 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/"
        self.closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):  # a client that wants no more resets
            while connection.recv(65536):
                connection.sendall(self.answer)
                if self.hangs_up:
                    break
        self.closed.set()

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport()
    yield transport
    transport.close()


def read(transport: Transport, url: str) -> bytes:
    answer = transport.send(httpx.Request("GET", url))
    try:
        return b"".join(answer.body)
    finally:
        answer.body.close()


def test_a_connection_whose_answer_was_read_serves_the_next_request(transport: Transport) -> None:
    with closing(CountedServer(OK)) as server:
        assert [read(transport, server.url) for _ in range(3)] == [b"ok"] * 3
        assert server.connections == 1


def test_one_whose_answer_was_not_read_serves_none(transport: Transport) -> None:
    """What is left of an answer would be taken for the next one."""
    with closing(CountedServer(OK)) as server:
        transport.send(httpx.Request("GET", server.url)).body.close()
        assert read(transport, server.url) == b"ok"
        assert server.connections == 2


def test_one_that_says_more_than_was_asked_serves_none(transport: Transport) -> None:
    """A server could so answer a request before it is made."""
    with closing(CountedServer(OK + b"HTTP/1.1 402 Pay\r\nContent-Length: 0\r\n\r\n")) as server:
        assert [read(transport, server.url) for _ in range(2)] == [b"ok"] * 2
        assert server.connections == 2


def test_one_that_the_server_has_closed_serves_none(transport: Transport) -> None:
    with closing(CountedServer(OK, hangs_up=True)) as server:
        assert read(transport, server.url) == b"ok"
        assert server.closed.wait(10)
        assert read(transport, server.url) == b"ok"
        assert server.connections == 2


def test_no_more_are_busy_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_http, "CONNECTIONS_MAX", 1)
    with closing(CountedServer(OK)) as server, closing(Transport()) as transport:
        busy = transport.send(httpx.Request("GET", server.url))
        with deadline(TURNS_S), pytest.raises(httpcore.PoolTimeout):
            read(transport, server.url)
        busy.body.close()
        with pytest.raises(httpcore.UnsupportedProtocol):
            read(transport, "ftp://127.0.0.1/")
        for _ in range(2):
            assert read(transport, server.url) == b"ok"
