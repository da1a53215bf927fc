"""StreamedHttp against hostile servers, on real sockets: one time for all of an answer, and no secret in an error."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from gpuagent.wire.bounded_http import HttpFailed
from gpuagent.wire.streamed_http import StreamedHttp
from gpuagent.wire.transport import time_left
from tests.support.file_vendor import FileVendor, VendorAnswer
from tests.support.raw_server import answering

AMPLE_S, DRIP_S = 60.0, 2.0
"""For answers that come, and for one whose head comes and that never ends."""
KEY = {"Authorization": "Bearer secret-token-0123456789"}


@pytest.fixture
def http() -> Iterator[StreamedHttp]:
    with closing(StreamedHttp(0.1)) as http:
        yield http


def test_an_answer_comes_part_by_part(http: StreamedHttp) -> None:
    """As it was sent, and with more time than other answers have."""
    head = b"HTTP/1.1 206 Part\r\nX-A: b\r\nConnection: close\r\n"
    answer = head + b"Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip"
    with answering(lambda _: answer) as url, http.stream(url, AMPLE_S) as stream:
        assert (stream.status, stream.headers["x-a"], b"".join(stream.parts())) == (206, "b", b"no gzip")
        assert not stream.expired
        assert time_left() == float("inf")  # what its reader does between two parts has no deadline


@pytest.mark.parametrize("location", [b"http://127.0.0.1:1/", b"http://xn--/", b"http://[::1", b"//", b"\xff"])
def test_a_redirect_is_an_answer_like_another(http: StreamedHttp, location: bytes) -> None:
    """Wherever it leads: to no host that can be, for one."""
    answer = b"HTTP/1.1 302 Away\r\nConnection: close\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % location
    with answering(lambda _: answer) as url, http.stream(url, AMPLE_S) as stream:
        assert stream.status == 302


def test_the_time_is_for_all_of_an_answer(http: StreamedHttp) -> None:
    """However often the server shows that it is alive."""
    released, server = threading.Event(), FileVendor()

    def drip() -> Iterator[bytes]:
        for _ in range(1000):
            if released.wait(0.02):
                return
            yield b"."

    server.script("GET /", VendorAnswer(200, drip(), {"Content-Length": "9999"}))
    with http.stream(f"{server.vendor.endpoint}/", DRIP_S) as stream:
        assert set(b"".join(stream.parts())) == {ord(".")}
        assert stream.expired
    released.set()
    server.close()


def test_words_about_an_answer_need_its_beginning_alone(http: StreamedHttp) -> None:
    body = b"x" * 300_000
    answer = b"HTTP/1.1 500 No\r\nContent-Length: 300000\r\n\r\n" + body
    with answering(lambda _: answer) as url, http.stream(url, AMPLE_S) as stream:
        assert stream.text(1_000) == body[:1_000]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 secret-token-0123456789\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nsecret-token-0123456789\r\n",
    ],
)
def test_a_broken_answer_is_one_error_without_the_key(http: StreamedHttp, answer: bytes) -> None:
    def read() -> None:
        with http.stream(url, AMPLE_S, headers=KEY) as stream:
            b"".join(stream.parts())

    with answering(lambda _: answer) as url, pytest.raises(HttpFailed) as error:
        read()
    assert "secret-token" not in str(error.value)
    assert error.value.__context__ is None
