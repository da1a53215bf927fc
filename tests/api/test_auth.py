"""Every route there is, against no token, a wrong one and each role. A route that is not in the table fails."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.routing import Route, WebSocketRoute
from typer.testing import CliRunner
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gpuagent.api.app import create_app
from gpuagent.api.auth import authorized_caller
from gpuagent.api.problems import ProblemError
from gpuagent.api.tokens import read_tokens
from gpuagent.cli import app as command
from gpuagent.errors import ConfigError
from tests.support.rest_server import APPROVE, CRON, OPERATE, READ, TOKENS, Served, serving
from tests.support.world import World

ID = "66a1f2c9d53a3f9ef1f0c123"
PUBLIC, READERS, OPERATORS, APPROVERS, CANCELLERS, TICKERS = range(6)
ALLOWED = {
    PUBLIC: {"", "wrong", READ, OPERATE, APPROVE, CRON},
    READERS: {READ, OPERATE, APPROVE},
    OPERATORS: {OPERATE},
    APPROVERS: {APPROVE},
    CANCELLERS: {OPERATE, APPROVE},
    TICKERS: {OPERATE, CRON},
}
TABLE = {
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("HEAD", "/openapi.json"): PUBLIC,
    ("POST", "/api/agent-start"): OPERATORS,
    ("POST", "/api/agent-tick"): OPERATORS,
    ("POST", "/api/agent-step"): OPERATORS,
    ("GET", "/api/agent-status"): READERS,
    ("GET", "/api/runs"): READERS,
    ("POST", "/api/runs/{runId}/approve"): APPROVERS,
    ("POST", "/api/runs/{runId}/reject"): APPROVERS,
    ("POST", "/api/runs/{runId}/cancel"): CANCELLERS,
    ("GET", "/api/runs/{runId}/events"): READERS,
    ("WS", "/api/runs/{runId}/ws"): READERS,
    ("GET", "/api/vendors"): READERS,
    ("GET", "/api/reports/spend"): READERS,
    ("GET", "/api/agent-tick-due"): TICKERS,
    ("POST", "/api/agent-tick-due"): TICKERS,
}


def declared(routes: Any) -> Iterator[tuple[str, str]]:
    """Every route of an application, by method."""
    for route in routes:
        if isinstance(route, WebSocketRoute):
            yield ("WS", route.path)
        else:
            assert isinstance(route, Route)
            yield from ((method, route.path) for method in route.methods or ())


@pytest.fixture
def guarded(world: World) -> Iterator[Served]:
    with serving(world, TOKENS) as running:
        yield running


def test_the_table_is_whole(guarded: Served) -> None:
    assert set(declared(guarded.app.routes)) == set(TABLE)


@pytest.mark.parametrize("token", ["", "wrong", READ, OPERATE, APPROVE, CRON])
def test_every_route(guarded: Served, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for (method, path), group in TABLE.items():
        status = _status(guarded, method, path.replace("{runId}", ID), headers)
        if token in ALLOWED[group]:
            assert status not in (401, 403), (method, path, status)
        else:
            assert status == (403 if token in (READ, OPERATE, APPROVE, CRON) else 401), (method, path, status)


def _status(guarded: Served, method: str, path: str, headers: dict[str, str]) -> int:
    if method == "WS":
        with pytest.raises(InvalidStatus) as refused:
            connect(guarded.url.replace("http", "ws") + path, additional_headers=headers)
        return int(refused.value.response.status_code)  # an unknown run's too
    body = {"runId": ID, "userId": "u", "goal": "g", "budgetTotal": 1, "amount": 1, "why": "w"}
    return guarded.http.request(method, path, headers=headers, json=body if method == "POST" else None).status_code


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer x y", f"bearer{READ}", "Bearer \xe9\xff"])
def test_what_is_no_bearer_token(guarded: Served, header: str) -> None:
    reply = guarded.http.get("/api/runs", headers={"Authorization": header.encode("latin-1")})
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"


def test_a_browsers_websocket_brings_its_token_as_a_subprotocol(guarded: Served) -> None:
    run_id = guarded.post("/api/agent-start", {"userId": "u", "goal": "g", "budgetTotal": 5},
                          Authorization=f"Bearer {OPERATE}")["_id"]  # fmt: skip
    url = f"{guarded.url.replace('http', 'ws')}/api/runs/{run_id}/ws"
    with connect(url, subprotocols=["gpuagent", f"bearer.{READ}"]) as ws:  # type: ignore[list-item]
        assert ws.subprotocol == "gpuagent"
        assert '"snapshot"' in str(ws.recv(5))


def _scope(client: str = "127.0.0.1", server: str = "127.0.0.1", **headers: str) -> Any:
    from starlette.requests import Request

    all_headers = {"host": "localhost:3000", **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in all_headers.items()]
    ends = {"client": (client, 5), "server": (server, 3000)}
    return Request({"type": "http", "headers": raw, "app": create_app({}), "path": "/", "query_string": b"", **ends})


def test_without_tokens_only_the_machine_itself_is_let_in() -> None:
    assert authorized_caller(_scope(), "approve").name == "local"
    assert authorized_caller(_scope("::1", "::1", host="[::1]:3000"), "read").name == "local"
    for request in (
        _scope(client="10.0.0.7"),
        _scope(server="10.0.0.1"),
        _scope(x_forwarded_for="10.0.0.7"),
        _scope(forwarded="for=10.0.0.7"),
        _scope(host="evil.example"),  # a name that was made to mean this machine
        _scope(origin="https://evil.example"),  # a web page in its browser
        _scope(origin="null"),
    ):
        with pytest.raises(ProblemError) as refused:
            authorized_caller(request, "read")
        assert refused.value.status in (401, 403)


def test_on_a_platform_nobody_is_local() -> None:
    request = _scope()
    request.scope["app"] = create_app({"VERCEL": "1"})
    with pytest.raises(ProblemError, match="no tokens"):
        authorized_caller(request, "read")


def test_a_servers_address_that_others_reach_needs_tokens() -> None:
    result = CliRunner().invoke(command, ["serve", "--host", "0.0.0.0", "--port", "0"], env={"GPUAGENT_API_TOKENS": ""})
    assert result.exit_code == 2
    assert "GPUAGENT_API_TOKENS" in result.output


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ("ada", "entry 1 is not"),
        (f"ada=king:{'x' * 20}", "role 'king'"),
        ("ada=read:short", "too short"),
        (f"{'x' * 20}=read:ada", "entry 1 is too short"),
        (f"ada={'x' * 20}:read", r"role \(20 characters, not shown\)"),
        (f"ada=read:{'x' * 20},bob=read:{'x' * 20}", "token of another"),
    ],
)
def test_tokens_that_cannot_be_meant(tokens: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        read_tokens({"GPUAGENT_API_TOKENS": tokens})
    assert "x" * 20 not in str(raised.value)


def test_a_cron_secret_that_is_short_or_somebodys() -> None:
    with pytest.raises(ConfigError, match="too short"):
        read_tokens({"CRON_SECRET": "x"})
    with pytest.raises(ConfigError, match="write another"):
        read_tokens({"GPUAGENT_API_TOKENS": f"a=read:{'x' * 20}", "CRON_SECRET": "x" * 20})


def test_a_cron_secret_alone_opens_nothing_else(world: World) -> None:
    with serving(world, {"CRON_SECRET": CRON}) as running:
        assert httpx.get(f"{running.url}/api/runs").status_code == 401
        bearer = {"Authorization": f"Bearer {CRON}"}
        assert httpx.get(f"{running.url}/api/runs", headers=bearer).status_code == 403
        assert httpx.get(f"{running.url}/api/agent-tick-due", headers=bearer).status_code == 200
