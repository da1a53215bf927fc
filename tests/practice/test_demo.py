"""`gpuagent demo` and `gpuagent up` as a user runs them: processes of their own, which leave none behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest

GPUAGENT = [sys.executable, "-m", "gpuagent.cli"]
MARK = "TMPDIR"
"""Of what servers may know of our environment, the variable whose value can be a test's own."""
STEPS, UNTRAINED_LOSS = 300, 4.0
"""Of examples/tiny_llm: a model that knows nothing spreads its guesses over some 60 characters."""
SECRET = "a-secret-that-no-server-needs"
QUICK = {**{k: v for k, v in os.environ.items() if k != "MONGODB_URI"}, "MOCK_SPEED": "7200"}


def run(*arguments: str, environment: Mapping[str, str] = QUICK) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*GPUAGENT, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every process that a test starts, however deep, inherits its mark; none outlives the test."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setitem(QUICK, MARK, str(folder))
    yield
    _, alive = psutil.wait_procs(marked(), timeout=60)
    assert not alive


def marked() -> list[psutil.Process]:
    processes = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == QUICK[MARK]:
                processes.append(process)
        except psutil.Error:  # it has ended, or is not ours
            continue
    return processes


def test_demo_json_whatever_the_agent_is_pointed_at(tmp_path: Path) -> None:
    elsewhere = {
        "MONGODB_URI": "mongodb://127.0.0.1:1",
        "CHAIN_RPC_URL": "http://127.0.0.1:1",
        "X402_NETWORK": "eip155:8453",
        "X402_PRIVATE_KEY": "0x1",
        "X402_CONFIRMATIONS": "9",
        "FACILITATOR_URL": "https://facilitator.example",
        "CDP_WALLET_SECRET": "elsewhere",
    }
    process = run("demo", "--json", "--save", str(tmp_path), environment={**QUICK, **elsewhere})
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout)
    assert set(document) == {"run", "jobs", "payments", "observations", "chain", "books", "seconds", "files", "resumed"}
    assert [(job["vendorId"], job["status"]) for job in document["jobs"]] == [
        ("gpu_vendor_1", "failed"),
        ("gpu_vendor_2", "completed"),
    ]
    assert [payment["status"] for payment in document["payments"]] == ["completed", "completed"]
    books, chain = document["books"], document["chain"]
    assert books["balanced"] is True
    assert (books["budget"], books["held"]) == ("5000000", "0")
    amounts = [int(transfer["amount"]) for transfer in chain["transfers"]]
    assert amounts == [int(payment["amount"]) for payment in document["payments"]]
    assert sum(amounts) == int(books["settled"]) == int(chain["before"]) - int(chain["after"])
    assert int(books["settled"]) + int(books["available"]) == 5_000_000
    assert {t["tx"] for t in chain["transfers"]} == {payment["x402TxId"] for payment in document["payments"]}
    assert document["observations"] > 10
    assert [(file["path"], file["vendor"]) for file in document["files"]] == [
        ("model.npz", "gpu_vendor_2"),
        ("metrics.jsonl", "gpu_vendor_2"),
        ("sample.txt", "gpu_vendor_2"),
    ]
    resumed = document["resumed"]
    assert resumed["from_fraction"] >= 0.33
    assert resumed["hours_bought"] + resumed["hours_saved"] == 1
    first, second = (job["jobParams"]["maxHours"] for job in document["jobs"])
    assert (first, second) == (1, resumed["hours_bought"])
    for file in document["files"]:
        content = (tmp_path / file["path"]).read_bytes()
        assert (len(content), sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
    check_that_the_loss_goes_on(document["jobs"], tmp_path / "metrics.jsonl")


def check_that_the_loss_goes_on(jobs: Any, second: Path) -> None:
    """second: the metrics of the second job. It begins where the first one's checkpoint was, and with its weights."""
    metrics = [json.loads(line) for line in second.read_text().splitlines()]
    checkpoint_step = round(jobs[0]["checkpoint"]["fraction"] * STEPS)
    assert [metric["step"] for metric in metrics] == list(range(checkpoint_step + 10, STEPS + 1, 10))
    assert metrics[0]["loss"] < UNTRAINED_LOSS / 1.4
    assert metrics[-1]["loss"] < metrics[0]["loss"]


def test_demo_without_failure_buys_once() -> None:
    document = json.loads(run("demo", "--json", "--fail-vendor", "none", "--budget", "1.40").stdout)
    assert [job["status"] for job in document["jobs"]] == ["completed"]
    assert document["resumed"] is None
    assert {file["vendor"] for file in document["files"]} == {"gpu_vendor_1"}
    assert document["books"]["available"] == "0"


def test_demo_that_cannot_be_completed_says_why() -> None:
    process = run("demo", "--budget", "1.5")
    assert process.returncode == 4
    assert "run failed: no vendor can do it with 0.10 USD" in " ".join(process.stdout.split())
    assert "the books balance" in process.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--budget", "-5"), "not an amount in USD"),
        (("--fail-vendor", "nobody"), "FAIL_VENDOR_ID='nobody'"),
        (("--fail-rate", "2"), "FAIL_RATE='2'"),
    ],
)
def test_demo_with_bad_input(arguments: tuple[str, ...], message: str) -> None:
    process = run("demo", *arguments)
    assert process.returncode == 2
    assert message in process.stderr


@contextmanager
def up(*arguments: str) -> Iterator[tuple[Any, dict[str, str]]]:
    command = [*GPUAGENT, "up", "--json", "--port", "0", *arguments]
    with subprocess.Popen(command, env=QUICK, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert process.stdout
        try:
            for line in process.stderr:
                if "running" in line:
                    break
            text = ""
            while not text.endswith("}\n"):
                text += process.stdout.readline() or pytest.fail("it ended before it was up")
            yield process, {**QUICK, **json.loads(text)}
        finally:
            process.kill()


def buy(environment: Mapping[str, str]) -> Any:
    first = run("run", "start", "--goal", "g", "--budget", "5", "--json", environment=environment)
    assert first.returncode == 0, first.stderr
    run_id = json.loads(first.stdout)["run"]["_id"]
    last = run("run", "tick", run_id, "--until-over", "--json", environment=environment)
    assert last.returncode == 0, last.stderr
    return json.loads(last.stdout)["run"]


def test_up_gives_its_servers_no_secret_and_ends_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("X402_PRIVATE_KEY", "GPU_VENDOR_SECRET", "OPENAI_API_KEY"):  # real ones, of the user's shell
        monkeypatch.setitem(QUICK, name, SECRET)
    with up("--ephemeral") as (process, environment):
        servers = [server for server in marked() if server.pid != process.pid]
        assert {"mongod", "anvil"} <= {server.name() for server in servers}
        assert len(servers) >= 4, "they, the supervisor and the vendors"
        for server in servers:
            assert SECRET not in server.environ().values(), server
            assert environment["MONGODB_URI"].split("@")[0] not in " ".join(server.cmdline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_up_serves_other_shells_and_again_with_its_runs_chain_and_jobs(tmp_path: Path) -> None:
    """Killed at the end, it takes its servers along."""
    with up("--folder", str(tmp_path)) as (process, environment):
        bought = buy(environment)
        assert bought["status"] == "completed"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    with up("--folder", str(tmp_path)) as (process, environment):
        books = run("books", bought["_id"], "--json", environment=environment)
        assert json.loads(books.stdout)["balanced"] is True, books.stderr
        assert buy(environment)["status"] == "completed"
        process.kill()
        process.wait(60)
