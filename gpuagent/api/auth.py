"""Authentication and authorization of requests. While no token is configured, only this machine itself is let in."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Security
from fastapi.requests import HTTPConnection
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from gpuagent.api.problems import ProblemError
from gpuagent.api.tokens import APPROVE, OPERATE, READ, ROLES, TICK_DUE, TOKENS, Caller, Tokens

LOCAL = Caller("local", frozenset().union(*ROLES.values()))
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
CHALLENGE = {"WWW-Authenticate": "Bearer"}
SUBPROTOCOL = "gpuagent"
"""A browser cannot send a header with a WebSocket: it offers this subprotocol, and `bearer.TOKEN` beside it."""

bearer = HTTPBearer(auto_error=False, description=f"a token of the variable {TOKENS}")


def authorized_caller(http: HTTPConnection, *permissions: str) -> Caller:
    """The caller, if it has one of these permissions. Raises ProblemError."""
    tokens: Tokens = http.app.state.tokens
    if not tokens.callers:
        _check_local(http, tokens)
        return LOCAL
    token = _token(http)
    caller = tokens.caller(token) if token else None
    if caller is None:
        raise ProblemError(401, "unauthorized", "send a known token: Authorization: Bearer TOKEN", CHALLENGE)
    if not caller.permissions & set(permissions):
        detail = f"{caller.name} may not do this; it takes {' or '.join(permissions)}"
        raise ProblemError(403, "forbidden", detail)
    return caller


def _token(http: HTTPConnection) -> str:
    scheme, _, token = http.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    if http.scope["type"] == "websocket":
        protocols: list[str] = http.scope.get("subprotocols", [])
        return next((name.removeprefix("bearer.") for name in protocols if name.startswith("bearer.")), "")
    return ""


def _check_local(http: HTTPConnection, tokens: Tokens) -> None:
    """Let in a request from and to the loopback address; a web page in the machine's browser is not the machine."""
    ends = [http.scope.get("client"), http.scope.get("server")]
    local = all(end and is_loopback(end[0]) for end in ends) and not any(name in http.headers for name in FORWARDED)
    if tokens.hosted or not local:
        raise ProblemError(
            401, "no_tokens", f"this server has no tokens, so it answers its own machine alone: set {TOKENS}", CHALLENGE
        )
    origin = http.headers.get("origin")
    hosts = [http.headers.get("host", ""), *([urlsplit(origin).netloc] if origin is not None else [])]
    if not all(is_loopback(urlsplit(f"//{host}").hostname or "") for host in hosts):
        raise ProblemError(
            403, "not_local", f"without tokens this server answers requests to and from localhost alone: set {TOKENS}"
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _require(*permissions: str) -> Callable[..., Awaitable[Caller]]:
    async def caller(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)] = None
    ) -> Caller:
        return authorized_caller(request, *permissions)

    return caller


MayRead = Annotated[Caller, Depends(_require(READ))]
MayOperate = Annotated[Caller, Depends(_require(OPERATE))]
MayApprove = Annotated[Caller, Depends(_require(APPROVE))]
MayCancel = Annotated[Caller, Depends(_require(OPERATE, APPROVE))]
MayTickDue = Annotated[Caller, Depends(_require(TICK_DUE))]
