"""Authentication and authorization of requests. While no token is configured, only this machine itself is let in."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Security
from fastapi.requests import HTTPConnection
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from gpuagent.api.middleware import is_head
from gpuagent.api.origins import JSON, ORIGINS, is_from_own_pages, is_simple
from gpuagent.api.problems import ProblemError
from gpuagent.api.tokens import CRON, ROLES, TICK_DUE, TOKENS, Caller, Tokens
from gpuagent.core.rights import APPROVE, OPERATE, OWN, READ
from gpuagent.wire.loopback import is_loopback

LOCAL = Caller("local", frozenset().union(*ROLES.values()))
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
CHALLENGE = {"WWW-Authenticate": "Bearer"}
SUBPROTOCOL = "gpuagent"
"""A browser cannot send a header with a WebSocket: it offers this subprotocol, and `bearer.TOKEN` beside it."""

bearer = HTTPBearer(auto_error=False, description=f"a token of the variable {TOKENS}")


def authorized_caller(http: HTTPConnection, *permissions: str) -> Caller:
    """The caller, if it has one of these permissions. Raises ProblemError."""
    caller = authenticated_caller(http)
    if not caller.permissions & set(permissions):
        detail = f"{caller.name} may not do this; it takes {' or '.join(permissions)}"
        raise ProblemError(403, "forbidden", detail)
    if READ not in permissions:
        _check_change(http, caller)
    return caller


def authenticated_caller(http: HTTPConnection) -> Caller:
    """The caller, whatever it may do. Raises ProblemError."""
    tokens: Tokens = http.app.state.tokens
    if not tokens.callers:
        _check_local(http, tokens)
        return LOCAL
    token = _token(http)
    caller = tokens.caller(token) if token else None
    if caller is None:
        raise ProblemError(401, "unauthorized", "send a known token: Authorization: Bearer TOKEN", CHALLENGE)
    return caller


def _check_change(http: HTTPConnection, caller: Caller) -> None:
    """Refuse a change by HEAD, and without tokens one that a web page could ask for."""
    if is_head(http.scope):
        detail = "HEAD may change nothing, and this route does: use POST"
        raise ProblemError(405, "method_not_allowed", detail, {"Allow": "POST"})
    if caller is LOCAL:
        _check_not_simple(http)


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
    if not is_from_own_pages(http, http.app.state.origins):
        raise ProblemError(
            403,
            "not_local",
            "without tokens this server answers requests to localhost alone, and no web page but those of localhost "
            f"that {ORIGINS} names: set {TOKENS}",
        )


def _check_not_simple(http: HTTPConnection) -> None:
    """Refuse a change that a web page could ask for."""
    if is_simple(http):
        raise ProblemError(
            403,
            "simple_request",
            f"any web page could send this: POST it with Content-Type: {JSON}; a cron that can only GET needs {CRON}",
        )


@dataclass(frozen=True)
class Required:
    """A dependency of a route: the caller, who has one of these permissions."""

    permissions: tuple[str, ...]

    async def __call__(
        self, request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)] = None
    ) -> Caller:
        return authorized_caller(request, *self.permissions)


MayRead = Annotated[Caller, Depends(Required((READ,)))]
MayOperate = Annotated[Caller, Depends(Required((OPERATE, OWN)))]
"""With OWN alone, which the route is to hold to the caller's own runs: Caller.check_run()."""
MayApprove = Annotated[Caller, Depends(Required((APPROVE,)))]
MayCancel = Annotated[Caller, Depends(Required((OPERATE, OWN, APPROVE)))]
"""As MayOperate; with APPROVE any run."""
MayTickDue = Annotated[Caller, Depends(Required((TICK_DUE,)))]
