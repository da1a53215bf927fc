"""One connection over which a client speaks HTTP/1.1 (RFC 9112): strict, and read no further than the answer.

An exchange by httpcore and h11 takes twice the processor time. tests/wire/test_http11.py holds the two beside each
other: what they refuse is refused here, and what is taken here is read as they read it.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

import httpcore

HEAD_MAX = 100 * 1024
"""Bytes of a status line with its headers, and of any other line."""
TRAILERS_MAX = 100
"""Lines behind a chunked body, which are read and dropped."""
READ_BYTES = 64 * 1024
CHUNKED = -1
"""Instead of the length of a body that comes in chunks."""
_NAME = rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+"
_WORD = rb"[^\x00\s]+"
_FIELD = re.compile(rb"(%b):[ \t]*+((?:%b(?:[ \t]+%b)*)?)[ \t]*" % (_NAME, _WORD, _WORD))
_SENT_FIELD = re.compile(rb"%b: (?:%b(?:[ \t]+%b)*)?" % (_NAME, _WORD, _WORD))
_SENT_LINE = re.compile(rb"%b [!-~]+ HTTP/1\.1" % _NAME)
_STATUS = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2})(?: (?:[ \t]|[^\x00\s])*)?")
_HEAD_END = re.compile(rb"\n\r?\n")
_LINE_END = re.compile(rb"\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_CHUNK_END = re.compile(rb"\r\n")
_LENGTH = re.compile(rb"[0-9]{1,20}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,20})(?:;.*|[ \t]*)")
Fields = list[tuple[bytes, bytes]]
"""Headers: names and values."""


class Http11:
    """A connection for one exchange after another. is_idle: whether the last one came to its end on both sides, and
    neither side wants to hang up."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream, self._buffer = stream, b""
        self._timeouts: dict[str, float | None] = {}
        self.is_idle = False

    def exchange(self, request: httpcore.Request) -> httpcore.Response:
        """The answer, whose body is still to be read. Raises httpcore's errors, after which only close() is left."""
        self._timeouts, self.is_idle = request.extensions.get("timeout", {}), False
        is_sent = False
        with suppress(httpcore.WriteError):  # a server may answer before it has heard all, and hang up
            self._send(request)
            is_sent = True
        version, status, fields = self._head()
        while status < 200:
            if status == 101:
                raise httpcore.RemoteProtocolError("the server switches to another protocol, unasked")
            version, status, fields = self._head()
        stays = is_sent and version == b"1.1" and b"close" not in {*_words(request.headers), *_words(fields)}
        body = self._body(request.method, status, fields, stays)
        return httpcore.Response(
            status, headers=fields, content=body, extensions={"network_stream": self._stream, "http_version": version}
        )

    def has_spoken(self) -> bool:
        """Whether the server has hung up, or says something unasked."""
        return bool(self._stream.get_extra_info("is_readable"))

    def close(self) -> None:
        self.is_idle = False
        self._stream.close()

    def _send(self, request: httpcore.Request) -> None:
        """Head and body, in one write where the body is one part. Raises LocalProtocolError for what is no HTTP."""
        line = b"%b %b HTTP/1.1" % (request.method, request.url.target)
        lines = [b"%b: %b" % field for field in request.headers]
        if not _SENT_LINE.fullmatch(line) or not all(map(_SENT_FIELD.fullmatch, lines)):
            raise httpcore.LocalProtocolError("a request whose line or header is no HTTP")
        framing, size = _framing(request.headers, httpcore.LocalProtocolError) or 0, 0
        unsent = b"\r\n".join([line, *lines, b"", b""])
        assert isinstance(request.stream, Iterable)
        for number, part in enumerate(filter(None, request.stream)):
            if number:
                self._write(unsent)
                unsent = b""
            size += len(part)
            if size > framing != CHUNKED:
                raise httpcore.LocalProtocolError("a request with more than it says")
            unsent += b"%x\r\n%b\r\n" % (len(part), part) if framing == CHUNKED else part
        if size < framing:
            raise httpcore.LocalProtocolError("a request with less than it says")
        self._write(unsent + (b"0\r\n\r\n" if framing == CHUNKED else b""))

    def _head(self) -> tuple[bytes, int, Fields]:
        """HTTP version, status and headers."""
        first, *rest = _LINE_END.split(self._until(_HEAD_END).removesuffix(b"\r"), 1)
        status = _STATUS.fullmatch(first)
        if status is None:
            raise httpcore.RemoteProtocolError(f"illegal status line: {first[:80]!r}")
        lines = _LINE_END.split(_FOLD.sub(b" ", rest[0])) if rest else []
        return status[1], int(status[2]), [_field(line) for line in lines]

    def _body(self, method: bytes, status: int, fields: Fields, stays: bool) -> Iterator[bytes]:
        """The body part by part. stays: whether the connection can be used again behind it."""
        framing = _framing(fields, httpcore.RemoteProtocolError)
        if method == b"HEAD" or status in (204, 304):
            framing = 0
        return self._parts(framing, stays)

    def _parts(self, framing: int | None, stays: bool) -> Iterator[bytes]:
        if framing is None:
            while self._buffer or self._fill():
                yield self._taken(len(self._buffer))
            return
        yield from self._chunks() if framing == CHUNKED else self._counted(framing)
        self.is_idle = stays and not self._buffer  # whatever came behind is no answer to a later request

    def _counted(self, left: int) -> Iterator[bytes]:
        while left:
            if not self._buffer and not self._fill():
                raise httpcore.RemoteProtocolError(f"the server hung up {left} bytes before the end of its answer")
            part = self._taken(left)
            left -= len(part)
            yield part

    def _chunks(self) -> Iterator[bytes]:
        while size := self._chunk_size():
            yield from self._counted(size)
            if self._line():
                raise httpcore.RemoteProtocolError("a chunk that does not end where it should")
        for _ in range(TRAILERS_MAX):
            if not (line := self._line()):
                return
            _field(line)
        raise httpcore.RemoteProtocolError(f"more than {TRAILERS_MAX} lines behind the body")

    def _chunk_size(self) -> int:
        chunk = _CHUNK.fullmatch(self._line())
        if chunk is None:
            raise httpcore.RemoteProtocolError("illegal chunk header")
        return int(chunk[1], 16)

    def _line(self) -> bytes:
        return self._until(_CHUNK_END)

    def _until(self, end: re.Pattern[bytes]) -> bytes:
        """What comes before the end, which is taken too."""
        searched = 0
        while not (match := end.search(self._buffer, searched)):
            searched = max(0, len(self._buffer) - 2)  # it may have come in part
            if len(self._buffer) > HEAD_MAX:
                raise httpcore.RemoteProtocolError(f"a head or a line of more than {HEAD_MAX} bytes")
            if not self._fill():
                raise httpcore.RemoteProtocolError("the server hung up before it had answered")
        text, self._buffer = self._buffer[: match.start()], self._buffer[match.end() :]
        return text

    def _taken(self, size_max: int) -> bytes:
        part, self._buffer = self._buffer[:size_max], self._buffer[size_max:]
        return part

    def _fill(self) -> bool:
        """Reads on. False: the server has hung up."""
        data = self._stream.read(READ_BYTES, self._timeouts.get("read"))
        self._buffer += data
        return bool(data)

    def _write(self, data: bytes) -> None:
        self._stream.write(data, self._timeouts.get("write"))


def _field(line: bytes) -> tuple[bytes, bytes]:
    """The name and the value of a header. Raises RemoteProtocolError."""
    match = _FIELD.fullmatch(line)
    if match is None:
        raise httpcore.RemoteProtocolError(f"illegal header line: {line[:80]!r}")
    return match[1], match[2]


def _framing(fields: Fields, problem: type[Exception]) -> int | None:
    """The bytes of a body by its headers, or CHUNKED; None where they do not say. Raises the problem."""
    lengths = {length.strip() for value in _values(fields, b"content-length") for length in value.split(b",")}
    if len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
        raise problem("conflicting or illegal Content-Length")
    codings = [value.lower() for value in _values(fields, b"transfer-encoding")]
    if codings not in ([], [b"chunked"]):
        raise problem("another Transfer-Encoding than chunked")
    return CHUNKED if codings else int(lengths.pop()) if lengths else None


def _values(fields: Fields, name: bytes) -> list[bytes]:
    return [value for field, value in fields if field.lower() == name]


def _words(fields: Fields) -> set[bytes]:
    """The words of the header Connection."""
    return {word.strip().lower() for value in _values(fields, b"connection") for word in value.split(b",")}
