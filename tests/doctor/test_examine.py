"""`gpuagent doctor` on real servers: a sound set-up passes, each thing that can be wrong is found and named, alone."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from pymongo import MongoClient

from gpuagent.adapters.mongo.embedded import find_binary
from gpuagent.core.policy import Halt
from gpuagent.doctor import examine as doctor
from gpuagent.doctor.checks import CHAIN_AHEAD_MAX_S, CHAIN_BEHIND_MAX_S, Check, Status
from gpuagent.practice import stack
from gpuagent.wiring.vendors import record_vendors
from mock_vendor.chain import free_port
from tests.support.cdp_server import CdpServer
from tests.support.clock import TurnableClock
from tests.support.market import Market
from tests.support.rpc_proxy import RpcProxy
from tests.support.stack import STACK_SETTINGS
from tests.support.world import World

Gpuagent = Callable[..., Result]
OTHER_ADDRESS = "0x" + "9" * 40


@pytest.fixture(scope="module")
def shared_market() -> Iterator[Market]:
    """One of our own, whose clocks nobody has turned."""
    with stack.start(**STACK_SETTINGS) as running, closing(Market(running)) as market:
        yield market


def examine(world: World, clock: TurnableClock | None = None, **changes: str) -> dict[str, Check]:
    """By name; with some of the world's variables changed."""
    environment = {**world.environment, **changes}
    return {check.name: check for check in doctor.examine(environment, clock or world.market.clock)}


