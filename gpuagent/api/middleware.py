"""What every request meets before its route: HEAD and slashes at the end of a path, and the limit of a body."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gpuagent.api.problems import ProblemError

BODY_MAX, JOB_MAX, PIECE_MAX = 64 * 1024, 1_000_000, 4_000_000
"""Bytes of a body; of one with a job and small inputs; of a piece of a file."""
_HEAD = "gpuagent.head"


def is_head(scope: Scope) -> bool:
    """Whether a request, whatever its method is by now, came as a HEAD."""
    return bool(scope.get(_HEAD)) or scope.get("method") == "HEAD"


class TrailingSlashes:
    """Middleware that takes a path with slashes at its end for the same path without them. There is no redirect, which
    would need the scheme and the host by which a client behind proxies knows this server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        await self.app({**scope, "path": path.rstrip("/") or "/"} if path.endswith("/") else scope, receive, send)


class HeadRequests:
    """Middleware that answers HEAD wherever GET is answered, with the same status and headers, and ends streams."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        sent = False

        async def receive_or_leave() -> Message:
            return {"type": "http.disconnect"} if sent else await receive()

        async def send_head(message: Message) -> None:
            nonlocal sent
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                sent = True

        await self.app({**scope, "method": "GET", _HEAD: True}, receive_or_leave, send_head)


def body_max(scope: Scope) -> int:
    """The bytes that the body of a request may have."""
    method, path = scope.get("method"), str(scope.get("path", ""))
    if method == "PUT" and path.startswith("/api/files/"):
        return PIECE_MAX
    return JOB_MAX if path == "/api/agent-start" else BODY_MAX


def check_length(scope: Scope) -> None:
    """Raises ProblemError for a body that says beforehand that it is too large."""
    length = dict(scope.get("headers", ())).get(b"content-length", b"0")
    if length.isdigit() and int(length) > body_max(scope):
        raise ProblemError(413, "content_too_large", _too_large(scope))


def _too_large(scope: Scope) -> str:
    return f"a body is at most {body_max(scope)} bytes here"


class BodyLimit:
    """Middleware that ends large bodies while they are read; the framework's own limit answers in plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, size_max = 0, body_max(scope)

        async def receive_limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > size_max:
                raise HTTPException(413, _too_large(scope))
            return message

        await self.app(scope, receive_limited if scope["type"] == "http" else receive, send)
