"""The ASGI application, which connects to nothing before the first request that needs it."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gpuagent.alerts.delivery import read_links
from gpuagent.api import guarded_route, problems
from gpuagent.api.connections import Connections
from gpuagent.api.followers import Followers
from gpuagent.api.middleware import BodyLimit, HeadRequests, TrailingSlashes
from gpuagent.api.origins import read_origins, with_cors
from gpuagent.api.routes import (
    approval,
    docs,
    due,
    events,
    files,
    health,
    inbox,
    reports,
    runs,
    timeline,
    uploads,
    vendors,
)
from gpuagent.api.tokens import read_tokens
from gpuagent.settings import Environment

THREADS = 64
"""Requests that may be at work at once: the core is synchronous, so each has a thread."""


def create_app(
    environ: Mapping[str, str] | None = None,
    connections: Connections | None = None,
    followers: Followers | None = None,
) -> FastAPI:
    """The application, configured by these variables or by the environment.

    Raises ConfigError for invalid tokens, origins and links.
    """
    environ = os.environ if environ is None else environ
    app = FastAPI(
        title="gpuagent",
        version="1",
        description="Start and drive runs that buy GPU work within a budget and pay for it with x402.",
        docs_url=None,  # it would load scripts from elsewhere: routes/docs.py does not
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.connections = connections or Connections(environ)
    app.state.tokens = read_tokens(environ)
    app.state.origins = read_origins(environ)
    app.state.links = read_links(Environment(environ))
    app.state.followers = followers or Followers()
    for module in (health, docs, runs, timeline, inbox, approval, files, uploads, events, vendors, reports, due):
        app.router.routes.extend(module.routes.routes)  # not include_router(), so that app.routes names each
    problems.install(app)
    guarded_route.install(app)
    for middleware in (BodyLimit, HeadRequests, TrailingSlashes):  # the last is met first
        app.add_middleware(middleware)
    if app.state.origins:
        app.add_middleware(with_cors, app.state.origins)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


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
