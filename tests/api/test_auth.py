"""Every route there is, against no token, a wrong one and each role. A route that is not in the table fails."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from typer.testing import CliRunner
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gpuagent.api.app import create_app
from gpuagent.api.auth import authorized_caller
from gpuagent.api.origins import read_origins
from gpuagent.api.problems import ProblemError
from gpuagent.api.tokens import read_tokens
from gpuagent.cli import app as command
from gpuagent.core.text import shown
from gpuagent.errors import ConfigError
from tests.support.foreign_page import declared
from tests.support.rest_server import APPROVE, CRON, OPERATE, OWN, READ, TOKENS, Served, serving
from tests.support.world import World

ID = "66a1f2c9d53a3f9ef1f0c123"
PUBLIC, READERS, OPERATORS, APPROVERS, CANCELLERS, TICKERS, BY_LINK = range(7)
ALLOWED = {
    PUBLIC: {"", "wrong", READ, OPERATE, OWN, APPROVE, CRON},
    READERS: {READ, OPERATE, OWN, APPROVE},
    OPERATORS: {OPERATE, OWN},
    APPROVERS: {APPROVE},
    CANCELLERS: {OPERATE, OWN, APPROVE},
    TICKERS: {OPERATE, CRON},
    BY_LINK: set(),  # of a message: tests/api/test_approval.py
}
TABLE = {
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/docs"): PUBLIC,
    ("HEAD", "/openapi.json"): PUBLIC,
    ("POST", "/api/agent-start"): OPERATORS,
    ("PUT", "/api/files/{sha256}"): OPERATORS,
    ("POST", "/api/agent-tick"): OPERATORS,
    ("POST", "/api/agent-step"): OPERATORS,
    ("GET", "/api/agent-status"): READERS,
    ("GET", "/api/runs"): READERS,
    ("GET", "/api/runs/{runId}/timeline"): READERS,
    ("GET", "/api/runs/{runId}/timeline/{entryId}"): READERS,
    ("GET", "/api/inbox"): READERS,
    ("GET", "/approval"): BY_LINK,
    ("POST", "/approval"): BY_LINK,
    ("GET", "/api/runs/{runId}/files"): READERS,
    ("GET", "/api/runs/{runId}/files/{path:path}"): READERS,
    ("POST", "/api/runs/{runId}/approve"): APPROVERS,
    ("POST", "/api/runs/{runId}/reject"): APPROVERS,
    ("POST", "/api/runs/{runId}/cancel"): CANCELLERS,
    ("GET", "/api/runs/{runId}/events"): READERS,
    ("WS", "/api/runs/{runId}/ws"): READERS,
    ("GET", "/api/vendors"): READERS,
    ("GET", "/api/reports/spend"): READERS,
    ("GET", "/api/budgets"): READERS,
    ("GET", "/api/agent-tick-due"): TICKERS,
    ("POST", "/api/agent-tick-due"): TICKERS,
}


@pytest.fixture
def guarded(world: World) -> Iterator[Served]:
    with serving(world, TOKENS) as running:
        yield running


def test_the_table_is_whole(guarded: Served) -> None:
    assert set(declared(guarded.app.routes)) == set(TABLE)


@pytest.mark.parametrize("token", ["", "wrong", READ, OPERATE, OWN, APPROVE, CRON])
def test_every_route_lets_in_its_roles_alone(guarded: Served, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for (method, path), group in TABLE.items():
        status = _status(guarded, method, path.replace("{runId}", ID), headers)
        if group == BY_LINK:
            assert status == 403, (method, path, status)
        elif token in ALLOWED[group]:
            assert status not in (401, 403), (method, path, status)
        else:
            assert status == (403 if token in (READ, OPERATE, OWN, APPROVE, CRON) else 401), (method, path, status)


def _status(guarded: Served, method: str, path: str, headers: dict[str, str]) -> int:
    if method == "WS":
        return _refused_socket(guarded, path, headers)  # an unknown run's too
    body = {"runId": ID, "userId": "olga", "goal": "g", "budgetTotal": 1, "amount": 1, "why": "w"}
    return guarded.http.request(method, path, headers=headers, json=body if method == "POST" else None).status_code


JSON = {"Content-Type": "application/json"}
MALFORMED: tuple[tuple[str, dict[str, str], bytes], ...] = (
    ("", JSON, b"{"),
    ("", JSON, b'{"userId": 7, "job": {"name": {"deep": [1, {"deeper": '),
    ("", JSON, b'{"userId": 7, "job": {"name": [1, {"deeper": null}]}, "inputs": []}'),
    ("", JSON, b'{"runId": "a", "runId": "b"}'),
    ("", JSON, b"\xff"),
    ("", JSON, b"[" * 5_000),
    ("", {"Content-Type": "text/plain"}, b"hello"),
    ("", JSON, b"x" * 4_000_001),
    ("", {**JSON, "Idempotency-Key": "a b"}, b"{}"),
    ("?limit=many&status=odd&runId=&by=hand&limitS=0&index=-1&size=-1&after=" + "x" * 3_000, {}, b""),
)


@pytest.mark.parametrize("token", ["", "wrong", READ, OPERATE, OWN, APPROVE, CRON])
def test_who_asks_is_looked_at_before_what(guarded: Served, token: str) -> None:
    """Also before ids in the path that are none, and on routes that there are not."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    guests = {READ, OPERATE, OWN, APPROVE, CRON}
    extra = {
        ("GET", "/api/nothing"): guests,
        ("POST", "/api/runs"): guests,
        ("HEAD", "/api/agent-tick-due"): ALLOWED[TICKERS],
    }
    limited = {route: ALLOWED[group] for route, group in TABLE.items() if group not in (PUBLIC, BY_LINK)}
    for (method, path), allowed in {**limited, **extra}.items():
        place = path.replace("{runId}", "x" * 65).replace("{entryId}", "x" * 65)
        for query, more, content in MALFORMED[-1:] if method in ("WS", "GET", "HEAD") else MALFORMED:
            if method == "WS":
                status = _refused_socket(guarded, place + query, headers)
            else:
                sent = {**headers, **more}
                status = guarded.http.request(method, place + query, headers=sent, content=content).status_code
            refusal = 403 if token in guests else 401
            assert (status == refusal) == (token not in allowed), (method, path, query, content[:50], status)
            assert token not in allowed or status != 401


