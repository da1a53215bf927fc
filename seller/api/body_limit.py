"""A bound on what is read of a request's body: the whole of it would be held in memory."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 64 * 2**20
"""Of an order with its inline inputs. Larger inputs are sent by PUT /job-input, whose body streams."""


PARTS_MAX = 1_000_000
"""Values in a body: each takes some hundred bytes of memory, and time, where it takes two in the body."""


class BodyLimit:
    """An ASGI wrapper that answers 413 to a body that is larger than `bytes_max`, or has too many parts.

    But for PUT, which is read piece by piece.
    """

    def __init__(self, app: ASGIApp, bytes_max: int = BODY_BYTES) -> None:
        self._app, self._bytes_max = app, bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = parts = 0

        async def bounded() -> Message:
            nonlocal size, parts
            message = await receive()
            piece = message.get("body", b"")
            size += len(piece)
            parts += sum(map(piece.count, (b",", b"[", b"{")))
            if parts > PARTS_MAX:
                raise HTTPException(413, f"a body may have {PARTS_MAX} values")
            if size > self._bytes_max:
                raise HTTPException(413, f"a body may have {self._bytes_max} bytes: send larger inputs by PUT")
            return message

        streams = scope["type"] != "http" or scope["method"] == "PUT"
        await self._app(scope, receive if streams else bounded, send)
