"""Runs that are paid from a wallet at CDP while CDP is away, forgets or refuses; and whom the SDK speaks to."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gpuagent import settings, wiring
from gpuagent.agent.approve import cancel
from gpuagent.core.model import Authorized, Reserved
from gpuagent.errors import WalletError
from tests.support.cdp_server import CdpServer, Fault
from tests.support.clock import turned
from tests.support.world import World

NAME = "payer"
ALONE = """
import sys
from gpuagent import settings, wiring
from tests.support.factories import TERMS, TOKEN, authorization
hosts = set()
def hook(event, arguments):
    if event == "socket.getaddrinfo":
        hosts.add(str(arguments[0]))
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        hosts.add(f"{arguments[1][0]}:{arguments[1][1]}")
sys.addaudithook(hook)
assert not any(name == "cdp" or name.startswith("cdp.") for name in sys.modules), "imported before it is chosen"
for failing in (False, True):
    try:
        with wiring.key_source(settings.read()).open_wallet(TOKEN) as wallet:
            wallet.sign(authorization(payer=wallet.address), TERMS, "")
    except Exception as error:
        print(type(error).__name__)
print(sorted(hosts))
"""


def test_usage_is_reported_to_nobody(cdp: CdpServer) -> None:
    """In a process of its own, whose every connection is watched: neither a signature nor an error is told on."""
    cdp.open_account(NAME)
    cdp.faults = [Fault(), Fault(), Fault(400, {"errorType": "invalid_request", "errorMessage": "no"})]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DISABLE_CDP")}
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE],
        env={**environment, **cdp.environment(NAME)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.stdout.splitlines() == ["WalletError", f"['{cdp.host}']"], process.stderr
    assert process.stderr == ""


@pytest.fixture
def at_cdp(world: World, cdp: CdpServer) -> Iterator[World]:
    """The world with its wallet at CDP."""
    cdp.open_account(NAME, world.environment["X402_PRIVATE_KEY"])
    environment = {**world.environment, **cdp.environment(NAME)}
    del environment["X402_PRIVATE_KEY"]
    with wiring.open_agent(settings.read(environment)) as agent:
        agent = turned(agent, world.market.clock)
        yield replace(world, agent=agent, environment=environment)


def test_while_cdp_is_away_a_run_waits_and_then_pays_once(at_cdp: World, cdp: CdpServer) -> None:
    run = at_cdp.start()
    cdp.faults = [Fault(hang_up=True)] * 3
    with pytest.raises(WalletError, match="Server disconnected"):
        at_cdp.tick(run)
    (job,) = at_cdp.store.load(run.run_id).jobs
    assert isinstance(job, Reserved), "its budget is held, nothing is signed"
    at_cdp.assert_balanced(at_cdp.finish(run), transfers=1)


def test_an_answer_that_got_lost_is_no_second_payment(at_cdp: World, cdp: CdpServer) -> None:
    """CDP signed, we never heard of it: the next signature is of the same nonce, which a token takes once."""
    run = at_cdp.start()
    cdp.faults = [Fault(garble=lambda _: {})]
    with pytest.raises(WalletError, match="no answer that can be read"):
        at_cdp.tick(run)
    at_cdp.market.pass_time(3)
    run = at_cdp.finish(run)
    first, second = cdp.bodies
    assert first["message"]["nonce"] == second["message"]["nonce"]
    assert first["message"]["validBefore"] != second["message"]["validBefore"]
    at_cdp.assert_balanced(run, transfers=1)


def test_what_cdp_will_not_cancel_dies_by_itself(at_cdp: World, cdp: CdpServer) -> None:
    at_cdp.give_gas()
    at_cdp.market.fault("gpu_vendor_1", "never_settle")
    run = at_cdp.tick(at_cdp.start())
    cdp.policy = {"scope": "account", "rules": []}
    cancel(run.run_id, "Ada", "wrong goal", at_cdp.store, at_cdp.ports.clock)
    (job,) = at_cdp.tick(run).jobs
    assert isinstance(job, Authorized)
    assert "refused by policy" in job.cancellation
    at_cdp.market.pass_time(121)
    at_cdp.assert_balanced(at_cdp.tick(run), transfers=0)
