"""A REST server in a thread, with a test's world behind it."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from gpuagent.api.app import create_app
from gpuagent.api.connections import Connections
from gpuagent.api.followers import Followers
from gpuagent.api.server import RestServer, listen
from gpuagent.wiring import Agent
from gpuagent.wiring.database import Database
from tests.support.world import World

READ, OPERATE, OWN, APPROVE, CRON = "r" * 20, "o" * 20, "w" * 20, "a" * 20, "c" * 20
TOKENS = {
    "GPUAGENT_API_TOKENS": f"rita=read:{READ},otto=operate:{OPERATE},olga=own:{OWN},ada=approve:{APPROVE}",
    "CRON_SECRET": CRON,
}
READY_S = 240


class WorldConnections(Connections):
    """The connections of a world, with its clock."""

    def __init__(self, world: World) -> None:
        super().__init__(world.environment)
        self._world = world

    @property
    def database(self) -> Database:
        return self._world.database

    @property
    def agent(self) -> Agent:
        return self._world.agent


@dataclass
class Served:
    """A running server. http: a client on this machine, without a token."""

    url: str
    world: World
    app: Any
    http: httpx.Client = field(repr=False)

    def post(self, path: str, body: Mapping[str, Any], expected: int = 200, **headers: str) -> Any:
        return self.answered(self.http.post(path, json=body, headers=headers), expected)

    def get(self, path: str, expected: int = 200, **params: Any) -> Any:
        return self.answered(self.http.get(path, params=params), expected)

    def answered(self, reply: httpx.Response, expected: int) -> Any:
        assert reply.status_code == expected, reply.text
        kind = "application/json" if expected < 300 else "application/problem+json"
        assert reply.headers["content-type"] == kind
        return reply.json()

    def start(self, budget: float = 5, **order: Any) -> str:
        body = {"userId": "u1", "goal": "Fine-tune tiny-llm", "budgetTotal": budget, **order}
        return str(self.post("/api/agent-start", body)["_id"])

    def tick(self, run_id: str) -> Any:
        return self.post("/api/agent-tick", {"runId": run_id})

    def finish(self, run_id: str, ticks_max: int = 60) -> list[str]:
        """Tick to the end; the message of each tick. Between ticks the vendors work on."""
        messages: list[str] = []
        for _ in range(ticks_max):
            answer = self.tick(run_id)
            messages.append(answer["message"])
            if answer["run"]["status"] != "running":
                return messages
            self.world.market.work()
        raise AssertionError(f"not over after {ticks_max} ticks: {messages}")


@contextmanager
def serving(
    world: World, environ: Mapping[str, str] | None = None, bounds: Mapping[str, Any] | None = None, **limits: Any
) -> Iterator[Served]:
    """A server of the world. environ: variables beside the world's. bounds: of Server. limits: of Followers."""
    app = create_app({**world.environment, **(environ or {})}, WorldConnections(world), Followers(**limits))
    with (
        listening() as listener,
        running(app, listener, **(bounds or {})) as url,
        httpx.Client(base_url=url, timeout=60) as http,
    ):
        yield Served(url, world, app, http)


@contextmanager
def listening() -> Iterator[socket.socket]:
    with listen("127.0.0.1", 0) as listener:
        yield listener


@contextmanager
def running(app: Any, listener: socket.socket, **bounds: Any) -> Iterator[str]:
    server = RestServer(app, listener, **bounds)
    server.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        assert server.stop(READY_S)


def sse(reply: httpx.Response) -> Iterator[dict[str, Any]]:
    """Server-Sent Events as they come: {id, event, data}. Comments are left out."""
    event: dict[str, Any] = {}
    for line in reply.iter_lines():
        name, _, value = line.partition(": ")
        if line == "" and "data" in event:
            yield {**event, "data": json.loads(event["data"])}
            event = {}
        elif name in ("id", "event", "data"):
            event[name] = value
