"""The key, the keystore's password and the vendors' token are found nowhere after a run, and the signed header
only where it is kept: payments.header."""

import json
import logging
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from bson import json_util
from click.testing import Result
from pymongo import MongoClient
from typer.testing import CliRunner

from gpuagent import settings, wiring
from gpuagent.adapters.wallets import keystore
from gpuagent.adapters.wallets.local import LocalWallet
from gpuagent.cli import app
from gpuagent.errors import ConfigError, GpuAgentError
from gpuagent.practice.stack import Stack
from tests.conftest import DATABASE
from tests.support.clock import turned
from tests.support.factories import TOKEN
from tests.support.rpc_proxy import RpcProxy
from tests.support.tracebacks import traceback_text
from tests.support.world import World

PASSWORD = "correct horse battery staple"
RPC_KEY = "rpc-api-key-of-ours"
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@dataclass(frozen=True)
class Secrets:
    """Secrets that must appear nowhere, in every spelling."""

    key: str
    token: str

    def found_in(self, text: str) -> list[str]:
        digits = self.key.removeprefix("0x")
        spellings = {
            "key": digits,
            "key as number": str(int(digits, 16)),
            "key as bytes": repr(bytes.fromhex(digits)),
            "password": PASSWORD,
            "token": self.token,
            "rpc key": RPC_KEY,
        }
        return [name for name, spelling in spellings.items() if spelling.lower() in text.lower()]


@pytest.fixture
def secrets(world: World) -> Secrets:
    return Secrets(world.environment["X402_PRIVATE_KEY"], world.environment["GPU_VENDOR_SECRET"])


