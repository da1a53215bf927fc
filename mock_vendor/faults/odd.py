"""Answers that no well-behaved server gives."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from functools import cache

import anyio
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

CUT = "mock_vendor.cut"
DRIP_S = 0.2
DRIP_MAX_S = 60
MEGABYTE = 1_000_000
FLOOD_MEGABYTES = 200
BOMB_MEGABYTES = 60


class Late(Response):
    """An answer that sends its bytes after `delay_s`, unless the client gives up before."""

    def __init__(self, answer: Response, delay_s: float) -> None:
        super().__init__(answer.body, answer.status_code)
        self.raw_headers = answer.raw_headers
        self._delay_s = delay_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with anyio.move_on_after(self._delay_s):
            await _until_gone(receive)
            return
        await super().__call__(scope, receive, send)


class Cut(Response):
    """An answer that closes the connection without a byte."""

    async def __call__(self, scope: Scope, receive: Receive, _: Send) -> None:
        scope[CUT]()
        await _until_gone(receive)


class Cuttable:
    """An ASGI wrapper that lets an answer cut its connection: ASGI has no way to say so, uvicorn has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[CUT] = send.__self__.transport.abort  # type: ignore[attr-defined]
        await self._app(scope, receive, send)


def drip(content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """One byte at a time; when they are through, spaces, longer than a client should wait."""

    async def bytes_one_by_one() -> AsyncIterator[bytes]:
        for position in range(len(content)):
            yield content[position : position + 1]
            await asyncio.sleep(DRIP_S)
        for _ in range(round(DRIP_MAX_S / DRIP_S)):
            yield b" "
            await asyncio.sleep(DRIP_S)

    return StreamingResponse(bytes_one_by_one(), status, headers, "application/json")


def flood(status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON object of 200 MB, made as it is sent."""
    block = b"x" * MEGABYTE

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"vendorJobTemplateId": "'
        for _ in range(FLOOD_MEGABYTES):
            yield block
        yield b'"}'

    return StreamingResponse(pieces(), status, headers, "application/json")


@cache
def bomb() -> bytes:
    """60 MB of spaces, gzipped to less than a buyer may think is too large."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(b" " * MEGABYTE) for _ in range(BOMB_MEGABYTES)) + packer.flush()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
