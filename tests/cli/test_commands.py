"""The `gpuagent` command: its texts, exit codes and JSON; bad input writes and signs nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gpuagent import settings
from gpuagent.cli import app
from tests.conftest import DATABASE
from tests.support.world import World

START = ("run", "start", "--goal", "Fine-tune tiny-llm")


def started(gpuagent: Callable[..., Result]) -> str:
    return str(json.loads(gpuagent(*START, "--budget", "5", "--json").stdout)["run"]["_id"])


def assert_untouched(world: World) -> None:
    """Nothing was written, nothing was signed."""
    assert world.reads.runs() == []
    assert world.market.received_headers(world.ports.wallet.address) == []


def test_a_run_from_start_to_books(world: World, gpuagent: Callable[..., Result]) -> None:
    run_id = started(gpuagent)
    step = json.loads(gpuagent("run", "step", run_id, "--json").stdout)
    assert [job["state"] for job in step["jobs"]] == ["reserved"]
    assert step["run"]["held"] == "1400000"
    for _ in range(2):
        assert gpuagent("run", "tick", run_id).exit_code == 0
        world.market.work(600)
    status = json.loads(gpuagent("run", "status", run_id, "--json").stdout)
    assert status["run"]["phase"] == "WAITING"
    world.market.work()
    last = gpuagent("run", "tick", run_id, "--until-over")
    assert last.exit_code == 0, last.output
    assert "SUCCESS" in last.output
    runs = json.loads(gpuagent("run", "list", "--json").stdout)["runs"]
    assert [(run["_id"], run["status"]) for run in runs] == [(run_id, "completed")]
    books = json.loads(gpuagent("books", run_id, "--json").stdout)
    assert (books["settled"], books["onChain"], books["balanced"]) == ("1400000", "1400000", True)
    assert "header" not in status["payments"][0]


def test_looking_needs_no_key_and_no_chain(world: World, gpuagent: Callable[..., Result]) -> None:
    run_id = started(gpuagent)
    world.finish(run_id)
    bare = dict.fromkeys(("X402_PRIVATE_KEY", "CHAIN_RPC_URL", "X402_ASSET", "GPU_VENDOR_SECRET"))
    for command in (("run", "list"), ("run", "status", run_id), ("run", "watch", run_id), ("vendor", "list")):
        assert gpuagent(*command, **bare).exit_code == 0
    assert gpuagent("books", run_id, X402_PRIVATE_KEY=None).exit_code == 0
    lines = [json.loads(line) for line in gpuagent("run", "watch", run_id, "--json", **bare).stdout.splitlines()]
    assert [observation["content"] for observation in lines] == [
        observation["content"] for observation in world.reads.documents(run_id)["observations"]
    ]


def test_watch_shows_what_a_user_wants_to_see(world: World, gpuagent: Callable[..., Result]) -> None:
    run_id = started(gpuagent)
    world.finish(run_id)
    result = gpuagent("run", "watch", run_id)
    assert result.exit_code == 0
    for text in ("SUCCESS", "1.40 USD settled", "3.60 USD available of 5.00 USD", "gpu_vendor_1", "Why", "likely at"):
        assert text in result.output
    assert "[done] artifact" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--budget", "-1"), "not an amount"),
        (("--budget", "0"), "more than 0"),
        (("--budget", "1e9"), "not an amount"),
        (("--budget", "99999999999"), "above the limit"),
        (("--budget", "1.0000001"), "finer than"),
        (("--budget", "five"), "not an amount"),
        (("--budget", "5", "--hours", "0"), "hours are at least 0.01"),
        (("--budget", "5", "--hours", "NaN"), "hours are at least 0.01"),
        (("--budget", "5", "--hours", "an hour"), "not a number"),
        (("--budget", "5", "--vendor", "nobody"), "known: gpu_vendor_1"),
        (("--budget", "5", "--gpu", "TPU"), "no enabled vendor offers TPU"),
        (("--budget", "5", "--gpu", "A10O"), "did you mean A100?"),
        (("--budget", "5", "--planner", "oracle"), "no planner 'oracle'"),
        (("--budget", "5", "--goal", " "), "a goal is a text"),
    ],
)
def test_a_bad_order_is_refused_in_words(
    world: World, gpuagent: Callable[..., Result], arguments: tuple[str, ...], says: str
) -> None:
    result = gpuagent(*START, *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert_untouched(world)


@pytest.mark.parametrize("command", [("run", "tick"), ("run", "step"), ("run", "status"), ("run", "watch"), ("books",)])
@pytest.mark.parametrize("run_id", ["0" * 24, "nonsense"])
def test_a_run_that_is_not_there_names_the_list(
    gpuagent: Callable[..., Result], command: tuple[str, ...], run_id: str
) -> None:
    result = gpuagent(*command, run_id)
    assert result.exit_code == 2
    assert "gpuagent run list" in result.stderr


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"X402_PRIVATE_KEY": None}, "set X402_PRIVATE_KEY"),
        ({"X402_PRIVATE_KEY": "0xabc"}, "is not a private key"),
        ({"CHAIN_RPC_URL": None}, "set CHAIN_RPC_URL"),
        ({"CHAIN_RPC_URL": "http://127.0.0.1:1"}, "the chain does not answer"),
        ({"X402_NETWORK": "ethereum"}, "write one of local, base-sepolia, base, or a CAIP-2 network"),
        ({"X402_NETWORK": "eip155:8453"}, "is chain 31337, not eip155:8453"),
        ({"X402_ASSET": None}, "set X402_ASSET"),
        ({"X402_CONFIRMATIONS": "some"}, "X402_CONFIRMATIONS='some'"),
        ({"VENDOR_PATIENCE_S": "-1"}, "VENDOR_PATIENCE_S='-1'"),
        ({"VENDOR_PATIENCE_S": "half an hour"}, "VENDOR_PATIENCE_S=(12 characters"),
        ({"PLANNER_MODE": "llm2"}, "PLANNER_MODE='llm2'"),
        ({"MONGODB_URI": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"}, "check MONGODB_URI"),
    ],
)
def test_environment_that_cannot_work(
    world: World, gpuagent: Callable[..., Result], environment: dict[str, str | None], says: str
) -> None:
    result = gpuagent(*START, "--budget", "5", **environment)
    assert result.exit_code in (1, 2)
    assert says in result.stderr
    assert_untouched(world)


def test_wrong_secret_is_said_and_leaves_the_run_to_go_on(world: World, gpuagent: Callable[..., Result]) -> None:
    run_id = started(gpuagent)
    result = gpuagent("run", "tick", run_id, GPU_VENDOR_SECRET="wrong")
    assert result.exit_code == 1
    assert "refuses the bearer token in GPU_VENDOR_SECRET" in result.stderr
    result = gpuagent("run", "tick", run_id, GPU_VENDOR_SECRET=None)
    assert result.exit_code == 1
    assert "set GPU_VENDOR_SECRET" in result.stderr
    assert world.reads.documents(run_id)["jobs"] == []
    assert world.market.received_headers(world.ports.wallet.address) == []
    assert world.finish(run_id).status == "completed"


def test_a_secret_that_cannot_be_sent_is_said_and_stored_nowhere(world: World, gpuagent: Callable[..., Result]) -> None:
    run_id = started(gpuagent)
    for secret in ("hunter2\nhunter2", "hünter2"):
        result = gpuagent("run", "tick", run_id, GPU_VENDOR_SECRET=secret)
        assert result.exit_code == 1
        assert "set GPU_VENDOR_SECRET" in result.stderr
        assert "unter2" not in result.output
    assert world.reads.documents(run_id)["observations"] == []
    mounted = world.environment["GPU_VENDOR_SECRET"] + "\n"
    assert gpuagent("run", "tick", run_id, GPU_VENDOR_SECRET=mounted).exit_code == 0


def test_passwords_and_keys_are_not_shown(world: World, gpuagent: Callable[..., Result]) -> None:
    for name, value in {
        "MONGODB_URI": "mongodb://user:pa/ssword@127.0.0.1/db",
        "CHAIN_RPC_URL": "http://127.0.0.1:1/v2/ssword",
    }.items():
        result = gpuagent(*START, "--budget", "5", **{name: value})
        assert result.exit_code in (1, 2)
        assert "ssword" not in result.output
    text = repr(settings.read(world.environment))
    assert not any(world.environment[name] in text for name in ("X402_PRIVATE_KEY", "MONGODB_URI"))


def test_a_vendor_named_twice_is_asked_once(world: World, gpuagent: Callable[..., Result]) -> None:
    options = ("--vendor", "gpu_vendor_1") * 2
    run_id = json.loads(gpuagent(*START, "--budget", "5", *options, "--json").stdout)["run"]["_id"]
    assert world.finish(run_id).status == "completed"


@pytest.mark.parametrize(
    "change",
    [
        {"payTo": "0x…"},
        {"payTo": "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293Bc"},
        {"asset": "USDC"},
        {"secretEnv": "sk-123 secret"},
        {"endpoint": "http://["},
        {"vendorId": "ünicode"},
        {"vendorId": ""},
        {"reliabilityScore": 2},
        {"reliabilityScore": None},
        {"basePricePerHour": "-1"},
    ],
)
def test_vendor_records_that_cannot_work(
    gpuagent: Callable[..., Result], tmp_path: Path, change: dict[str, Any]
) -> None:
    entry = json.loads(gpuagent("vendor", "list", "--json").stdout)["vendors"][0]
    (tmp_path / "vendors.json").write_text(json.dumps({"vendors": [{**entry, **change}]}))
    result = gpuagent("vendor", "seed", str(tmp_path / "vendors.json"))
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_missing_secret_is_no_failure_of_the_vendor(world: World, gpuagent: Callable[..., Result]) -> None:
    run_id = started(gpuagent)
    for advance in ("step", "tick"):  # to reserved, to underway
        assert gpuagent("run", advance, run_id).exit_code == 0
        before = world.store.load(run_id)
        result = gpuagent("run", "step", run_id, GPU_VENDOR_SECRET=None)
        assert result.exit_code == 1
        assert "set GPU_VENDOR_SECRET" in result.stderr
        assert world.store.load(run_id) == before
    world.market.work()
    assert gpuagent("run", "tick", run_id, "--until-over").exit_code == 0
    assert [job.quote.vendor_id for job in world.store.load(run_id).jobs] == ["gpu_vendor_1"]


def test_a_wallet_without_money_starts_nothing(make_world: Callable[..., World]) -> None:
    world = make_world(funds=0)
    result = CliRunner().invoke(app, [*START, "--budget", "5"], env=world.environment)
    assert result.exit_code == 3
    assert f"wallet {world.ports.wallet.address} holds 0.00 USD" in result.stderr
    assert_untouched(world)


def test_wallet_with_less_than_the_price(make_world: Callable[..., World]) -> None:
    world = make_world(funds=1_399_999)
    run = world.start()
    result = CliRunner().invoke(app, ["run", "tick", run.run_id], env=world.environment)
    assert result.exit_code == 3
    assert "needs 1.40 USD: fund it and tick again" in result.stderr
    assert world.store.load(run.run_id) == run
    world.market.fund(world.ports.wallet.address, 1)
    world.assert_balanced(world.finish(run), transfers=1)


def test_a_run_that_fails_exits_with_4(world: World, gpuagent: Callable[..., Result]) -> None:
    run_id = json.loads(gpuagent(*START, "--budget", "1", "--json").stdout)["run"]["_id"]
    result = gpuagent("run", "tick", run_id)
    assert result.exit_code == 4
    assert "gpu_vendor_1 asks 1.40 USD" in " ".join(result.output.split())


def test_books_that_differ_exit_with_1(world: World, gpuagent: Callable[..., Result]) -> None:
    run = world.start()
    world.market.fault("gpu_vendor_1", "settle_late")
    world.tick(run)
    world.market.heal()
    world.market.control("POST", "settle")
    result = gpuagent("books", run.run_id)
    assert result.exit_code == 1
    assert "still held in the ledger: tick the run" in " ".join(result.output.split())
    world.finish(run)
    assert gpuagent("books", run.run_id).exit_code == 0


def test_books_of_everything(world: World, gpuagent: Callable[..., Result]) -> None:
    for _ in range(2):
        world.finish(world.start())
    good = gpuagent("books", "--all", "--json")
    assert good.exit_code == 0, good.output
    assert json.loads(good.stdout) == {
        "wallets": [world.ports.wallet.address],
        "transfers": 2,
        "amount": "2800000",
        "settled": "2800000",
        "settledByProtocol": {"gpuagent/1": "2800000"},
        "held": "0",
        "inFlight": 0,
        "incoming": 1,  # what the wallet began with
        "received": "1000000000",
        "refunded": "0",
        "findings": [],
        "repaired": [],
        "balanced": True,
    }
    with world.market.restored(DATABASE):
        world.finish(world.start())
    lost = gpuagent("books", "--all")
    assert lost.exit_code == 1
    assert "an authorization was used that no ledger knows" in " ".join(lost.output.split())
    for wrong in ((), ("0" * 24, "--all"), ("0" * 24, "--repair"), ("0" * 24, "--from-block", "0")):
        assert gpuagent("books", *wrong).exit_code == 2


def test_vendors_are_listed_and_seeded_again(world: World, gpuagent: Callable[..., Result], tmp_path: Path) -> None:
    entries = gpuagent("vendor", "list", "--json").stdout
    (tmp_path / "vendors.json").write_text(entries)
    assert gpuagent("vendor", "seed", str(tmp_path / "vendors.json")).exit_code == 0
    assert gpuagent("vendor", "list", "--json").stdout == entries
    assert "gpu_vendor_3" in gpuagent("vendor", "list").stdout
    (tmp_path / "vendors.json").write_text('{"vendors": [{"vendorId": "x"}]}')
    result = gpuagent("vendor", "seed", str(tmp_path / "vendors.json"))
    assert result.exit_code == 2
    assert "line 1: name of vendor 'x' is missing" in result.stderr
    assert gpuagent("vendor", "list", "--json").stdout == entries
    (tmp_path / "vendors.json").write_text("[]")
    assert gpuagent("vendor", "seed", str(tmp_path / "vendors.json")).exit_code == 2


def test_a_vendor_check_says_what_holds_and_what_does_not(world: World, gpuagent: Callable[..., Result]) -> None:
    url = world.environment["VENDOR_URL"]
    good = gpuagent("vendor", "check", url, "--json")
    assert good.exit_code == 0, good.output
    checks = {check["check"]: check for check in json.loads(good.stdout)["checks"]}
    assert all(check["passed"] for check in checks.values())
    assert checks["names states of a job in words that are known"]["said"] == "running, completed, failed"
    assert checks["names the job of a paid order"]["said"].startswith("vendorJobId")
    assert checks["answers an order twice alike"]["said"] == "the same 402"
    for fault, says in (("raise_price", "another amount"), ("garbage", "not JSON"), ("down", "answered 503")):
        world.market.heal()
        world.market.fault("gpu_vendor_1", fault)
        bad = gpuagent("vendor", "check", url)
        assert bad.exit_code == 1
        assert says in " ".join(bad.output.split())
    assert gpuagent("vendor", "check", "http://127.0.0.1:1").exit_code == 1
    stranger = gpuagent("vendor", "check", "http://127.0.0.1:1", "--protocol", "prism")
    assert (stranger.exit_code, "asks by 402 for a payment to one payee" in stranger.stdout) == (1, True)
    assert gpuagent("vendor", "check", url, "--protocol", "telegraph").exit_code == 2
    assert gpuagent("vendor", "check", url, GPU_VENDOR_SECRET=None).exit_code == 2


def test_help_is_light() -> None:
    """Start-up imports no library that only some commands need: that would make --help slow."""
    heavy = ("pymongo", "httpx", "x402", "web3", "eth_account", "litellm", "pandas", "fastapi")
    code = f"import sys, gpuagent.cli; sys.exit(str([m for m in {heavy} if m in sys.modules] or 0))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.stderr.strip() == "0"


LOOK = """
import sys
from contextlib import suppress

from pymongo.periodic_executor import PeriodicExecutor

join = PeriodicExecutor.join
PeriodicExecutor.join = lambda executor, *timeout: (print("waited for a thread"), join(executor, *timeout))
from gpuagent.cli import app

with suppress(SystemExit):
    app(["run", "list", "--json"])
print(*sorted(sys.modules), file=sys.stderr)
"""


def test_a_look_at_the_database_loads_what_it_needs_and_ends_at_once(world: World) -> None:
    """MongoDB's driver would wait for threads that sleep, half a second in each process that asked for anything."""
    environment = {**os.environ, **world.environment}
    process = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True, env=environment)
    assert json.loads(process.stdout) == {"runs": [], "next": None}
    heavy = {"pymongo", "httpx", "web3", "pydantic", "gpuagent.core.events", "gpuagent.core.workload"}
    others = {f"gpuagent.adapters.mongo.{name}" for name in ("store", "queries", "ledgers", "archives")}
    assert (heavy | others).intersection(process.stderr.split()) == {"pymongo"}
