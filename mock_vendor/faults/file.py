"""Faults of GET /job-file."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

from starlette.responses import Response, StreamingResponse

from mock_vendor.faults.odd import DRIP_S, MEGABYTE
from mock_vendor.faults.scene import Scene
from mock_vendor.faults.table import Hook, fault
from seller.api.answers import FileAnswer

ENDLESS_MEGABYTES = 100_000
PAGE = b"<!doctype html><title>502 Bad Gateway</title><script>alert(document.domain)</script>"
BINARY = "application/octet-stream"


@fault("file", Hook.FILE)
def altered_content(file: FileAnswer, _: Scene) -> FileAnswer:
    """Files come with their first byte changed."""

    def altered() -> Iterator[bytes]:
        for number, piece in enumerate(file.content):
            yield piece if number else bytes([piece[0] ^ 1]) + piece[1:]

    return replace(file, content=altered())


@fault("file", Hook.FILE)
def endless_file(_: FileAnswer, __: Scene) -> Response:
    """Files have no end: zeros, as long as the client reads."""
    block = bytes(MEGABYTE)
    return StreamingResponse((block for _ in range(ENDLESS_MEGABYTES)), media_type=BINARY)


@fault("file", Hook.FILE)
def slow_file(file: FileAnswer, _: Scene) -> Response:
    """Files come one byte at a time, with a pause after each."""

    async def drops() -> AsyncIterator[bytes]:
        for piece in file.content:
            for position in range(len(piece)):
                yield piece[position : position + 1]
                await asyncio.sleep(DRIP_S)

    return StreamingResponse(drops(), media_type=BINARY)


@fault("file", Hook.FILE)
def cut_file(file: FileAnswer, _: Scene) -> Response:
    """Files end after half of their bytes, with a length that says that this is all."""
    half = b"".join(file.content)[: (file.entry.bytes - (file.start or 0)) // 2]
    return Response(half, 200 if file.start is None else 206, media_type=BINARY)


@fault("file", Hook.FILE)
def html_file(_: FileAnswer, __: Scene) -> Response:
    """Instead of a file comes a page of HTML, as from a proxy in between, with status 200."""
    return Response(PAGE, media_type="text/html")


@fault("file", Hook.FILE)
def range_ignored(file: FileAnswer, _: Scene) -> FileAnswer | Response:
    """Whatever range is asked for, the answer is 206 with the right range in its head and zeros as content."""
    if file.start is None:
        return file
    return replace(file, content=iter([bytes(file.entry.bytes - file.start)])).to_response()


@fault("file", Hook.FILE)
def file_gone(file: FileAnswer, _: Scene) -> Response:
    """No file is there, whatever was listed."""
    file.content.close()  # type: ignore[attr-defined]  # a generator, which holds the file open
    return Response(b'{"error": "file_unknown", "message": "no such file"}', 404, media_type="application/json")


@fault("file", Hook.SOURCE)
def foreign_file(job_ids: list[str], _: Scene) -> list[str]:
    """Files are those of another job of this vendor, where there is one."""
    return [*job_ids[1:], job_ids[0]]
