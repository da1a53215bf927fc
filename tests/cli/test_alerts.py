"""`gpuagent alerts`, and ticks that send, against a real local server."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from tests.support.alerts import LINKS
from tests.support.rest_server import serving
from tests.support.scripted_server import ScriptedServer
from tests.support.world import World

TOKEN = "x-token-0123456789"


@pytest.fixture
def channels(scripted_server: ScriptedServer) -> dict[str, str]:
    scripted_server.respond_with({})
    url = f"json://127.0.0.1:{scripted_server.server.server_port}/?+X-Token={TOKEN}"
    return {"ALERTS_CHANNELS": f"ops={url}", **LINKS}


def test_what_happened_is_sent_and_listed(
    world: World, gpuagent: Callable[..., Result], scripted_server: ScriptedServer, channels: dict[str, str]
) -> None:
    assert gpuagent("alerts", "test", **channels).output == "ops: sent\n"
    assert gpuagent("alerts", "send", **channels).output == "sent 0\n"
    world.allow(approval_above=1_000_000)
    run = world.tick(world.start())
    scripted_server.respond_with({}, 500)
    failing = gpuagent("alerts", "send", **channels)
    assert (failing.exit_code, "ops: it answered 500" in failing.output) == (1, True)
    listed = gpuagent("alerts", "list").output
    assert "approval: 1.40 USD for gpu_vendor_1 waits for approval" in listed
    assert "ops: failed, attempt 1: it answered 500" in listed
    assert TOKEN not in failing.output + listed
    assert json.loads(gpuagent("alerts", "list", "--json").output)["alerts"][0]["runId"] == run.run_id


def test_ticks_send_where_they_are_to(
    world: World, gpuagent: Callable[..., Result], scripted_server: ScriptedServer, channels: dict[str, str]
) -> None:
    world.allow(approval_above=1_000_000)
    world.database.outbox.join("ops")
    run = world.tick(world.start())
    by_ticks = {**channels, "ALERTS_SEND": "tick"}
    assert gpuagent("run", "tick", run.run_id, **by_ticks).exit_code == 0
    ((_, body),) = scripted_server.requests
    message = json.loads(body)["message"]
    assert f"gpuagent run approve {run.run_id}" in message
    with serving(world, channels) as served:  # the message's link leads to the page
        path = message.partition("https://agent.example")[2].split()[0]
        assert "Approve 1.40 USD for gpu_vendor_1?" in served.http.get(path).text
    broken = gpuagent("run", "tick", run.run_id, **{**by_ticks, "ALERTS_CHANNELS": f"ops={TOKEN}"})
    assert broken.exit_code == 0, "a tick does not fail by it"


@pytest.mark.parametrize(
    ("environ", "arguments", "words"),
    [
        ({}, ("send",), "set ALERTS_CHANNELS"),
        ({"ALERTS_CHANNELS": f"ops={TOKEN}"}, ("send",), "entry 1 is not NAME=URL"),
        ({"ALERTS_CHANNELS": f"ops=nothing://{TOKEN}"}, ("test",), "cannot use the address of entry 1, ops"),
        ({"ALERTS_CHANNELS": "ops=json://127.0.0.1:1/"}, ("test", "chat"), "there are ops"),
    ],
)
def test_what_is_not_set_up(
    gpuagent: Callable[..., Result], environ: dict[str, str], arguments: tuple[str, ...], words: str
) -> None:
    result = gpuagent("alerts", *arguments, **environ)
    assert (result.exit_code, words in result.output) == (2, True), result.output
    assert TOKEN not in result.output
