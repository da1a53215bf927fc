"""Files to and from a vendor over real HTTP: what it sends is a part of the file, an early end, or a VendorError."""

import gzip
import json
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuagent.adapters.vendors.files import PIECE
from gpuagent.adapters.vendors.http import HttpVendor
from gpuagent.core.model import Reserved
from gpuagent.core.ports.vendors import VendorJob
from gpuagent.core.work import FileEntry
from gpuagent.errors import FileAltered, StoreError, VendorBusy, VendorError, VendorTokenMissing, VendorUnauthorized
from tests.support.factories import quote
from tests.support.file_vendor import FileVendor, VendorAnswer
from tests.support.spellings import SECRET, leaks

CONTENT = bytes(range(256)) * 40
JOB = Reserved("a" * 24, quote(), 0)
SECONDS = 60.0
DRIP_S = 2.0
"""In which the head of an answer comes on a busy machine too; a drip goes on for longer."""


def entry(content: bytes = CONTENT, path: str = "out/model.bin", **changes: Any) -> FileEntry:
    return replace(FileEntry(path, len(content), sha256(content).hexdigest()), **changes)


@pytest.fixture(scope="module")
def api() -> Iterator[HttpVendor]:
    with closing(HttpVendor({"GPU_VENDOR_SECRET": SECRET}.get, status_s=60, submit_s=60)) as api:
        yield api


def read(api: HttpVendor, server: FileVendor, start: int = 0, **changes: Any) -> bytes:
    return b"".join(api.read_file(server.vendor, VendorJob("v"), entry(**changes), start, SECONDS))


