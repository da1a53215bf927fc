"""Live events of a run, as Server-Sent Events and over a WebSocket: the same messages with the same ids."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gpuagent.api import problems
from gpuagent.api.auth import SUBPROTOCOL, MayRead, permitted
from gpuagent.api.connections import Connected
from gpuagent.api.followers import Followers
from gpuagent.api.messages import OVER, Message, messages
from gpuagent.api.problems import Told
from gpuagent.api.schemas import RUN_ID
from gpuagent.api.tokens import READ

RETRY_MS = 1000
IDLE_EVERY = 15
"""Of so many idle messages one is sent, for what is between us and the client."""
POLICY_VIOLATION, TRY_AGAIN = 1008, 1013

routes = APIRouter(prefix="/api/runs/{runId}", tags=["live"])
ThisRun = Annotated[str, Path(alias="runId", max_length=64, examples=[RUN_ID])]
After = Annotated[str, Query(max_length=2_048, description="the id of the last message seen")]
STREAM = {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "messages until the end"}
ENDED = {"description": "the run is over, and its last message has been seen"}
RESPONSES: dict[int | str, dict[str, Any]] = {200: STREAM, 204: ENDED, **problems.documented(401, 403, 404, 422, 503)}


@routes.get("/events", response_class=Response, responses=RESPONSES)
async def events(
    request: Request,
    run_id: ThisRun,
    _: MayRead,
    connections: Connected,
    after: After = "",
    last_event_id: Annotated[str, Header(alias="Last-Event-ID", max_length=2_048)] = "",
) -> Response:
    """What happens to a run, as it happens. Begins with the whole run, or after the last message seen."""
    last = last_event_id or after
    if last.endswith(OVER):
        return Response(status_code=204)  # tells an EventSource not to come back
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
async def socket(ws: WebSocket, run_id: ThisRun, connections: Connected, after: After = "") -> None:
    """The same over a WebSocket: JSON texts {id, event, data}. Come back with ?after=ID."""
    followers: Followers = ws.app.state.followers
    try:
        permitted(ws, READ)
        async with followers.follow(partial(messages, connections, run_id, after.removesuffix(OVER))) as stream:
            first = await anext(stream)
            await ws.accept(SUBPROTOCOL if SUBPROTOCOL in ws.scope.get("subprotocols", []) else None)
            await _until_left(_talk(ws, first, stream, followers.slow_s), partial(_left_socket, ws))
    except Told as problem:
        await _deny(ws, problem)


class _EventStream(Response):
    media_type = "text/event-stream"

    def __init__(self, first: Message, stream: AsyncIterator[Message], stack: AsyncExitStack, slow_s: float) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._first, self._stream, self._stack, self._slow_s = first, stream, stack, slow_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        async with self._stack:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _until_left(self._sent(send), partial(_left, receive))

    async def _sent(self, send: Send) -> None:
        async def put(body: bytes, more: bool = True) -> None:
            async with asyncio.timeout(self._slow_s):
                await send({"type": "http.response.body", "body": body, "more_body": more})

        try:
            await put(f"retry: {RETRY_MS}\n\n".encode() + self._first.as_sse())
            async for message in _some_idle(self._stream):
                await put(message.as_sse())
            await put(b"", more=False)
        except Told as problem:
            await put(Message("failed", data=problems.body(problem, "")).as_sse(), more=False)
        except TimeoutError:
            return  # it does not read: there is no telling it


async def _talk(ws: WebSocket, first: Message, stream: AsyncIterator[Message], slow_s: float) -> None:
    try:
        async with asyncio.timeout(slow_s):
            await ws.send_text(first.as_text())
        async for message in _some_idle(stream):
            async with asyncio.timeout(slow_s):
                await ws.send_text(message.as_text())
        await ws.close(1000, "the run is over")
    except TimeoutError:
        await _close(ws, Told(408, "too_slow", "you took no message for too long: come back with your last id"))
    except Told as problem:
        await _close(ws, problem)


async def _close(ws: WebSocket, problem: Told) -> None:
    try:
        async with asyncio.timeout(1):
            await ws.close(TRY_AGAIN, problem.code)
    except TimeoutError:
        return  # it does not read


async def _deny(ws: WebSocket, problem: Told) -> None:
    """Before the WebSocket is open: with the problem document, where the server can send one."""
    if "websocket.http.response" in ws.scope.get("extensions", {}):
        content = problems.body(problem, ws.url.path, ws.path_params.get("runId", ""))
        response = JSONResponse(content, problem.status, problem.headers, problems.MEDIA_TYPE)
        await ws.send_denial_response(response)
    else:
        await ws.close(POLICY_VIOLATION, problem.code)


async def _some_idle(stream: AsyncIterator[Message]) -> AsyncIterator[Message]:
    idle = 0
    async for message in stream:
        idle = 0 if message.id else idle + 1
        if message.id or idle % IDLE_EVERY == 0:
            yield message


async def _until_left(sending: Awaitable[None], leaving: Callable[[], Awaitable[None]]) -> None:
    """Whichever is first: all is sent, or the client has gone."""
    tasks = [asyncio.ensure_future(sending), asyncio.ensure_future(leaving())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _left_socket(ws: WebSocket) -> None:
    """What a client says is not listened to."""
    try:
        while True:
            await ws.receive_text()
    except (WebSocketDisconnect, KeyError):
        return