def _refused_socket(guarded: Served, path: str, headers: dict[str, str]) -> int:
    with pytest.raises(InvalidStatus) as refused:
        connect(guarded.url.replace("http", "ws") + path, additional_headers=headers)
    return int(refused.value.response.status_code)


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
        assert '"snapshot"' in str(ws.recv(60))


JSON_POST = {"method": "POST", "content_type": "application/json"}


@cache
def tokenless() -> Any:
    return create_app({"GPUAGENT_API_ORIGINS": "http://localhost:5173,https://ops.example"})


def _scope(client: str = "127.0.0.1", server: str = "127.0.0.1", method: str = "GET", **headers: str) -> Any:
    all_headers = {"host": "localhost:3000", **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in all_headers.items()]
    scope = {"type": "http", "method": method, "headers": raw, "app": tokenless(), "path": "/", "query_string": b""}
    return Request({**scope, "client": (client, 5), "server": (server, 3000)})


def test_without_tokens_only_the_machine_itself_is_let_in() -> None:
    for request in (
        _scope(),
        _scope("::1", "::1", host="[::1]:3000"),
        _scope(host="LOCALHOST"),
        _scope(sec_fetch_site="none"),  # typed into the address bar
        _scope(sec_fetch_site="same-origin"),
        _scope(origin="http://localhost:3000"),
        _scope(origin="http://localhost:5173", sec_fetch_site="same-site"),  # the operator allows it
    ):
        assert authorized_caller(request, "read").name == "local"
    assert authorized_caller(_scope(method="PUT"), "operate").name == "local"  # which browsers ask about first
    for origin in ({}, {"origin": "http://localhost:5173"}):
        assert authorized_caller(_scope(**JSON_POST, **origin), "approve").name == "local"
    for refused_request in (
        _scope(client="10.0.0.7"),
        _scope(server="10.0.0.1"),
        _scope(x_forwarded_for="10.0.0.7"),
        _scope(forwarded="for=10.0.0.7"),
        _scope(x_forwarded_proto="https"),
    ):
        assert _refusal(refused_request, "read") == "no_tokens"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},  # a name that was made to mean this machine
        {"host": "localhost.evil.example:3000"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "evil.localhost:3000"},
        {"host": "evil@localhost"},
        {"host": "0.0.0.0:3000"},
        {"host": "[::1"},
        {"host": ""},
        {"origin": "https://evil.example"},  # a web page in its browser
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://[::1"},
        {"origin": "localhost:3000"},
        {"origin": "http://localhost:8888"},  # of another server on this machine
        {"origin": "http://127.0.0.1:3000"},  # another origin than http://localhost:3000
        {"origin": "https://ops.example"},  # allowed, but of elsewhere: it takes a token
        {"origin": "http://localhost:5173.evil.example"},
        {"sec_fetch_site": "cross-site"},  # an <img>, which has no Origin
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "anything"},
    ],
)
def test_without_tokens_no_page_of_another_origin_is_let_in(headers: dict[str, str]) -> None:
    assert _refusal(_scope(**headers), "read") == "not_local"
    assert _refusal(_scope(**{**JSON_POST, **headers}), "operate") == "not_local"


