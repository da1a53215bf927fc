"""Bodies that come compressed though it was not asked for: read within the cap by both HTTP clients, or said."""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from gpuagent.wire.bounded_http import AnswerTooLarge, BoundedHttp, HttpFailed
from gpuagent.wire.compression import BodyTooLarge, CompressionError, Unpacker
from gpuagent.wire.watched_http import BODY_MAX, WatchedTransport, watch
from tests.support.scripted_server import ScriptedServer

MAX = 1_000
TEXT = json.dumps({"a": "b" * 500}).encode()
RAW = zlib.compressobj(wbits=-zlib.MAX_WBITS)
PACKED = {
    "": TEXT,
    "identity": TEXT,
    "gzip": gzip.compress(TEXT, mtime=0),
    "GZIP ": gzip.compress(TEXT, mtime=0),
    "x-gzip": gzip.compress(TEXT, mtime=0),
    "deflate": zlib.compress(TEXT),
}
GZIP_HEAD, EMPTY_BLOCK = gzip.compress(b"", mtime=0)[:10], b"\0\0\0\xff\xff"
RAW_DEFLATE = RAW.compress(TEXT) + RAW.flush()
UNREADABLE = {
    "br": (TEXT, "compressed (br), though it was asked not to"),
    "zstd": (TEXT, "compressed (zstd), though it was asked not to"),
    "gzip, gzip": (gzip.compress(gzip.compress(TEXT, mtime=0), mtime=0), "compressed (gzip, gzip)"),
    "gzip": (TEXT, "not soundly"),
    "deflate": (b"\xff" + TEXT, "not soundly"),
}


def unpacked(encoding: str, body: bytes, step: int = 7) -> bytes:
    unpacker = Unpacker(encoding, MAX)
    pieces = [unpacker.feed(body[start : start + step]) for start in range(0, len(body), step)]
    unpacker.finish()
    return b"".join(pieces)


@pytest.fixture
def http() -> Iterator[BoundedHttp]:
    with closing(BoundedHttp(5, MAX)) as client:
        yield client


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("encoding", PACKED)
def test_what_is_known_is_unpacked(encoding: str, step: int) -> None:
    assert unpacked(encoding, PACKED[encoding], step) == TEXT
    assert unpacked("deflate", RAW_DEFLATE, 10_000) == TEXT, "without the header that the standard asks for"
    assert unpacked(encoding, b"") == b"", "a body that is empty is not packed at all"


@pytest.mark.parametrize(
    ("encoding", "body", "says"), [(name, *value) for name, value in UNREADABLE.items()], ids=list(UNREADABLE)
)
def test_what_is_not_is_said(encoding: str, body: bytes, says: str) -> None:
    with pytest.raises(CompressionError) as error:
        unpacked(encoding, body)
    assert says in str(error.value)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_the_end_must_be_there(encoding: str) -> None:
    with pytest.raises(CompressionError, match="the end is missing"):
        unpacked(encoding, PACKED[encoding][:-3])


@pytest.mark.parametrize(
    "bomb", [gzip.compress(b"\0" * 50_000_000, mtime=0), GZIP_HEAD + EMPTY_BLOCK * MAX], ids=["large", "empty blocks"]
)
def test_a_bomb_is_not_unpacked(bomb: bytes) -> None:
    """Much out of little; and, of empty blocks without end, nothing out of much."""
    with pytest.raises(BodyTooLarge, match=f"more than {MAX} bytes"):
        Unpacker("gzip", MAX).feed(bomb)


def test_the_bounded_client(scripted_server: ScriptedServer, http: BoundedHttp) -> None:
    url = scripted_server.vendor.endpoint
    for encoding in ("gzip", "deflate"):
        scripted_server.respond_with(PACKED[encoding], headers={"Content-Encoding": encoding})
        assert http.request("GET", url).body == TEXT
    scripted_server.respond_with(TEXT, headers={"Content-Encoding": "br"})
    with pytest.raises(HttpFailed, match=r"answered compressed \(br\), though it was asked not to"):
        http.request("GET", url)
    scripted_server.respond_with(gzip.compress(b"a" * (MAX + 1), mtime=0), headers={"Content-Encoding": "gzip"})
    with pytest.raises(AnswerTooLarge, match=f"answered with more than {MAX} bytes"):
        http.request("GET", url)
    assert scripted_server.request_headers["Accept-Encoding"] == "identity"


def test_the_client_for_models(scripted_server: ScriptedServer) -> None:
    url = scripted_server.vendor.endpoint
    with httpx.Client(transport=WatchedTransport(), trust_env=False, timeout=60) as client:
        for encoding in ("", "gzip", "deflate"):
            scripted_server.respond_with(PACKED[encoding], headers={"Content-Encoding": encoding} if encoding else {})
            assert client.get(url).content == TEXT
        for body, encoding, says in (
            (gzip.compress(b"a" * (BODY_MAX + 1), mtime=0), "gzip", f"more than {BODY_MAX} bytes"),
            (TEXT, "br", "though it was asked not to"),
            (b"a" * (BODY_MAX + 1), "", f"more than {BODY_MAX} bytes"),
        ):
            scripted_server.respond_with(body, headers={"Content-Encoding": encoding} if encoding else {})
            with watch() as exchange, pytest.raises(httpx.ReadError, match=says):
                client.get(url)
            assert says in exchange.problem