@pytest.fixture
def environment(world: World, secrets: Secrets, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The world's, with the wallet in a keystore that opens fast, and a node whose address holds an API key."""
    file = tmp_path / "wallet.json"
    sealed = keystore.seal(secrets.key, PASSWORD.encode(), scrypt_n=2)
    assert sealed
    keystore.write(file, sealed)
    with closing(RpcProxy(world.environment["CHAIN_RPC_URL"])) as node:
        variables = {
            **world.environment,
            "CHAIN_RPC_URL": f"{node.url}/v2/{RPC_KEY}",
            "X402_KEYSTORE": str(file),
            "X402_KEYSTORE_PASSWORD": PASSWORD,
        }
        del variables["X402_PRIVATE_KEY"]
        yield variables


@pytest.fixture
def locked(world: World, environment: dict[str, str]) -> Iterator[World]:
    """The world with its wallet opened from the keystore."""
    with wiring.open_agent(settings.read(environment)) as agent:
        agent = turned(agent, world.market.clock)
        assert agent.ports.wallet.address == world.ports.wallet.address
        yield replace(world, agent=agent, environment=environment)


@pytest.fixture
def gpuagent(environment: dict[str, str]) -> Callable[..., Result]:
    def invoke(*arguments: str, **changes: str | None) -> Result:
        without = dict.fromkeys(("X402_PRIVATE_KEY", "EVM_PRIVATE_KEY"))
        return CliRunner().invoke(app, arguments, env={**environment, **without, "COLUMNS": "300", **changes})

    return invoke


def bought(world: World) -> str:
    """A run with everything in it: an answer 500 to a payment that settled, a job that fails, one that completes."""
    world.market.outcomes("gpu_vendor_1", "0")
    world.market.fault("gpu_vendor_1", "error_after_settle")
    run = world.tick(world.start())
    world.market.heal()
    world.market.outcomes("gpu_vendor_1", "0")
    run = world.finish(run)
    assert run.status == "completed"
    assert len(run.jobs) == 2
    assert world.books(run).balanced
    return run.run_id


def documents(world: World) -> dict[str, list[Any]]:
    """Every document of the database, by collection."""
    with MongoClient[Any](world.environment["MONGODB_URI"]) as client:
        names = client[DATABASE].list_collection_names()
        return {name: list(client[DATABASE][name].find()) for name in names}


def test_a_whole_run_leaves_no_secret_and_one_header(
    locked: World, gpuagent: Callable[..., Result], secrets: Secrets, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    run_id = bought(locked)
    results = [gpuagent(*command) for command in looked_at(run_id)]
    assert [result.exit_code for result in results] == [0] * len(results)
    output = "".join(result.output for result in results)
    written = documents(locked)
    headers = [payment.pop("header") for payment in written["payments"]]
    assert len(headers) == 2
    assert sum(map(len, written.values())) > 10, "the dump has what is looked through"
    assert "gpu_vendor_1" in output
    assert len(caplog.records) > 10, "and so have the logs"
    signatures = [json.loads(b64decode(header))["payload"]["signature"] for header in headers]
    for place, text in {"MongoDB": json_util.dumps(written), "the logs": caplog.text, "the commands": output}.items():
        assert secrets.found_in(text) == [], place
        for leaked in (*headers, *(header[:200] for header in headers), *signatures):
            assert leaked not in text, place


def looked_at(run_id: str) -> list[tuple[str, ...]]:
    return [
        ("run", "start", "--goal", "Fine-tune tiny-llm", "--budget", "5"),
        ("run", "status", run_id),
        ("run", "status", run_id, "--json"),
        ("run", "watch", run_id),
        ("run", "watch", run_id, "--json"),
        ("run", "list", "--json"),
        ("run", "tick", run_id),
        ("books", run_id, "--json"),
        ("books", "--all"),
        ("vendor", "list", "--json"),
        ("wallet", "show"),
    ]


def test_no_repr_shows_a_secret(locked: World, environment: dict[str, str], secrets: Secrets) -> None:
    ports, read = locked.ports, settings.read(environment)
    plain = settings.read({**environment, "X402_KEYSTORE": "", "X402_PRIVATE_KEY": secrets.key})
    wallet = LocalWallet(secrets.key, TOKEN)
    stack = Stack({"X402_PRIVATE_KEY": secrets.key}, ())
    for secretive in (
        read,
        wiring.key_source(read),
        plain,
        wiring.key_source(plain),
        locked.agent,
        ports,
        ports.wallet,
        ports.vendor_api,
        wallet,
        stack,
    ):
        assert secrets.found_in(f"{secretive!r} {secretive!s} {[secretive]}") == []


BROKEN: dict[str, dict[str, str]] = {
    "the wrong password": {"X402_KEYSTORE_PASSWORD": f"{PASSWORD}!"},
    "no password": {"X402_KEYSTORE_PASSWORD": ""},
    "two passwords": {"X402_KEYSTORE_PASSWORD_FILE": "password.txt"},
    "no keystore": {"X402_KEYSTORE": "nowhere.json"},
    "the password as file": {"X402_KEYSTORE_PASSWORD": "", "X402_KEYSTORE_PASSWORD_FILE": PASSWORD},
    "key and keystore": {"X402_PRIVATE_KEY": "{key}"},
    "the key as keystore": {"X402_KEYSTORE": "{key}"},
    "half a key": {"X402_KEYSTORE": "", "X402_PRIVATE_KEY": "{key}{key}"},
    "another network": {"X402_NETWORK": "ethereum"},
    "another planner": {"PLANNER_MODE": "oracle"},
    "no node": {"CHAIN_RPC_URL": f"http://127.0.0.1:1/{RPC_KEY}"},
    "a node twice": {"CHAIN_RPC_URL": f"http://127.0.0.1:1/{RPC_KEY},http://127.0.0.1:1/{RPC_KEY}"},
}


MISPLACED = {"the password as file", "the key as keystore"}
"""Here the path is the secret: the frames that open it hold it, and nothing that is said shows it."""


@pytest.mark.parametrize("slip", BROKEN)
def test_what_cannot_work_is_said_without_the_secret(
    environment: dict[str, str],
    gpuagent: Callable[..., Result],
    secrets: Secrets,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    slip: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    changes = {name: value.format(key=secrets.key) for name, value in BROKEN[slip].items()}
    result = gpuagent("run", "tick", "0" * 24, **changes)
    assert result.exit_code in (1, 2)
    assert result.stderr.startswith("gpuagent: ")
    assert secrets.found_in(result.output + caplog.text) == []
    for name, value in {**environment, "X402_PRIVATE_KEY": "", **changes}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(GpuAgentError) as raised, wiring.open_agent(settings.read()):
        pass
    assert secrets.found_in(traceback_text(raised.value, with_locals=False)) == []
    if slip not in MISPLACED:
        # The address of the node is in the frames of the HTTP client; the wallet's secrets are in none.
        assert set(secrets.found_in(traceback_text(raised.value, with_locals=True))) <= {"rpc key"}


def test_a_crash_reporter_would_find_a_key_that_a_frame_holds(secrets: Secrets) -> None:
    """That traceback_text() sees what it is there to see."""

    def careless(key: str) -> None:
        raise ConfigError("no")

    with pytest.raises(ConfigError) as raised:
        careless(secrets.key)
    assert secrets.found_in(traceback_text(raised.value, with_locals=True)) == ["key"]


def test_committed_notebooks_hold_no_output() -> None:
    notebooks = [json.loads(file.read_text()) for file in NOTEBOOKS.glob("*.ipynb")]
    assert notebooks
    for notebook in notebooks:
        assert [cell for cell in notebook["cells"] if cell.get("outputs")] == []
