"""The tools over HTTP, behind the tokens of REST: one POST is one request, and no session is kept between two."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI
from fastapi.requests import HTTPConnection
from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gpuagent.api import guarded_route, problems
from gpuagent.api.app import THREADS
from gpuagent.api.auth import authorized_caller
from gpuagent.api.followers import Followers
from gpuagent.api.middleware import JOB_MAX
from gpuagent.api.origins import read_origins
from gpuagent.api.tokens import read_tokens
from gpuagent.core.rights import OPERATE, OWN
from gpuagent.mcp.host import CALLER, Host
from gpuagent.mcp.server import mcp_server

PATH = "/mcp"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def mcp_app(host: Host, names: Sequence[str] = ()) -> FastAPI:
    """The application. names: by which clients call this server, beside loopback names: HOST or HOST:PORT.

    Raises ConfigError for invalid tokens and origins.
    """
    server, environ = mcp_server(host), host.connections.environ
    origins = read_origins(environ)
    tools = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=JOB_MAX,
        transport_security=TransportSecuritySettings(
            allowed_hosts=[*_netlocs(LOOPBACK), *_netlocs(names)],
            allowed_origins=[*(f"http://{name}:*" for name in LOOPBACK), *origins],
        ),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        async with server.session_manager.run():
            yield
        await anyio.to_thread.run_sync(host.connections.close)

    app = FastAPI(title="gpuagent", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.tokens, app.state.origins = read_tokens(environ), origins
    app.state.followers = Followers()  # none: the server dismisses them when it ends
    app.router.routes.append(Route(PATH, endpoint=_Guarded(tools), methods=["POST"]))
    problems.install(app)
    guarded_route.install(app)
    return app


class _Guarded:
    """The tools for callers who may start and tick runs: to look alone, REST is enough."""

    def __init__(self, tools: ASGIApp) -> None:
        self._tools = tools

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = authorized_caller(HTTPConnection(scope), OPERATE, OWN)
        await self._tools({**scope, CALLER: caller}, receive, send)


def _netlocs(names: Sequence[str]) -> list[str]:
    """The values of Host: with any port, unless the name has one."""
    return [netloc for name in names for netloc in ((name,) if _has_port(name) else (name, f"{name}:*"))]


def _has_port(name: str) -> bool:
    return name.rpartition(":")[2].isdecimal() and not name.endswith("]")
