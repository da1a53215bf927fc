"""Http11 beside httpcore's connection over h11: the same bytes are the same answer, or are refused by both."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import httpcore
import pytest
from httpcore._sync.http11 import HTTP11Connection

from gpuagent.wire.http11 import HEAD_MAX, Http11

URL = "http://vendor.example/quote"
FRAMING = (b"content-length", b"transfer-encoding")
"""Headers of which h11 changes the values."""
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERS = (
    OK + b"Content-Length: 2\r\n\r\nok",
    OK + b"content-length:2\r\nX-A: \t b c \t\r\nX-A:\r\nX-B: caf\xe9\r\n\r\nok",
    OK + b"Content-Length: 0\r\n\r\n",
    OK + b"Content-Length: 2\r\nConnection: Close\r\n\r\nok",
    OK + b"Content-Length: 2\r\nConnection: keep-alive, CLOSE\r\n\r\nok",
    OK + b"\r\nall until the end",
    OK + b"Transfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0a;name=value\r\n0123456789\r\n0\r\n\r\n",
    CHUNKS + b"2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
    b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 402 Pay\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 204 None\r\nContent-Length: 2\r\n\r\n",
    b"HTTP/1.1 304\r\n\r\n",
    b"HTTP/1.1 599 \xe4\t!\r\nContent-Length: 2\r\n\r\nok",
    OK + b"Content-Length: 2\r\n\r\nok" + OK + b"Content-Length: 2\r\n\r\nno",
    *(
        OK + headers + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        for headers in (
            *(b"Content-Length: +2", b"Content-Length: 2, 3", b"Content-Length: 2\r\nContent-Length: 3"),
            *(b"Content-Length: " + b"1" * 21, b"Content-Length:", b"Content-Length: -1", b"Content-Length: 99"),
            *(b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            *(b"X A: b", b"X-A : b", b": b", b"X-A", b"X-A: b\x00c", b"X-A: b\rc", b" X-A: b", b"X-A: b\x0bc"),
        )
    ),
    *(CHUNKS + body for body in (b"2\r\nok0\r\n\r\n", b"g\r\n", b"-1\r\n", b"\r\n", b"1" * 21 + b"\r\n", b"2\r\no")),
    CHUNKS + b"2\nok\r\n0\r\n\r\n",
    *(b"HTTP/1.1 200", b"", b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 099 OK\r\n\r\n"),
    *(
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 2\xb200 OK\r\n\r\n",
        b"HTTP/1.1\t200 OK\r\n\r\n",
        b"HTTP/1.1 200OK\r\n\r\n",
        b"HTTP/1.1 200\x0b\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n\r\n",
        b"ICE/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 100 Go on\r\n\r\nRTSP/1.1 200 OK\r\n\r\n",
    ),
    b"HTTP/1.1 100 On\r\nLink: a\r\n\r\n" + OK + b"Content-Length: 12\r\n\r\n\r\n\r\nRTSP/1.0",
    OK + b"X-A: " + b"a" * HEAD_MAX,
)
STRICTER = (
    OK + b"Content-Length: 2\r\nX-A: \x01\r\n\r\nok",
    OK + b"Content-Length: 2, 2\r\n\r\nok",
    OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    *(CHUNKS + size + b"\r\nok\r\n0\r\n\r\n" for size in (b"2 ", b"2\t", b"2;", b"2;\x00")),
    CHUNKS + b"2\r\nok\r\n0\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    OK + b"Content-Length: 2\r\nX-Folded: a\r\n b\r\n\r\nok",
)
"""Answers that h11 takes and llhttp refuses: some programs read them in one way and some in another."""


@dataclass
class Outcome:
    """What was read, and whether the connection can be used again; status 0: it was refused."""

    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes
    is_idle: bool = field(compare=False)


REFUSED = Outcome(0, [], b"", False)


class Wire(httpcore.MockStream):
    """Answers with these pieces, then hangs up. sent: all that was written; broken: whether writing fails."""

    def __init__(self, pieces: Sequence[bytes], broken: bool = False) -> None:
        super().__init__([piece for piece in pieces if piece])
        self.sent, self.broken = list[bytes](), broken

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self.broken:
            raise httpcore.WriteError
        self.sent.append(buffer)


def theirs(wire: httpcore.NetworkStream, method: str = "POST") -> Outcome:
    request = asked(method)
    connection = HTTP11Connection(request.url.origin, wire)

    def is_idle() -> bool:
        # What came behind the answer h11 keeps for the next request, as its answer. Blank lines are no answer.
        return connection.is_idle() and not connection._h11_state.trailing_data[0].strip(b"\r\n")

    return outcome(lambda: connection.handle_request(request), is_idle)


def ours(wire: httpcore.NetworkStream, method: str = "POST") -> Outcome:
    connection = Http11(wire)
    return outcome(lambda: connection.exchange(asked(method)), lambda: connection.is_idle)


def asked(method: str = "POST", content: bytes | Iterable[bytes] = b"{}", **headers: str) -> httpcore.Request:
    length = {} if headers else {"Content-Length": "2"}
    return httpcore.Request(method, URL, headers={"Host": "vendor.example", **length, **headers}, content=content)


def outcome(exchange: Callable[[], httpcore.Response], is_idle: Callable[[], bool]) -> Outcome:
    try:
        response = exchange()
        body = response.read()
        response.close()
    except httpcore.RemoteProtocolError:
        return REFUSED
    fields = [(name, value) for name, value in response.headers if name.lower() not in FRAMING]
    return Outcome(response.status, fields, body, is_idle())


def cuts(answer: bytes) -> Iterator[list[bytes]]:
    """The answer whole, byte by byte, and in two at some places."""
    yield [answer]
    if len(answer) < 1000:
        yield [answer[place : place + 1] for place in range(len(answer))]
        for place in range(1, len(answer), 7):
            yield [answer[:place], answer[place:]]


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_read_is_what_h11_reads(answer: bytes) -> None:
    for pieces in cuts(answer):
        for method in ("POST", "HEAD"):
            actual, expected = ours(Wire(pieces), method), theirs(Wire(pieces), method)
            assert actual == expected, (pieces, method)
            assert actual.is_idle <= expected.is_idle, (pieces, method)


@pytest.mark.parametrize("answer", STRICTER)
def test_what_can_be_read_in_two_ways_is_not_read(answer: bytes) -> None:
    assert theirs(Wire([answer])) != REFUSED
    for pieces in cuts(answer):
        assert ours(Wire(pieces)) == REFUSED, pieces


def test_nothing_is_taken_that_h11_refuses() -> None:
    """Answers with bytes changed, left out and put in, at random."""
    chance, marks = random.Random(9112), b"\r\n\t :;,0123456789aAfF-\x00\x0b\xff"
    short = [answer for answer in ANSWERS if len(answer) < 300]
    for _ in range(1_500):
        answer = bytearray(chance.choice(short))
        for _ in range(chance.randint(1, 3)):
            place, mark = chance.randrange(len(answer) + 1), chance.choice(marks)
            answer[place : place + chance.randint(0, 2)] = bytes([mark] * chance.randint(0, 2))
        pieces = [bytes(answer).lstrip(b"\r\n")]  # blank lines before an answer are passed over here
        actual, expected = ours(Wire(pieces)), theirs(Wire(pieces))
        assert actual in (expected, REFUSED), answer
        assert actual.is_idle <= expected.is_idle, answer


def test_what_came_behind_an_answer_is_not_kept_for_the_next() -> None:
    connection = Http11(Wire([OK + b"Content-Length: 2\r\n\r\nok" + OK]))
    assert connection.exchange(asked()).read() == b"ok"
    assert not connection.is_idle


def test_one_answer_after_another_over_one_connection() -> None:
    connection = Http11(Wire([ANSWERS[0], ANSWERS[6]]))
    assert not connection.is_idle
    for body in (b"ok", b"ok0123456789"):
        response = connection.exchange(asked())
        assert not connection.is_idle
        assert response.read() == body
        assert connection.is_idle
    with pytest.raises(httpcore.RemoteProtocolError, match="hung up"):
        connection.exchange(asked())


@pytest.mark.parametrize("content", [b"", b"{}", [b"ab", b"", b"cd"]])
@pytest.mark.parametrize("headers", [{"Content-Length": "SIZE"}, {"Transfer-Encoding": "chunked"}])
def test_what_is_sent_is_what_h11_sends(content: bytes | list[bytes], headers: dict[str, str]) -> None:
    size = len(content if isinstance(content, bytes) else b"".join(content))
    headers = {name: value.replace("SIZE", str(size)) for name, value in headers.items()}
    wires = [Wire([ANSWERS[0]]) for _ in range(2)]
    Http11(wires[0]).exchange(asked(content=content, **headers))
    request = asked(content=content, **headers)
    HTTP11Connection(request.url.origin, wires[1]).handle_request(request)
    assert b"".join(wires[0].sent) == b"".join(wires[1].sent)


def test_a_request_with_one_part_is_one_write() -> None:
    wire = Wire([ANSWERS[0]])
    Http11(wire).exchange(asked())
    assert len(wire.sent) == 1


@pytest.mark.parametrize(
    "request_",
    [
        asked("GET /\r\nX:"),
        asked(content=b"", Authorization="Bearer a\r\nX: b"),
        asked(content=b"", Authorization="a\nX: b"),
        asked(content=b"", Authorization=" a"),
        asked(content=b"", Authorization="a\0"),
        asked(content=b"", **{"X:": "a"}),
        asked(content=b"abc", **{"Content-Length": "2"}),
        asked(content=[b"a", b"b"], **{"Content-Length": "3"}),
        asked(content=b"abc", **{"X-A": "no length"}),
        httpcore.Request("GET", httpcore.URL(scheme=b"http", host=b"h", port=80, target=b"/ HTTP/1.1\r\nX: b")),
    ],
)
def test_what_is_no_request_is_not_sent(request_: httpcore.Request) -> None:
    wire = Wire([ANSWERS[0]])
    with pytest.raises(httpcore.LocalProtocolError):
        Http11(wire).exchange(request_)
    assert b"X: b" not in b"".join(wire.sent)
    assert not b"".join(wire.sent).endswith(b"\r\n\r\nabc")


def test_an_answer_to_a_request_that_could_not_be_sent_counts_and_is_the_last() -> None:
    connection = Http11(Wire([ANSWERS[0]], broken=True))
    assert connection.exchange(asked()).read() == b"ok"
    assert not connection.is_idle


def test_a_head_without_end_is_given_up() -> None:
    wire = Wire([OK, b"X-A: ", b"a" * HEAD_MAX, b"\r\nContent-Length: 0\r\n\r\n"])
    with pytest.raises(httpcore.RemoteProtocolError, match="more than"):
        Http11(wire).exchange(asked())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 101 Switching\r\n\r\n", "Upgrade"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n\0", "another protocol"),
        (b"HTTP/1.1 100 On\r\n\r\nHTTP/1.1 101 S\r\nUpgrade: a\r\nConnection: Upgrade\r\n\r\n", "another protocol"),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "no HTTP"),
        # Blanks that are tried in every way take minutes of a processor.
        (OK + b"X-A:" + b" " * 90_000 + b"\x00\r\n\r\n", "no HTTP"),
        (CHUNKS + b"2;" + b" " * 90_000 + b"\n\r\n", "no HTTP"),
        (CHUNKS + b"0\r\n" + b"X: y\r\n" * 20_000, "around the body"),
    ],
)
def test_refused_here_alone(answer: bytes, says: str) -> None:
    pieces = [answer[place : place + 10_000] for place in range(0, len(answer), 10_000)]
    with pytest.raises(httpcore.RemoteProtocolError, match=says):
        Http11(Wire(pieces)).exchange(asked()).read()
