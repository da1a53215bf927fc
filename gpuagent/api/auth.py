"""Lets a request in, or says why not. Without any token configured, only this machine itself is let in."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Security
from fastapi.requests import HTTPConnection
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from gpuagent.api.problems import Told
from gpuagent.api.tokens import APPROVE, OPERATE, READ, ROLES, TICK_DUE, TOKENS, Caller, Tokens

LOCAL = Caller("local", frozenset().union(*ROLES.values()))
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
CHALLENGE = {"WWW-Authenticate": "Bearer"}
SUBPROTOCOL = "gpuagent"
"""A browser cannot send a header with a WebSocket: it offers this subprotocol, and `bearer.TOKEN` beside it."""

bearer = HTTPBearer(auto_error=False, description=f"a token of {TOKENS}")


def permitted(http: HTTPConnection, *any_of: str) -> Caller:
    """The caller, if it may do one of these. Raises Told."""
    tokens: Tokens = http.app.state.tokens
    if not tokens.any:
        _check_local(http, tokens)
        return LOCAL
    given = _token(http)
    caller = tokens.caller(given) if given else None
    if caller is None:
        raise Told(401, "unauthorized", "send a known token: Authorization: Bearer TOKEN", CHALLENGE)
    if not caller.may & set(any_of):
        raise Told(403, "forbidden", f"{caller.name} may not do this; it takes {' or '.join(any_of)}")
    return caller


def _token(http: HTTPConnection) -> str:
    scheme, _, token = http.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    if http.scope["type"] == "websocket":
        offered: list[str] = http.scope.get("subprotocols", [])
        return next((one.removeprefix("bearer.") for one in offered if one.startswith("bearer.")), "")
    return ""


def _check_local(http: HTTPConnection, tokens: Tokens) -> None:
    """No token is needed on a machine's own loopback address; a web page in its browser is not the machine."""
    ends = [http.scope.get("client"), http.scope.get("server")]
    local = all(end and is_loopback(end[0]) for end in ends) and not any(name in http.headers for name in FORWARDED)
    if tokens.hosted or not local:
        raise Told(
            401, "no_tokens", f"this server has no tokens, so it answers its own machine alone: set {TOKENS}", CHALLENGE
        )
    origin = http.headers.get("origin")
    asked = [http.headers.get("host", ""), *([urlsplit(origin).netloc] if origin is not None else [])]
    if not all(is_loopback(urlsplit(f"//{host}").hostname or "") for host in asked):
        raise Told(403, "not_local", f"without tokens it is asked for as localhost and from there: set {TOKENS}")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _needs(*any_of: str) -> Callable[..., Awaitable[Caller]]:
    async def caller(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)] = None
    ) -> Caller:
        return permitted(request, *any_of)

    return caller


MayRead = Annotated[Caller, Depends(_needs(READ))]
MayOperate = Annotated[Caller, Depends(_needs(OPERATE))]
MayApprove = Annotated[Caller, Depends(_needs(APPROVE))]
MayCancel = Annotated[Caller, Depends(_needs(OPERATE, APPROVE))]
MayTickDue = Annotated[Caller, Depends(_needs(TICK_DUE))]