def failed(checks: Mapping[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.status is Status.FAILED}


def test_what_is_sound_passes(world: World) -> None:
    world.give_gas()
    checks = examine(world)
    assert failed(checks) == set()
    assert {check.status for check in checks.values()} == {Status.OK}
    expected = {
        "configuration",
        "wallet",
        "database",
        "node 127.0.0.1",
        "policy",
        "file store",
        "planner",
        "balance",
        "gas",
    }
    assert expected | {"clock and MongoDB", "clock and chain"} <= checks.keys()
    assert [name for name in checks if name.startswith("vendor ")] == [
        f"vendor gpu_vendor_{number}" for number in (1, 2, 3)
    ]
    assert not [check for check in checks.values() if check.fix]


def test_nothing_is_spent_or_signed(world: World) -> None:
    before = world.chain.head(world.ports.wallet.address).balance
    examine(world)
    assert world.chain.head(world.ports.wallet.address).balance == before
    assert world.reads.runs() == []
    assert world.transfers() == ()


def test_the_command_says_it_to_people_and_programs(world: World, gpuagent: Gpuagent) -> None:
    result = gpuagent("doctor", "--json", X402_NETWORK="eip155:8453")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["ok"] is False
    (node,) = [check for check in report["checks"] if check["name"].startswith("node ")]
    assert (node["status"], node["said"]) == ("failed", "127.0.0.1 is chain 31337, not eip155:8453")
    assert "X402_NETWORK" in node["fix"]
    table = gpuagent("doctor", PLANNER_MODE="llm")
    assert table.exit_code == 1
    assert "failed planner: " in table.stdout
    assert "        fix: set what it needs, or PLANNER_MODE=stub" in table.stdout
    assert "ok     database: MongoDB" in table.stdout


@pytest.mark.parametrize(
    ("changes", "wrong", "says"),
    [
        ({"X402_NETWORK": "mainnet"}, "configuration", "write one of local"),
        ({"X402_PRIVATE_KEY": ""}, "wallet", "set X402_PRIVATE_KEY"),
        ({"X402_PRIVATE_KEY": "0xabc"}, "wallet", "is not a private key"),
        ({"CDP_WALLET_SECRET": "x"}, "wallet", "are both set: choose one"),
        ({"CHAIN_RPC_URL": "http://127.0.0.1:1"}, "node 127.0.0.1", "does not answer"),
        ({"X402_ASSET": OTHER_ADDRESS}, "node 127.0.0.1", f"no token at {OTHER_ADDRESS}"),
        ({"X402_ASSET_NAME": "USDC"}, "node 127.0.0.1", "is 'USD Coin' version '2'"),
        ({"X402_ASSET_VERSION": "1"}, "node 127.0.0.1", "not 'USD Coin' version '1'"),
        ({"PLANNER_MODE": "llm", "FIREWORKS_API_KEY": "", "PLANNER_MODEL": ""}, "planner", "set "),
        ({"GPU_VENDOR_SECRET": ""}, "vendor gpu_vendor_1", "set GPU_VENDOR_SECRET"),
        ({"GPU_VENDOR_SECRET": "another secret"}, "vendor gpu_vendor_2", "refuses"),
        ({"FILE_STORE": "file:///proc/none"}, "file store", "cannot be used"),
        ({"MONGODB_URI": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"}, "database", "check MONGODB_URI"),
    ],
)
def test_what_is_wrong_is_found_and_the_rest_is_looked_at(
    world: World, changes: dict[str, str], wrong: str, says: str
) -> None:
    checks = examine(world, **changes)
    assert checks[wrong].status is Status.FAILED
    assert says in checks[wrong].detail
    assert checks[wrong].fix
    if wrong != "configuration":
        assert checks["planner" if wrong != "planner" else "database"].status is Status.OK


def test_a_wallet_without_money_or_gas(make_world: Callable[..., World]) -> None:
    poor = make_world(funds=0)
    checks = examine(poor)
    assert failed(checks) == {"balance"}
    assert "fund-info" in checks["balance"].fix
    assert checks["gas"].status is Status.ADVICE, "paying needs none"


def test_a_token_whose_domain_is_another(world: World) -> None:
    """Name and version as pinned, and yet every signature would be void: only DOMAIN_SEPARATOR() shows it."""
    with closing(RpcProxy(world.environment["CHAIN_RPC_URL"])) as node:
        node.lie("eth_call", another_separator)
        checks = examine(world, CHAIN_RPC_URL=node.url)
    assert "binds signatures to another domain" in checks["node 127.0.0.1"].detail
    assert failed(checks) == {"node 127.0.0.1", "chain"}


def test_nodes_are_named_one_by_one_without_their_keys(world: World) -> None:
    urls = f"{world.environment['CHAIN_RPC_URL']},http://localhost:1/v2/our-api-key"
    checks = examine(world, CHAIN_RPC_URL=urls)
    assert checks["node 127.0.0.1"].status is Status.OK
    assert checks["node localhost"].status is Status.FAILED
    assert "our-api-key" not in str(checks)


def test_vendors_that_are_not_as_recorded(world: World) -> None:
    first, second, third = world.market.vendors
    changed = (
        replace(first, pay_to=OTHER_ADDRESS),
        replace(second, endpoint="http://127.0.0.1:1"),
        replace(third, asset=OTHER_ADDRESS),
    )
    record_vendors(world.database, changed)
    checks = examine(world)
    assert failed(checks) == {f"vendor {vendor.vendor_id}" for vendor in changed}
    assert f"wants {first.pay_to} paid" in checks["vendor gpu_vendor_1"].detail
    record_vendors(world.database, [replace(vendor, enabled=False) for vendor in changed])
    assert "no enabled vendor is paid on eip155:31337" in examine(world)["vendors"].detail


def test_a_vendor_that_does_not_conform(world: World) -> None:
    world.market.fault("gpu_vendor_3", "raise_price")
    checks = examine(world)
    assert failed(checks) == {"vendor gpu_vendor_3"}
    assert "vendor check" in checks["vendor gpu_vendor_3"].fix


def test_policies_that_a_careful_owner_would_not_have(world: World) -> None:
    world.allow(wallet_per_day=None)
    assert "no cap on a day" in examine(world)["policy"].detail
    world.allow(halts=(Halt("wallet", "*", "Ada", "something is wrong"),))
    checks = examine(world)
    assert failed(checks) == {"halt"}
    assert "something is wrong" in checks["halt"].detail


@pytest.mark.parametrize(
    ("ahead_s", "wrong"),
    [
        (0, set()),
        (-CHAIN_AHEAD_MAX_S - 5, {"clock and chain", "clock and MongoDB"}),
        (CHAIN_BEHIND_MAX_S + 5, {"clock and chain", "clock and MongoDB"}),
    ],
)
def test_a_clock_that_is_wrong(world: World, ahead_s: float, wrong: set[str]) -> None:
    world.market.rpc("evm_mine")
    checks = examine(world, TurnableClock(ahead_s))
    assert failed(checks) == wrong
    if wrong:
        assert "NTP" in checks["clock and chain"].fix


def test_a_single_mongod_is_no_replica_set(world: World, tmp_path: Path) -> None:
    with standalone(tmp_path) as uri:
        checks = examine(world, MONGODB_URI=uri)
    assert failed(checks) == {"database"}
    assert "must be a replica set" in checks["database"].detail


def test_advice_for_real_money(world: World) -> None:
    """Without a node that answers: what is said of key and node needs none."""
    checks = examine(world, X402_NETWORK="base", CHAIN_RPC_URL="http://127.0.0.1:1")
    assert checks["wallet key"].status is Status.ADVICE
    assert "gpuagent wallet import" in checks["wallet key"].fix


def test_a_wallet_at_cdp(world: World, cdp: CdpServer) -> None:
    cdp.open_account("payer", world.environment["X402_PRIVATE_KEY"])
    changes = {"X402_PRIVATE_KEY": "", **cdp.environment("payer")}
    checks = examine(world, **changes)
    assert failed(checks) == set()
    assert checks["wallet policy at CDP"].status is Status.ADVICE
    cdp.policy = {"scope": "account", "rules": []}
    assert "wallet policy at CDP" not in examine(world, **changes)
    assert "check CDP_ACCOUNT" in examine(world, **{**changes, "CDP_ACCOUNT": "nobody"})["wallet"].detail
    assert not [path for method, path in cdp.requests if method == "POST"], "nothing is signed"


def another_separator(params: list[Any], result: Any) -> Any:
    """The token's answer to DOMAIN_SEPARATOR()."""
    return "0x" + "11" * 32 if params[0]["data"] == "0x3644e515" else result


@contextmanager
def standalone(folder: Path) -> Iterator[str]:
    """A mongod without --replSet."""
    log, port = folder / "log", free_port()
    command = [str(find_binary()), "--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", str(folder)]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as child:
        try:
            uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
            with MongoClient[Any](uri, serverSelectionTimeoutMS=30_000) as client:
                client.admin.command("ping")
            yield uri
        finally:
            child.terminate()