def answer_file(server: FileVendor, status: int = 200, body: Any = CONTENT, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    server.script("GET /job-file", VendorAnswer(status, body, named))


# Inputs.


def test_an_input_goes_out_in_pieces_from_where_the_vendor_is(api: HttpVendor, file_vendor: FileVendor) -> None:
    content = b"x" * (2 * PIECE + 10)
    file = entry(content)
    assert api.input_received(file_vendor.vendor, JOB, file) == 0
    assert api.send_input(file_vendor.vendor, JOB, file, 0, [content[:5], content[5:7]]) == 7
    assert api.input_received(file_vendor.vendor, JOB, file) == 7
    rest = (content[start : start + 300_000] for start in range(7, len(content), 300_000))
    assert api.send_input(file_vendor.vendor, JOB, file, 7, rest) == len(content)
    assert api.input_received(file_vendor.vendor, JOB, file) == len(content)
    assert file_vendor.inputs == {file.sha256: content}
    puts = [request for request in file_vendor.requests if request.method == "PUT"]
    assert [len(request.body) for request in puts] == [7, PIECE, PIECE, 3]
    assert {request.headers["x-vendor-id"] for request in puts} == {file_vendor.vendor.vendor_id}
    assert {request.params["size"] for request in puts} == {str(len(content))}


def test_an_empty_input_is_sent_too(api: HttpVendor, file_vendor: FileVendor) -> None:
    assert api.send_input(file_vendor.vendor, JOB, entry(b""), 0, []) == 0
    assert file_vendor.inputs == {entry(b"").sha256: b""}


def test_little_of_an_input_is_in_memory(api: HttpVendor, file_vendor: FileVendor) -> None:
    """Of 40 MB a few pieces, here and in the bodies of requests."""
    file_vendor.routes["PUT /job-input"] = lambda request: (
        file_vendor.requests.clear()  # type: ignore[func-returns-value]
        or VendorAnswer(200, {"received": int(request.params["start"]) + len(request.body)})
    )
    part = bytes(100_000)
    tracemalloc.start()
    received = api.send_input(file_vendor.vendor, JOB, entry(bytes=40_000_000), 0, (part for _ in range(400)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert received == 40_000_000
    assert peak < 10 * PIECE


def test_a_vendor_that_has_other_bytes_than_were_sent_ends_the_sending(
    api: HttpVendor, file_vendor: FileVendor
) -> None:
    """What it then says is where the next sending begins."""
    parts = iter([bytes(PIECE), bytes(PIECE)])
    file = entry(bytes=3 * PIECE)
    file_vendor.script("PUT /job-input", VendorAnswer(409, {"received": 17}))
    assert api.send_input(file_vendor.vendor, JOB, file, 0, parts) == 17
    file_vendor.script("PUT /job-input", VendorAnswer(200, {"received": 5}))
    assert api.send_input(file_vendor.vendor, JOB, file, 0, [bytes(PIECE)]) == 5
    assert len(file_vendor.requests) == 2


def test_a_sending_ends_with_its_time(file_vendor: FileVendor) -> None:
    with closing(HttpVendor({"GPU_VENDOR_SECRET": "s"}.get, upload_s=0)) as hurried:
        assert hurried.send_input(file_vendor.vendor, JOB, entry(), 0, [CONTENT]) == 0
    released = threading.Event()
    file_vendor.routes["PUT /job-input"] = lambda _: VendorAnswer(200, {"late": released.wait(5)})
    with closing(HttpVendor({"GPU_VENDOR_SECRET": "s"}.get, upload_s=0.1)) as hurried:
        with pytest.raises(VendorError, match="does not answer"):
            hurried.send_input(file_vendor.vendor, JOB, entry(), 0, [CONTENT])
        released.set()


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (413, VendorError, "answered 413 to /job-input"),
        (422, VendorError, "answered 422 to /job-input"),
        (404, VendorError, "answered 404 to /job-input"),
        (429, VendorBusy, "answered 429"),
        (401, VendorUnauthorized, "GPU_VENDOR_SECRET"),
        (302, VendorError, "redirect"),
    ],
)
def test_an_input_that_is_refused(
    api: HttpVendor, file_vendor: FileVendor, status: int, error: type[VendorError], words: str
) -> None:
    file_vendor.script("PUT /job-input", VendorAnswer(status, {"error": "no"}, {"Location": "/elsewhere"}))
    with pytest.raises(VendorError, match=words) as raised:
        api.send_input(file_vendor.vendor, JOB, entry(), 0, [CONTENT])
    assert type(raised.value) is error


@pytest.mark.parametrize("received", [None, -1, len(CONTENT) + 1, 1.5, True, "7", [7], 10**400])
def test_a_number_of_bytes_that_cannot_be(api: HttpVendor, file_vendor: FileVendor, received: Any) -> None:
    answer = VendorAnswer(200, {"received": received, "complete": False})
    file_vendor.script("GET /job-input", answer)
    file_vendor.script("PUT /job-input", answer)
    with pytest.raises(VendorError, match="`received` is to be a number of bytes"):
        api.input_received(file_vendor.vendor, JOB, entry())
    with pytest.raises(VendorError, match="`received` is to be a number of bytes"):
        api.send_input(file_vendor.vendor, JOB, entry(), 0, [CONTENT])


@pytest.mark.parametrize(
    ("answer", "received"),
    [
        ({"complete": True}, len(CONTENT)),
        ({"received": len(CONTENT)}, len(CONTENT)),
        ({"received": 9}, 9),
        ({"received": 9, "complete": False}, 9),
    ],
)
def test_what_a_vendor_has(api: HttpVendor, file_vendor: FileVendor, answer: Any, received: int) -> None:
    file_vendor.script("GET /job-input", VendorAnswer(200, answer))
    assert api.input_received(file_vendor.vendor, JOB, entry()) == received
    file_vendor.script("GET /job-input", VendorAnswer(404, {"error": "unknown"}))
    assert api.input_received(file_vendor.vendor, JOB, entry()) == 0


@pytest.mark.parametrize(
    "answer", [{"received": 9, "complete": True}, {"received": len(CONTENT), "complete": False}], ids=str
)
def test_an_input_that_is_complete_and_is_not(api: HttpVendor, file_vendor: FileVendor, answer: Any) -> None:
    file_vendor.script("GET /job-input", VendorAnswer(200, answer))
    with pytest.raises(VendorBusy, match="complete"):
        api.input_received(file_vendor.vendor, JOB, entry())


def test_a_file_store_that_fails_is_no_failure_of_the_vendor(api: HttpVendor, file_vendor: FileVendor) -> None:
    def parts() -> Iterator[bytes]:
        yield b"x"
        raise StoreError("gone")

    with pytest.raises(StoreError, match="gone"):
        api.send_input(file_vendor.vendor, JOB, entry(), 0, parts())


# Results.


def test_a_file_comes_from_where_it_is_asked_for(api: HttpVendor, file_vendor: FileVendor) -> None:
    file_vendor.files["out/model.bin"] = CONTENT
    for start in (0, 1, len(CONTENT) - 1):
        assert read(api, file_vendor, start) == CONTENT[start:]
    assert read(api, file_vendor, len(CONTENT)) == b""
    assert len(file_vendor.requests) == 3  # nothing is asked where nothing is left
    parts = api.read_file(file_vendor.vendor, VendorJob("job 1"), entry(), 7, SECONDS, "c" * 64)
    assert b"".join(parts) == CONTENT[7:]
    request = file_vendor.requests[-1]
    assert request.params == {"vendorJobId": "job 1", "path": "out/model.bin", "checkpoint": "c" * 64}
    assert (request.headers["Range"], request.headers["Accept-Encoding"]) == ("bytes=7-", "identity")


@pytest.mark.parametrize("start", [0, 1, 5_000, len(CONTENT) - 1])
def test_a_vendor_that_knows_no_range(api: HttpVendor, file_vendor: FileVendor, start: int) -> None:
    answer_file(file_vendor)
    assert read(api, file_vendor, start) == CONTENT[start:]


@pytest.mark.parametrize("content_range", [f"bytes 5-99/{len(CONTENT)}", "bytes 5-99/*", f"BYTES  5-99/{len(CONTENT)}"])
def test_a_part_of_what_was_asked_for(api: HttpVendor, file_vendor: FileVendor, content_range: str) -> None:
    """A server may answer with less: the next time it goes on from there."""
    answer_file(file_vendor, 206, CONTENT[5:100], Content_Range=content_range)
    assert read(api, file_vendor, 5) == CONTENT[5:100]


@pytest.mark.parametrize(
    "content_range",
    [
        "",
        "bytes",
        f"bytes 4-{len(CONTENT) - 1}/{len(CONTENT)}",
        f"bytes 6-{len(CONTENT) - 1}/{len(CONTENT)}",
        f"bytes 5-{len(CONTENT)}/{len(CONTENT)}",
        f"bytes 5-4/{len(CONTENT)}",
        f"bytes 5-/{len(CONTENT)}",
        f"bytes */{len(CONTENT)}",
        f"bytes=5-{len(CONTENT) - 1}/{len(CONTENT)}",
        "bytes ٥-9/*",
        f"bytes 5-{'9' * 17}/*",
        f"bytes {'0' * 5_000}5-9/*",
    ],
)
def test_another_part_than_was_asked_for(api: HttpVendor, file_vendor: FileVendor, content_range: str) -> None:
    headers = {"Content_Range": ascii_only(content_range)} if content_range else {}
    answer_file(file_vendor, 206, CONTENT[5:], **headers)
    with pytest.raises(VendorError, match="another part of out/model"):
        read(api, file_vendor, 5)


def ascii_only(text: str) -> str:
    """A header as http.server can send it: what is not Latin goes out in UTF-8."""
    return text.encode().decode("latin-1")


def test_a_file_of_another_size_than_listed(api: HttpVendor, file_vendor: FileVendor) -> None:
    for size in (len(CONTENT) - 1, len(CONTENT) + 1):
        answer_file(file_vendor, 206, CONTENT[5:], Content_Range=f"bytes 5-9/{size}")
        with pytest.raises(FileAltered, match=f"has {size} bytes of out/model.bin, of which it listed {len(CONTENT)}"):
            read(api, file_vendor, 5)


@pytest.mark.parametrize("start", [0, 9, len(CONTENT) - 1])
@pytest.mark.parametrize("status", [200, 206])
def test_one_byte_too_many_is_read_and_no_more(
    api: HttpVendor, file_vendor: FileVendor, status: int, start: int
) -> None:
    """It shows that the file is another one; an endless body costs nothing."""
    more = CONTENT + bytes(3_000_000)
    last = len(CONTENT) - 1
    answer_file(file_vendor, status, more[start:] if status == 206 else more, Content_Range=f"bytes {start}-{last}/*")
    assert read(api, file_vendor, start) == CONTENT[start:] + b"\0"


@pytest.mark.parametrize("status", [200, 206])
@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_body_that_ends_early_keeps_what_came(
    api: HttpVendor, file_vendor: FileVendor, status: int, length: int
) -> None:
    """By its own account, and cut off in the middle."""
    for headers in ({}, {"Content-Length": str(len(CONTENT))}):
        content_range = {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"}
        file_vendor.script("GET /job-file", VendorAnswer(status, CONTENT[:length], {**content_range, **headers}))
        parts = []
        with pytest.raises(VendorError, match=r"ends out/model.bin after|does not answer"):
            parts.extend(api.read_file(file_vendor.vendor, VendorJob("v"), entry(), 0, SECONDS))
        assert b"".join(parts) == CONTENT[:length]


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (404, {}, VendorError),
        (410, {}, VendorError),
        (416, {"Content_Range": f"bytes */{len(CONTENT)}"}, VendorError),
        (500, {}, VendorError),
        (204, {}, VendorError),
        (202, {}, VendorError),
        (302, {"Location": "/elsewhere"}, VendorError),
        (429, {}, VendorBusy),
        (503, {"Retry_After": "3"}, VendorBusy),
        (503, {}, VendorError),
        (401, {}, VendorUnauthorized),
        (403, {}, VendorUnauthorized),
    ],
)
def test_a_file_that_is_not_given(
    api: HttpVendor, file_vendor: FileVendor, status: int, headers: dict[str, str], error: type[VendorError]
) -> None:
    answer_file(file_vendor, status, b"" if status == 204 else f"for {SECRET}: no\x1b".encode(), **headers)
    with pytest.raises(VendorError) as raised:
        read(api, file_vendor)
    assert type(raised.value) is error
    assert str(raised.value).isprintable()
    assert leaks(SECRET, str(raised.value)) == []


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP, identity", "x" * 500])
def test_a_file_is_never_unpacked(api: HttpVendor, file_vendor: FileVendor, encoding: str) -> None:
    answer_file(file_vendor, 200, gzip.compress(CONTENT), Content_Encoding=encoding)
    with pytest.raises(VendorError, match="compressed"):
        read(api, file_vendor)
    answer_file(file_vendor, Content_Encoding="identity")
    assert read(api, file_vendor) == CONTENT