@pytest.mark.parametrize("permission", ["operate", "approve", "tick-due"])
def test_without_tokens_a_change_is_a_post_of_json(permission: str) -> None:
    """Also of a browser that sends neither Origin nor Sec-Fetch-Site."""
    types = (
        *("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=application/json"),
        *("text/plain; application/json", "application/jsonp", "text/json", "application/json, text/plain"),
    )
    for request in (
        _scope(),
        _scope(content_type="application/json"),
        _scope(method="POST"),
        *(_scope(method="POST", content_type=content_type) for content_type in types),
    ):
        assert _refusal(request, permission) == "simple_request"
    assert _refusal(_scope(method="HEAD"), permission) == "method_not_allowed"
    for content_type in ("application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"):
        assert authorized_caller(_scope(method="POST", content_type=content_type), permission).name == "local"


def _refusal(request: Any, permission: str) -> str:
    with pytest.raises(ProblemError) as refused:
        authorized_caller(request, permission)
    return refused.value.code


def test_on_a_platform_nobody_is_local() -> None:
    request = _scope()
    request.scope["app"] = create_app({"VERCEL": "1"})
    assert _refusal(request, "read") == "no_tokens"


def test_a_servers_address_that_others_reach_needs_tokens() -> None:
    result = CliRunner().invoke(command, ["serve", "--host", "0.0.0.0", "--port", "0"], env={"GPUAGENT_API_TOKENS": ""})
    assert result.exit_code == 2
    assert "GPUAGENT_API_TOKENS" in result.output


def test_origins_are_listed_one_by_one() -> None:
    allowed = read_origins({"GPUAGENT_API_ORIGINS": " https://ops.example, http://[::1]:5173,,http://10.0.0.1:80443"})
    assert allowed == ("https://ops.example", "http://[::1]:5173", "http://10.0.0.1:80443")
    assert read_origins({"GPUAGENT_API_ORIGINS": " "}) == read_origins({}) == ()
    for wrong in ("*", "null", "ops.example", "https://*.example", "https://Ops.example", "https://ops.example/",
                  "https://ops.example:443", "http://a:80", "file://x", "https://a@b.example"):  # fmt: skip
        with pytest.raises(ConfigError, match=rf"entry 2, {re.escape(shown(wrong))}, is no origin"):
            create_app({"GPUAGENT_API_ORIGINS": f"https://ops.example,{wrong}"})


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
        assert httpx.get(f"{running.url}/api/runs", timeout=60).status_code == 401
        bearer = {"Authorization": f"Bearer {CRON}"}
        assert httpx.get(f"{running.url}/api/runs", headers=bearer, timeout=60).status_code == 403
        assert httpx.get(f"{running.url}/api/agent-tick-due", headers=bearer, timeout=60).status_code == 200
