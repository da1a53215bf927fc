"""A client connection of HTTP/1.1 (RFC 9112): strict, and never read beyond the answer.

Answers are parsed by httptools, which is llhttp: an exchange by httpcore and h11 takes twice the processor time.
tests/wire/test_http11.py holds the two beside each other: what h11 refuses is refused here, but for blank lines before
an answer and zeros before the size of a chunk; and what is taken here is read as h11 reads it.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

import httpcore
import httptools

HEAD_MAX = 100 * 1024
"""Bytes that come without a byte of a body: a status line with its headers, sizes of chunks, trailers."""
READ_BYTES = 64 * 1024
CHUNKED = -1
"""Instead of the length of a body that comes in chunks."""
_NAME = rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+"
_WORD = rb"[^\x00\s]+"
_FIELD = re.compile(rb"%b: (?:%b(?:[ \t]+%b)*)?" % (_NAME, _WORD, _WORD))
_REQUEST_LINE = re.compile(rb"%b [!-~]+ HTTP/1\.1" % _NAME)
_REASON = re.compile(rb"(?:[ \t]|[^\x00\s])*")
_LENGTH = re.compile(rb"[0-9]{1,20}")
Fields = list[tuple[bytes, bytes]]
"""Headers: names and values."""


class Http11:
    """A connection for one exchange after another. is_idle: whether the last one came to its end on both sides, and
    neither side wants to hang up."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._timeouts: dict[str, float | None] = {}
        self.is_idle = False

    def exchange(self, request: httpcore.Request) -> httpcore.Response:
        """The answer, whose body is still to be read. Raises httpcore's errors, after which only close() is left."""
        self._timeouts, self.is_idle = request.extensions.get("timeout", {}), False
        is_sent = False
        with suppress(httpcore.WriteError):  # a server may answer before it has heard all, and hang up
            self._send(request)
            is_sent = True
        answer = _Answer(request.method == b"HEAD")
        while not answer.has_head:
            self._read_on(answer)
        stays = is_sent and answer.stays and b"close" not in _words(request.headers)
        return httpcore.Response(
            answer.status,
            headers=answer.fields,
            content=self._body(answer, stays),
            extensions={"network_stream": self._stream, "http_version": answer.version},
        )

    def has_spoken(self) -> bool:
        """Whether the server has hung up, or says something unasked."""
        return bool(self._stream.get_extra_info("is_readable"))

    def close(self) -> None:
        self.is_idle = False
        self._stream.close()

    def _body(self, answer: "_Answer", stays: bool) -> Iterator[bytes]:
        """The body part by part. stays: whether the connection can be used again behind it."""
        while True:
            yield from answer.taken()
            if answer.is_whole:
                break
            self._read_on(answer)
        self.is_idle = stays and not answer.is_followed  # whatever came behind is no answer to a later request

    def _read_on(self, answer: "_Answer") -> None:
        answer.hear(self._stream.read(READ_BYTES, self._timeouts.get("read")))

    def _send(self, request: httpcore.Request) -> None:
        """Head and body, in one write where the body is one part. Raises LocalProtocolError for what is no HTTP."""
        line = b"%b %b HTTP/1.1" % (request.method, request.url.target)
        lines = [b"%b: %b" % field for field in request.headers]
        if not _REQUEST_LINE.fullmatch(line) or not all(map(_FIELD.fullmatch, lines)):
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

    def _write(self, data: bytes) -> None:
        self._stream.write(data, self._timeouts.get("write"))


class _Answer:
    """What the server says to one request. is_followed: whether it said more behind the answer."""

    def __init__(self, is_head: bool) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._is_head = is_head
        self._parts: list[bytes] = []
        self._idle_bytes, self._heads = 0, bytearray()
        self._framing: int | None = None
        self.fields: Fields = []
        self.status, self.version = 0, b""
        self.has_head = self.is_whole = self.stays = self.is_followed = False

    def hear(self, data: bytes) -> None:
        """The next bytes; none: the server has hung up. Raises RemoteProtocolError for what is no answer."""
        if not data:
            if not self.has_head or self._framing is not None:
                raise httpcore.RemoteProtocolError("the server hung up before the end of its answer")
            self.is_whole = True
            return
        if self._idle_bytes > HEAD_MAX:
            raise httpcore.RemoteProtocolError(f"more than {HEAD_MAX} bytes around the body")
        self._idle_bytes += len(data)
        if not self.has_head:
            self._heads += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # which is none of httptools' other errors
            raise httpcore.RemoteProtocolError("the server speaks another protocol from here on") from None
        except httptools.HttpParserError as error:
            if not self.is_whole:
                raise httpcore.RemoteProtocolError(f"the answer is no HTTP: {error.__context__ or error}") from None
            self.is_followed = True

    def taken(self) -> list[bytes]:
        """The parts of the body that were not taken before."""
        parts, self._parts = self._parts, []
        return parts

    # What httptools calls.

    def on_message_begin(self) -> None:
        self.is_followed = self.is_whole

    def on_status(self, reason: bytes) -> None:
        if not _REASON.fullmatch(reason):
            raise httpcore.RemoteProtocolError("an illegal character in the status line")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:
            self.fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if self.is_whole:
            return
        head, _, self._heads = self._heads.lstrip(b"\r\n").partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/"):  # llhttp takes RTSP and ICE as well, and does not say which it was
            raise httpcore.RemoteProtocolError("another protocol than HTTP")
        self.status, self.version = self._parser.get_status_code(), self._parser.get_http_version().encode()
        if self.status < 200:
            self.fields = []
            return
        if self.version not in (b"1.0", b"1.1"):
            raise httpcore.RemoteProtocolError("another version than 1.0 and 1.1")
        self._framing = _framing(self.fields, httpcore.RemoteProtocolError)
        self.stays = self.version == b"1.1" and self._parser.should_keep_alive() and not self._is_head
        self.has_head, self.is_whole = True, self._is_head

    def on_body(self, part: bytes) -> None:
        if not self.is_whole:
            self._parts.append(part)
            self._idle_bytes = 0

    def on_message_complete(self) -> None:
        self.is_whole = self.has_head


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
