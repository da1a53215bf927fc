"""The ASGI application, which connects to nothing before the first request that needs it."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gpuagent.api import problems
from gpuagent.api.connections import Connections
from gpuagent.api.followers import Followers
from gpuagent.api.routes import due, events, health, reports, runs, vendors
from gpuagent.api.tokens import read_tokens

BODY_MAX = 64 * 1024
TOO_LARGE = f"a body is at most {BODY_MAX} bytes"
THREADS = 64
"""Requests that may be at work at once: the core is synchronous, so each has a thread."""


def create_app(
    environ: Mapping[str, str] | None = None,
    connections: Connections | None = None,
    followers: Followers | None = None,
) -> FastAPI:
    """The application, configured by these variables or by the environment. Raises ConfigError for invalid tokens."""
    environ = os.environ if environ is None else environ
    app = FastAPI(
        title="gpuagent",
        version="1",
        description="Start and drive runs that buy GPU work within a budget and pay for it with x402.",
        docs_url=None,  # it would load scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.connections = connections or Connections(environ)
    app.state.tokens = read_tokens(environ)
    app.state.followers = followers or Followers()
    for module in (health, runs, events, vendors, reports, due):
        app.router.routes.extend(module.routes.routes)  # not include_router(), so that app.routes names each
    problems.install(app)
    app.add_middleware(_BodyLimit)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


class _BodyLimit:
    """Middleware that refuses large bodies with a problem document; the framework's own limit answers in plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def receive_limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > BODY_MAX:
                raise HTTPException(413, TOO_LARGE)
            return message

        length = dict(scope.get("headers", ())).get(b"content-length", b"0")
        if scope["type"] == "http" and length.isdigit() and int(length) > BODY_MAX:
            problem = problems.ProblemError(413, "content_too_large", TOO_LARGE)
            await problems.response(problem, Request(scope))(scope, receive, send)
        else:
            await self.app(scope, receive_limited if scope["type"] == "http" else receive, send)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield
    await anyio.to_thread.run_sync(app.state.connections.close)


def _openapi(app: FastAPI) -> dict[str, object]:
    """The OpenAPI document, with our problem documents in place of the framework's own errors."""
    if not app.openapi_schema:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            openapi_version=app.openapi_version,
            routes=app.routes,
        )
        schemas = schema["components"]["schemas"]
        schemas["Problem"] = problems.Problem.model_json_schema(by_alias=True)
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        app.openapi_schema = schema
    return app.openapi_schema
