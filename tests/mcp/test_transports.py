"""The tools in a process of their own over standard input and output, and on a real server behind tokens."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import httpx2
from click.testing import Result
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from gpuagent.core.money import UNIT
from gpuagent.mcp.host import Host
from gpuagent.mcp.http import mcp_app
from gpuagent.mcp.server import TOOLS
from tests.support.assistant import conversed
from tests.support.rest_server import (
    APPROVE,
    CRON,
    OPERATE,
    OWN,
    READ,
    READY_S,
    TOKENS,
    WorldConnections,
    listening,
    running,
)
from tests.support.world import World

ORDER = {"idempotency_key": "key-of-this-run", "budget_usd": "5", "goal": "Fine-tune tiny-llm"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


def test_a_process_of_its_own(world: World) -> None:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "gpuagent.cli", "mcp", "--user", "ada"], env=world.environment
    )

    async def conversation(client: Client) -> Any:
        started = await client.call_tool("start_run", ORDER)
        ticked = await client.call_tool("tick_run", {"run_id": started.structured_content["run"]["run_id"]})
        return (await client.list_tools()).tools, ticked

    tools, ticked = asyncio.run(conversed(Client(command), conversation))
    assert [tool.name for tool in tools] == list(TOOLS)
    assert ticked.structured_content["message"] == "Job started"
    (run,) = world.reads.runs()
    assert run["userId"] == "ada"


def test_a_server_behind_the_tokens_of_rest(world: World) -> None:
    world.allow(approval_above=UNIT)
    connections = WorldConnections(world)
    connections.environ = {**world.environment, **TOKENS}
    app = mcp_app(Host(connections, "somebody"), ["gpu.example"])
    with (
        listening() as listener,
        running(app, listener) as url,
        httpx.Client(base_url=url, headers=ACCEPT, timeout=60) as http,
    ):
        for token, status in {"wrong": 401, READ: 403, APPROVE: 403, CRON: 403, OPERATE: 200, OWN: 200}.items():
            assert _posted(http, {"Authorization": f"Bearer {token}"}).status_code == status, token
        mine = {"Authorization": f"Bearer {OPERATE}"}
        assert _posted(http, {**mine, "Host": "evil.example"}).status_code == 421
        assert _posted(http, {**mine, "Host": "gpu.example"}).status_code == 200
        assert _posted(http, {**mine, "Origin": "https://evil.example"}).status_code == 403
        assert http.get("/mcp", headers=mine).status_code == 405
        assert http.post("/mcp", content=b"x" * 1_100_000, headers=mine).status_code in (400, 413)
        started, waiting = asyncio.run(_over_http(f"{url}/mcp", mine))
        own, refusal = asyncio.run(
            _over_http(f"{url}/mcp", {"Authorization": f"Bearer {OWN}"}, started["run"]["run_id"])
        )
    assert started["run"]["user_id"] == {"untrusted_text": "otto"}
    assert waiting["message"] == "Waiting for approval"
    assert own["run"]["user_id"] == {"untrusted_text": "olga"}
    assert refusal["error"]["code"] == "forbidden"


def test_without_tokens_a_server_answers_its_own_machine_alone(world: World) -> None:
    app = mcp_app(Host(WorldConnections(world)))
    with (
        listening() as listener,
        running(app, listener) as url,
        httpx.Client(base_url=url, headers=ACCEPT, timeout=60) as http,
    ):
        assert _posted(http, {}).status_code == 200
        assert _posted(http, {"Origin": "https://evil.example"}).json()["code"] == "not_local"
        assert _posted(http, {"X-Forwarded-For": "10.0.0.1"}).json()["code"] == "no_tokens"
        simple = http.post("/mcp", content=json.dumps(PING), headers={"Content-Type": "text/plain"})
        assert simple.json()["code"] == "simple_request"


def _posted(http: httpx.Client, headers: Mapping[str, str]) -> httpx.Response:
    return http.post("/mcp", json=PING, headers=headers)


async def _over_http(url: str, headers: Mapping[str, str], run_id: str = "") -> tuple[Any, Any]:
    """The run that is started, and the tick of it, or of another."""
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(url, http_client=http)) as mine,
    ):
        started = await mine.call_tool("start_run", ORDER)
        ticked = await mine.call_tool("tick_run", {"run_id": run_id or started.structured_content["run"]["run_id"]})
        return started.structured_content, ticked.structured_content


def test_a_command_that_serves_until_it_is_stopped(world: World) -> None:
    command = [sys.executable, "-m", "gpuagent.cli", "mcp", "--http", "--port", "0"]
    with subprocess.Popen(command, env=world.environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.endswith("/mcp")
            assert httpx.post(url, json=PING, headers=ACCEPT, timeout=60).json()["result"] is not None
        finally:
            process.terminate()
        assert process.wait(READY_S) == 0


def test_a_server_for_other_machines_needs_tokens_and_a_name(gpuagent: Callable[..., Result]) -> None:
    command = ("mcp", "--http", "--host", "0.0.0.0", "--port", "0")
    assert "set GPUAGENT_API_TOKENS first" in gpuagent(*command).output
    assert "say by --name HOST" in gpuagent(*command, **TOKENS).output
    assert "--name is for --http" in gpuagent("mcp", "--name", "gpu.example").output