def dripped(*parts: bytes, released: threading.Event) -> Iterator[bytes]:
    """These parts, and then a byte after each of many moments, until it is released."""
    yield from parts
    for _ in range(200):
        if released.wait(0.05):
            return
        yield b"."


def test_a_drip_ends_with_its_time_and_keeps_what_came(api: HttpVendor, file_vendor: FileVendor) -> None:
    """Without an error where something came, and with a reason where nothing did."""
    released = threading.Event()
    rest = {"Content-Length": str(len(CONTENT) - 5), "Content-Range": f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}"}
    file_vendor.script("GET /job-file", VendorAnswer(206, dripped(CONTENT[5:99], released=released), rest))
    parts = b"".join(api.read_file(file_vendor.vendor, VendorJob("v"), entry(), 5, DRIP_S))
    assert parts.startswith(CONTENT[5:99])
    assert len(parts) < 200
    whole = {"Content-Length": str(len(CONTENT))}
    file_vendor.script("GET /job-file", VendorAnswer(200, dripped(released=released), whole))
    with pytest.raises(VendorError, match="knows no Range: it begins out/model"):
        list(api.read_file(file_vendor.vendor, VendorJob("v"), entry(), 500, DRIP_S))
    file_vendor.script("GET /job-file", VendorAnswer(200, (b"" for _ in range(1) if released.wait(60)), whole))
    with pytest.raises(VendorError, match="sent nothing of out/model"):
        list(api.read_file(file_vendor.vendor, VendorJob("v"), entry(), 0, DRIP_S))
    released.set()


