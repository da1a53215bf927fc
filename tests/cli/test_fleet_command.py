"""`gpuagent fleet` as a process: stopped by a signal, it lets what is under way end."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from gpuagent.core.steps import is_over
from tests.support.eventually import eventually
from tests.support.scripted_server import ScriptedServer
from tests.support.world import World


def test_stopped_by_sigterm_it_ends_well_and_says_what_it_did(world: World) -> None:
    run = world.start(budget=0.1)  # nothing can be bought for that: its first tick ends it
    argv = [sys.executable, "-m", "gpuagent.cli", "fleet", "--every", "0.1", "--json"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, env=world.environment, **pipes) as fleet:
        try:
            eventually(lambda: is_over(world.store.load(run.run_id)))
            fleet.send_signal(signal.SIGTERM)
            output, errors = fleet.communicate(timeout=240)
        finally:
            fleet.kill()  # the end of the block waits for it, however long
    assert fleet.returncode == 0, errors
    assert json.loads(output) == {"ticks": 1, "failed": 0, "over": 1, "lost": 0, "problems": {}}
    assert errors.splitlines() == ["stopping: what is under way ends first"]


def test_a_fleet_sends_alerts_where_ticks_do(
    world: World, gpuagent: Callable[..., Result], scripted_server: ScriptedServer
) -> None:
    """Each once, by whichever of two fleets; none where it is not said that ticks send, or there is no channel."""
    scripted_server.respond_with({})
    url = f"json://127.0.0.1:{scripted_server.server.server_port}/"
    assert gpuagent("alerts", "send", ALERTS_CHANNELS=f"ops={url}").exit_code == 0  # by its own clock: that of ticks
    world.start(budget=0.1)  # its first tick fails it
    for environ in ({"ALERTS_SEND": "tick"}, {"ALERTS_CHANNELS": f"ops={url}"}):
        assert gpuagent("fleet", "--until-done", **environ).exit_code == 0
        assert scripted_server.requests == []
    for _ in range(2):
        result = gpuagent("fleet", "--until-done", ALERTS_SEND="tick", ALERTS_CHANNELS=f"ops={url}")
        assert result.exit_code == 0, result.output
    ((_, body),) = scripted_server.requests
    assert "failed" in json.loads(body)["title"]
    wrong = gpuagent("fleet", "--until-done", ALERTS_SEND="tick", ALERTS_CHANNELS="ops")
    assert (wrong.exit_code, "entry 1 is not NAME=URL" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scheduler", "tcp://127.0.0.1:1", "--processes", "2"], "`dask worker` commands say"),
        (["--metrics", "nowhere"], "no HOST:PORT to listen on"),
        (["--metrics", "127.0.0.1:99999"], "no HOST:PORT to listen on"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_ticked(
    gpuagent: Callable[..., Result], options: list[str], words: str
) -> None:
    result = gpuagent("fleet", "--until-done", *options)
    assert result.exit_code == 2
    assert words in result.stderr
