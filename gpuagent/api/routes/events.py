"""Live events of a run, as Server-Sent Events and over a WebSocket: the same messages with the same ids."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response, WebSocket, WebSocketDisconnect
from starlette.types import Receive, Scope, Send

from gpuagent.api import problems
from gpuagent.api.auth import SUBPROTOCOL, MayRead
from gpuagent.api.connections import Connected
from gpuagent.api.followers import Followers
from gpuagent.api.guarded_route import GuardedRoute, MayFollow
from gpuagent.api.messages import OVER, LiveMessage, messages
from gpuagent.api.problems import ProblemError
from gpuagent.api.requests import RUN_ID

RETRY_MS = 1000
IDLE_EVERY = 15
"""One idle message of so many is sent, so that proxies keep the connection open."""
TRY_AGAIN = 1013

routes = APIRouter(prefix="/api/runs/{runId}", tags=["live"], route_class=GuardedRoute)
ThisRun = Annotated[str, Path(alias="runId", max_length=64, description="the run's id", examples=[RUN_ID])]
After = Annotated[str, Query(max_length=2_048, description="the id of the last message that the client has")]
STREAM = {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "messages until the end"}
RUN_OVER = {"description": "the run is over, and the client has its last message"}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: STREAM,
    204: RUN_OVER,
    **problems.openapi_responses(401, 403, 404, 422, 503),
}


@routes.get("/events", response_class=Response, responses=RESPONSES)
async def events(
    request: Request,
    run_id: ThisRun,
    _: MayRead,
    connections: Connected,
    after: After = "",
    last_event_id: Annotated[str, Header(alias="Last-Event-ID", max_length=2_048)] = "",
) -> Response:
    """Send what happens to a run as it happens, beginning with the whole run or after the last message."""
    last = last_event_id or after
    if last.endswith(OVER):
        return Response(status_code=204)  # keeps an EventSource from coming back
    stack = AsyncExitStack()
    followers: Followers = request.app.state.followers
    try:
        stream = await stack.enter_async_context(followers.follow(partial(messages, connections, run_id, last)))
        first = await anext(stream)
    except BaseException:
        await stack.aclose()
        raise
    return _EventStream(first, stream, stack, followers.slow_s)


@routes.websocket("/ws")
async def socket(ws: WebSocket, run_id: ThisRun, _: MayFollow, connections: Connected, after: After = "") -> None:
    """Send the same messages over a WebSocket: JSON texts {id, event, data}. Come back with ?after=ID."""
    followers: Followers = ws.app.state.followers
    async with followers.follow(partial(messages, connections, run_id, after.removesuffix(OVER))) as stream:
        first = await anext(stream)
        await ws.accept(SUBPROTOCOL if SUBPROTOCOL in ws.scope.get("subprotocols", []) else None)
        await _until_disconnect(_send_texts(ws, first, stream, followers.slow_s), partial(_socket_disconnect, ws))


class _EventStream(Response):
    """A response of Server-Sent Events that ends with the run, with a problem or with the client."""

    media_type = "text/event-stream"

    def __init__(
        self, first: LiveMessage, stream: AsyncIterator[LiveMessage], stack: AsyncExitStack, slow_s: float
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._first, self._stream, self._stack, self._slow_s = first, stream, stack, slow_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        async with self._stack:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _until_disconnect(self._send_events(send), partial(_disconnect, receive))

    async def _send_events(self, send: Send) -> None:
        async def put(body: bytes, more: bool = True) -> None:
            async with asyncio.timeout(self._slow_s):
                await send({"type": "http.response.body", "body": body, "more_body": more})

        try:
            await put(f"retry: {RETRY_MS}\n\n".encode() + self._first.as_sse())
            async for message in _without_most_idle(self._stream):
                await put(message.as_sse())
            await put(b"", more=False)
        except ProblemError as problem:
            await put(LiveMessage("failed", data=problems.document(problem, "")).as_sse(), more=False)
        except TimeoutError:
            return  # the client does not read, so no reason can reach it


async def _send_texts(ws: WebSocket, first: LiveMessage, stream: AsyncIterator[LiveMessage], slow_s: float) -> None:
    try:
        async with asyncio.timeout(slow_s):
            await ws.send_text(first.as_text())
        async for message in _without_most_idle(stream):
            async with asyncio.timeout(slow_s):
                await ws.send_text(message.as_text())
        await ws.close(1000, "the run is over")
    except TimeoutError:
        await _close(ws, ProblemError(408, "too_slow", "you took no message for too long: come back with your last id"))
    except ProblemError as problem:
        await _close(ws, problem)


async def _close(ws: WebSocket, problem: ProblemError) -> None:
    try:
        async with asyncio.timeout(1):
            await ws.close(TRY_AGAIN, problem.code)
    except TimeoutError:
        return  # the client does not read


async def _without_most_idle(stream: AsyncIterator[LiveMessage]) -> AsyncIterator[LiveMessage]:
    idle = 0
    async for message in stream:
        idle = 0 if message.id else idle + 1
        if message.id or idle % IDLE_EVERY == 0:
            yield message


async def _until_disconnect(sending: Awaitable[None], leaving: Callable[[], Awaitable[None]]) -> None:
    """Send until all is sent or the client has gone, whichever is first."""
    tasks = [asyncio.ensure_future(sending), asyncio.ensure_future(leaving())]
    try:
        finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in finished:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _socket_disconnect(ws: WebSocket) -> None:
    """Wait until the client has gone; what it sends is ignored."""
    try:
        while True:
            await ws.receive_text()
    except (WebSocketDisconnect, KeyError):
        return