def test_no_head_of_an_answer_is_no_answer(api: HttpVendor, file_vendor: FileVendor) -> None:
    released = threading.Event()
    file_vendor.routes["GET /job-file"] = lambda _: VendorAnswer(200, b"x" if released.wait(5) else b"")
    with pytest.raises(VendorError, match="does not answer"):
        list(api.read_file(file_vendor.vendor, VendorJob("v"), entry(), 0, 0.2))
    released.set()


def test_a_reader_that_takes_its_time_loses_none_of_it_elsewhere(api: HttpVendor, file_vendor: FileVendor) -> None:
    """The time of a file bounds no exchange that its reader makes between two parts."""
    file_vendor.files["out/model.bin"] = CONTENT * 100
    parts = api.read_file(file_vendor.vendor, VendorJob("v"), entry(CONTENT * 100), 0, SECONDS)
    next(parts)
    late = HttpVendor({"GPU_VENDOR_SECRET": "s"}.get)
    with closing(late):
        assert late.input_received(file_vendor.vendor, JOB, entry()) == 0
    parts.close()  # type: ignore[attr-defined]
    with pytest.raises(StopIteration):
        next(parts)


def test_a_file_is_asked_for_with_our_token_alone_and_over_https(file_vendor: FileVendor) -> None:
    with closing(HttpVendor({}.get)) as api, pytest.raises(VendorTokenMissing, match="set GPU_VENDOR_SECRET"):
        read(api, file_vendor)
    with closing(HttpVendor({"GPU_VENDOR_SECRET": "s"}.get)) as api, pytest.raises(VendorError, match="must be https"):
        list(api.read_file(replace(file_vendor.vendor, endpoint="http://gpu.example"), VendorJob("v"), entry(), 0, 1))
    assert file_vendor.requests == []


