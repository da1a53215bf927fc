"""BoundedHttp against hostile servers, on real sockets."""

import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from gpuagent.wire.bounded_http import BoundedHttp, HttpFailed
from gpuagent.wire.egress import egress
from gpuagent.wire.transport import deadline, time_left
from tests.support.forward_proxy import ForwardProxy
from tests.support.raw_server import answering
from tests.support.scripted_server import ScriptedServer

Answer = Callable[[socket.socket], None]
DEADLINE_S = 1.0
STUCK_S = 30
"""What no exchange comes near that heeds its deadline, on a busy machine either."""


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """A server that answers every connection in its own way, until the client hangs up."""
    servers: list[socket.socket] = []

    def start(answer: Answer) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        threading.Thread(target=accept, args=(server, answer), daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/"

    def accept(server: socket.socket, answer: Answer) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with closing(connection):
                connection.recv(65536)
                try:
                    answer(connection)
                except OSError:
                    continue

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def http() -> Iterator[BoundedHttp]:
    with closing(BoundedHttp(STUCK_S, body_max=1000)) as client:
        yield client


def drip(prefix: bytes, byte: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(prefix)
        connection.settimeout(0.1)
        for _ in range(100):
            connection.sendall(byte)
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue

    return answer


def sends(data: bytes) -> Answer:
    return lambda connection: connection.sendall(data)


def test_an_answer_comes_with_status_headers_and_body(serve: Callable[[Answer], str], http: BoundedHttp) -> None:
    reply = http.request("GET", serve(sends(b"HTTP/1.1 402 Pay\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok")))
    assert (reply.status, reply.headers["x-a"], reply.body) == (402, "b", b"ok")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nX-A: ", b"a"), id="headers drip"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"), id="body drips"),
        pytest.param(lambda connection: connection.recv(1), id="silence"),
    ],
)
def test_the_deadline_is_for_the_whole_exchange(serve: Callable[[Answer], str], answer: Answer) -> None:
    started_at = time.monotonic()
    with closing(BoundedHttp(DEADLINE_S)) as http, pytest.raises(HttpFailed):
        http.request("GET", serve(answer))
    assert time.monotonic() - started_at < STUCK_S


def test_the_earlier_of_two_deadlines_counts(serve: Callable[[Answer], str]) -> None:
    """Of all exchanges of a search, and of one of them."""
    started_at = time.monotonic()
    assert time_left() == float("inf")
    with closing(BoundedHttp(2 * STUCK_S)) as http, deadline(DEADLINE_S / 10):
        assert time_left() <= DEADLINE_S / 10
        with pytest.raises(HttpFailed):
            http.request("GET", serve(lambda connection: connection.recv(1)))
        with deadline(DEADLINE_S):
            assert time_left() <= 0
    assert time.monotonic() - started_at < STUCK_S


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"a" * 1001, id="large body"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 300_000, id="large header"),
        pytest.param(b"HTTP/1.1 307 Away\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", id="redirect"),
        pytest.param(b"HTTP/1.1 307 A\r\nLocation: http://xn--/\r\nContent-Length: 0\r\n\r\n", id="no host"),
        pytest.param(b"HTTP/1.1 101 A\r\nUpgrade: a\r\nConnection: Upgrade\r\n\r\n", id="upgrade"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", id="cut off"),
        pytest.param(b"", id="hang up"),
    ],
)
def test_one_error_for_whatever_a_server_does(serve: Callable[[Answer], str], http: BoundedHttp, data: bytes) -> None:
    url = serve(sends(data))
    for address in (url, url.replace("http://", "http://user:key@")):
        with pytest.raises(HttpFailed):
            http.request("GET", address)


@pytest.mark.parametrize("text", ["plain", "Größe", "\xff"])
def test_headers_of_one_name_are_joined_in_utf8_or_else_latin1(serve: Callable[[Answer], str], text: str) -> None:
    value = text.encode("latin-1" if text == "\xff" else "utf-8")
    url = serve(sends(b"HTTP/1.1 200 OK\r\nX-Word: " + value + b"\r\nx-word: b\r\nContent-Length: 0\r\n\r\n"))
    with closing(BoundedHttp(STUCK_S)) as http:
        headers = http.request("GET", url).headers
    assert headers["x-word"] == f"{text}, b"


def test_the_user_in_a_url_is_sent_as_a_header(http: BoundedHttp) -> None:
    heads: list[bytes] = []

    def respond(head: bytes) -> bytes:
        heads.append(head)
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

    with answering(respond) as url:
        assert http.request("GET", url.replace("http://", "http://user:k%40y@")).status == 200
        assert http.request("GET", f"{url}/a@b").status == 200
    assert b"Authorization: Basic " + b64encode(b"user:k@y") in heads[0]
    assert b"user" not in heads[0].replace(b"User-Agent", b"").lower()
    assert b"authorization" not in heads[1].lower()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "ftp://127.0.0.1/", "http://", "no url"])
def test_a_server_that_is_not_there_is_an_error(http: BoundedHttp, url: str) -> None:
    with pytest.raises(HttpFailed):
        http.request("GET", url)


class TwiceAnswering:
    """Answers a connection twice at once, and each further GET over it. posts: how many it heard over such ones."""

    def __init__(self) -> None:
        self.posts = 0

    def __call__(self, connection: socket.socket) -> None:
        ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
        connection.sendall(ok + b"me" + ok + b"no")
        while data := connection.recv(65_536):
            self.posts += data.count(b"POST")
            if data.startswith(b"GET"):
                connection.sendall(ok + b"me")


bodies = pytest.mark.parametrize("body", [b"paid", b"paid" * 10_000], ids=["short", "long"])


@bodies
def test_an_answer_that_came_before_its_question_is_none(
    serve: Callable[[Answer], str], http: BoundedHttp, body: bytes
) -> None:
    answer = TwiceAnswering()
    url = serve(answer)
    for method in ("GET", "POST", "GET"):  # each over another connection
        assert http.request(method, url, content=body if method == "POST" else None).body == b"me"
    assert not answer.posts


@bodies
def test_an_answer_that_came_before_its_question_is_none_by_a_proxy_either(
    serve: Callable[[Answer], str], body: bytes
) -> None:
    answer, url = TwiceAnswering(), "http://far.example/"
    port = urlsplit(serve(answer)).port
    assert port
    with (
        ForwardProxy({"far.example": port}) as proxy,
        closing(BoundedHttp(DEADLINE_S, egress=egress({"HTTP_PROXY": proxy.address}))) as http,
    ):
        assert http.request("GET", url).body == b"me"
        with pytest.raises(HttpFailed, match="before it was asked"):
            http.request("POST", url, content=body)
        # Over another connection, whose first answer is read and whose second is left, as before.
        assert http.request("GET", url).body == b"me"
    assert answer.posts <= 1


def test_cookies_are_not_sent_back(scripted_server: ScriptedServer, http: BoundedHttp) -> None:
    scripted_server.respond_with({}, headers={"Set-Cookie": "a=b"})
    for _ in range(2):
        http.request("GET", scripted_server.vendor.endpoint)
    assert "Cookie" not in scripted_server.request_headers
