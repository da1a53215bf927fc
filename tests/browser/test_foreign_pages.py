"""Every route there is against pages of other origins in a real browser, on a server without tokens."""

from typing import Any

import httpx
import pytest

from gpuagent.api.app import create_app
from gpuagent.core.money import UNIT
from tests.conftest import SafetyNote
from tests.support.browser_notebook import chromium
from tests.support.eventually import eventually
from tests.support.foreign_page import (
    HTML,
    PREFLIGHTED,
    SIMPLE_GETS,
    SIMPLE_POSTS,
    Arrival,
    Arrivals,
    attack,
    declared,
    targets,
)
from tests.support.rest_server import WorldConnections, listening, running
from tests.support.scripted_server import ScriptedServer
from tests.support.world import World

PUBLIC = {"/healthz", "/openapi.json"}
REFUSED = {403, 404, 405}


@pytest.mark.safety("a server without tokens, and web pages of other origins in a real browser on its machine")
def test_no_page_of_another_origin_changes_or_reads_anything(
    world: World, scripted_server: ScriptedServer, safety_note: SafetyNote
) -> None:
    """A page of another server, and one whose name was made to mean this machine."""
    world.allow(approval_above=UNIT)
    asking = world.tick(world.start())
    world.start()
    arrivals: list[Arrival] = []
    app = create_app(world.environment, WorldConnections(world))
    app.add_middleware(Arrivals, kept=arrivals)
    bodies = targets(app, asking.run_id)
    scripted_server.respond_with(HTML, headers={"Content-Type": "text/html"})
    port_elsewhere = scripted_server.server.server_port
    before = _everything(world)
    with (
        listening() as listener,
        running(app, listener) as url,
        chromium("host-resolver-rules=MAP *.example 127.0.0.1") as browser,
    ):
        page = browser.new_page()
        requests = 0
        rebound = url.replace("127.0.0.1", "rebound.example")
        for origin, server in (
            (f"http://elsewhere.example:{port_elsewhere}/", url),
            (f"{rebound}/healthz", rebound),
        ):
            attack(page, origin, server, bodies)
            _check(app, bodies, arrivals, same_origin=server == rebound)
            requests += len(arrivals)
            arrivals.clear()
        assert _everything(world) == before
        safety_note(f"{requests} requests of {len(bodies)} routes arrived, none read or changed anything")
        httpx.post(f"{url}/api/agent-tick-due", json={}).raise_for_status()  # a program on this machine
        assert _everything(world) != before


def _check(app: Any, bodies: dict[str, Any], arrivals: list[Arrival], same_origin: bool) -> None:
    """All that a browser sends has arrived, and nothing but what is public was answered."""
    expected = {(path, way) for path in bodies for way in (*SIMPLE_GETS, *SIMPLE_POSTS, "WebSocket")}
    if same_origin:
        expected |= {(path, way) for path in bodies for way in PREFLIGHTED}
    missing = lambda: expected - {(arrival.path, arrival.way) for arrival in arrivals}  # noqa: E731
    eventually(lambda: not missing(), otherwise=f"did not arrive: {sorted(missing())[:9]}")
    assert {arrival.path for arrival in arrivals if arrival.status not in REFUSED} == PUBLIC
    run_path = next(path for path in bodies if path.endswith("/ws")).removesuffix("/ws")
    own = {(method, path.replace("/api/runs/{runId}", run_path)) for method, path in declared(app.routes)}
    for arrival in arrivals:
        if (arrival.method, arrival.path) in own and arrival.path not in PUBLIC:
            assert arrival.status == 403, arrival
    if not same_origin:
        assert {arrival.method for arrival in arrivals if arrival.way in PREFLIGHTED} <= {"OPTIONS"}


def _everything(world: World) -> dict[str, list[Any]]:
    database = world.market.database(world.environment["MONGODB_DB_NAME"])
    return {name: list(database[name].find().sort("_id")) for name in sorted(database.list_collection_names())}
