"""Every route there is against pages of other origins in a real browser, on a server without tokens."""

from collections.abc import Sequence
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
    Arrival,
    Arrivals,
    Target,
    attack,
    targets,
)
from tests.support.rest_server import WorldConnections, listening, running
from tests.support.scripted_server import ScriptedServer
from tests.support.world import World

PUBLIC = {"/healthz", "/openapi.json", "/docs"}
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
    everything = targets(app, asking.run_id)
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
            attack(page, origin, server, everything)
            _check(everything, arrivals, same_origin=server == rebound)
            requests += len(arrivals)
            arrivals.clear()
        assert _everything(world) == before
        safety_note(f"{requests} requests of {len(everything)} paths arrived, none read or changed anything")
        httpx.post(f"{url}/api/agent-tick-due", json={}, timeout=60).raise_for_status()  # a program on this machine
        assert _everything(world) != before


def _check(everything: Sequence[Target], arrivals: Sequence[Arrival], same_origin: bool) -> None:
    """All that a browser sends has arrived, and nothing but what is public was answered."""
    expected = {(target.path, way) for target in everything for way in target.simple_ways}
    if same_origin:
        expected |= {(target.path, way) for target in everything for way in target.preflighted_ways}
    missing = lambda: expected - {(arrival.path, arrival.way) for arrival in arrivals}  # noqa: E731
    eventually(lambda: not missing(), otherwise=f"did not arrive: {sorted(missing())[:9]}")
    assert {arrival.path for arrival in arrivals if arrival.status not in REFUSED} == PUBLIC
    own = {(method, target.path) for target in everything for method in target.methods if target.path not in PUBLIC}
    if not same_origin:
        own = {(method, path) for method, path in own if method != "PUT"}  # a browser asks before, and is refused
    reached = [arrival for arrival in arrivals if (arrival.method, arrival.path) in own]
    assert {(arrival.method, arrival.path) for arrival in reached} == own
    assert {arrival.status for arrival in reached} == {403}
    if not same_origin:
        assert {arrival.method for arrival in arrivals if arrival.way in PREFLIGHTED} <= {"OPTIONS"}


def _everything(world: World) -> dict[str, list[Any]]:
    database = world.market.database(world.environment["MONGODB_DB_NAME"])
    return {name: list(database[name].find().sort("_id")) for name in sorted(database.list_collection_names())}