# Whatever comes.

bounded = settings(deadline=None, max_examples=120)
numbers = st.integers(-2, len(CONTENT) + 2) | st.integers() | st.just(10**400)
json_values = (
    st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
)
ranges = st.builds("bytes {}-{}/{}".format, numbers, numbers, numbers | st.just("*")) | st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20
)


@bounded
@given(
    status=st.sampled_from([200, 201, 204, 206, 301, 400, 409, 416, 429, 503]),
    content_range=ranges,
    length=st.integers(0, len(CONTENT) + 5),
    start=st.sampled_from([0, 1, 77, len(CONTENT) - 1]),
)
def test_no_answer_about_a_file_brings_another_error(
    api: HttpVendor, shared_file_vendor: FileVendor, status: int, content_range: str, length: int, start: int
) -> None:
    """And no other bytes than those from the start on, of which there is one too many at most."""
    body = b"" if status == 204 else (CONTENT + bytes(5))[:length]
    answer_file(shared_file_vendor, status, body, Content_Range=content_range)
    parts: list[bytes] = []
    with suppress(VendorError):
        parts.extend(api.read_file(shared_file_vendor.vendor, VendorJob("v"), entry(), start, SECONDS))
    offset = start if status == 200 else 0
    assert b"".join(parts) == body[offset : offset + len(b"".join(parts))]
    assert len(b"".join(parts)) <= len(CONTENT) - start + 1


@bounded
@given(answer=st.dictionaries(st.sampled_from(["received", "complete"]), json_values) | json_values)
def test_no_answer_about_an_input_brings_another_error(
    api: HttpVendor, shared_file_vendor: FileVendor, answer: Any
) -> None:
    for route in ("GET /job-input", "PUT /job-input"):
        shared_file_vendor.script(route, VendorAnswer(200, json.dumps(answer).encode()))
    with suppress(VendorError):
        assert 0 <= api.input_received(shared_file_vendor.vendor, JOB, entry()) <= len(CONTENT)
    with suppress(VendorError):
        assert 0 <= api.send_input(shared_file_vendor.vendor, JOB, entry(), 0, [b"x"]) <= len(CONTENT)
