"""Answers that no well-behaved server gives."""

import asyncio
from collections.abc import AsyncIterator

import anyio
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

CUT = "mock_vendor.cut"
DRIP_S = 0.2


class Late(Response):
    """Sends its bytes after `delay_s`, unless the client gives up before."""

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
    """Closes the connection without a word."""

    async def __call__(self, scope: Scope, receive: Receive, _: Send) -> None:
        scope[CUT]()
        await _until_gone(receive)


class Cuttable:
    """ASGI wrapper that lets an answer cut its connection: ASGI has no word for it, uvicorn has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[CUT] = send.__self__.transport.abort  # type: ignore[attr-defined]
        await self._app(scope, receive, send)


def drip(content: bytes) -> Response:
    """One byte at a time; when they are through, spaces, for ever."""

    async def bytes_one_by_one() -> AsyncIterator[bytes]:
        for position in range(len(content)):
            yield content[position : position + 1]
            await asyncio.sleep(DRIP_S)
        while True:
            yield b" "
            await asyncio.sleep(DRIP_S)

    return StreamingResponse(bytes_one_by_one(), media_type="application/json")


def flood(head: bytes, block: bytes, blocks: int, tail: bytes) -> Response:
    """A body too big to hold, made as it is sent."""

    async def pieces() -> AsyncIterator[bytes]:
        yield head
        for _ in range(blocks):
            yield block
        yield tail

    return StreamingResponse(pieces(), media_type="application/json")


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
