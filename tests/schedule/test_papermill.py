"""The notebook of a scheduled run as operators execute it: real kernels, real payments, real signals."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuagent.core.model import RunStatus
from gpuagent.practice import stack
from gpuagent.schedule.result import read
from gpuagent.schedule.run_name import run_id_of
from tests.support.cron_machine import CronMachine, midday_zone
from tests.support.eventually import eventually
from tests.support.market import Market
from tests.support.notebook_path import NOTEBOOK_PATH
from tests.support.notebooks import (
    DEADLINE_S,
    GPUAGENT,
    PAPERMILL,
    SCHEDULED,
    cell,
    errors,
    notebook,
    only_notebook,
    run_process,
    running_process,
    terminate,
)
from tests.support.world import World, build_world

QUICK = ("-p", "pause_s", "0.1")


def schedule_command(folder: Path, *arguments: str) -> tuple[str, ...]:
    where = ("--out", str(folder), "--locks", str(folder / "locks"))
    return (*GPUAGENT, "schedule", "run", str(SCHEDULED), *where, *QUICK, *arguments)


def papermill_command(folder: Path, *arguments: str) -> tuple[str, ...]:
    where = (str(SCHEDULED), str(folder / "out.ipynb"))
    return (*PAPERMILL, *where, "-k", "python3", "--no-progress-bar", *QUICK, *arguments)


@pytest.fixture(scope="module")
def quick_market() -> Iterator[Market]:
    """A notebook goes by the wall clock, so its vendors are quick, and no test turns their clock."""
    with stack.start(PORT="0", MOCK_SPEED="7200") as running:
        market = Market(running)
        yield market
        market.close()


@pytest.fixture
def world(quick_market: Market) -> Iterator[World]:
    quick_market.empty("notebooks")
    with build_world(quick_market, "notebooks") as world:
        yield world
    quick_market.heal()


def test_a_limit_then_another_start_continues_to_the_end_and_once_more(world: World, tmp_path: Path) -> None:
    options = ("-p", "run_id", "n-1", "-p", "budget", "4.5", "-p", "tags", "e27")
    limited = run_process(world.environment, *schedule_command(tmp_path / "limited", *options, "-p", "max_ticks", "1"))
    assert (limited.returncode, "unfinished after 1 ticks" in limited.stderr) == (3, True), limited.stderr
    assert "eavesdropping" not in limited.stderr  # over loopback, where no other user can listen
    assert only_notebook(tmp_path / "limited").name.startswith("40_scheduled_run-n-1-20")
    run = world.store.load(run_id_of("n-1"))
    assert (run.status, run.budget, run.tags) == (RunStatus.RUNNING, 4_500_000, ("e27", "scheduled", "n-1"))
    by_id = ("-p", "run_id", run.run_id, "--json")
    process = run_process(world.environment, *schedule_command(tmp_path, *by_id))
    assert process.returncode == 0, process.stderr
    output, run = json.loads(process.stdout), world.store.load(run.run_id)
    assert (run.status, run.budget, run.tags) == (RunStatus.COMPLETED, 4_500_000, ("e27", "scheduled", "n-1"))
    assert output["result"] == read(only_notebook(tmp_path))
    assert (output["result"]["runId"], output["result"]["outcome"]) == (run.run_id, "completed")
    assert notebook(only_notebook(tmp_path)).metadata.papermill.parameters["run_id"] == run.run_id
    again = run_process(world.environment, *schedule_command(tmp_path, *options, "--json"))
    over = json.loads(again.stdout)["over"]
    assert (again.returncode, over["runId"], over["status"]) == (0, run.run_id, "completed"), again.stderr
    assert len(list(tmp_path.glob("*.ipynb"))) == 1
    world.assert_balanced(run, transfers=1)


def test_the_cron_line_buys_once_and_then_has_nothing_to_do(world: World, tmp_path: Path) -> None:
    """The line of deploy/cron in cron's own environment, twice: what ended is not executed again."""
    names = ("MONGODB_URI", "MONGODB_DB_NAME", "CHAIN_RPC_URL", "GPU_VENDOR_SECRET")
    variables = {name: value for name, value in world.environment.items() if name in names or name.startswith("X402_")}
    variables |= {"GOAL": "Tune it", "BUDGET": "5", "TIMEZONE": midday_zone()}
    file = "".join(f"{name}='{value}'\n" for name, value in variables.items())
    agent = f'#!/bin/sh\nPYTHONPATH={NOTEBOOK_PATH} exec {sys.executable} -m gpuagent.cli "$@"\n'
    machine = CronMachine(tmp_path, agent, file)
    for _ in range(2):
        process = machine.run()
        assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
        result = read(only_notebook(machine.home / "notebooks/nightly"))
    assert (result["outcome"], result["goal"]) == ("completed", "Tune it")
    world.assert_balanced(world.store.load(result["runId"]), transfers=1)


def test_a_failed_run_fails_the_notebook_which_is_kept(world: World, tmp_path: Path) -> None:
    world.market.outcomes("gpu_vendor_1", "0")
    process = run_process(world.environment, *schedule_command(tmp_path, "-p", "budget", "1.5"))
    assert process.returncode == 1, process.stderr
    output = only_notebook(tmp_path)
    ((kind, message),) = errors(output)
    assert kind == "RunFailed"
    assert "failed: no vendor can do it with 0.10 USD" in message
    assert message in process.stderr
    assert cell(output, "check").metadata.papermill.status == "failed"
    assert cell(output, "drive").metadata.papermill.status == "completed"
    assert read(output)["outcome"] == "failed"
    world.assert_balanced(world.store.load(read(output)["runId"]), transfers=1)


def test_sigterm_while_the_vendor_keeps_its_answer_then_resumed_by_papermill_alone(
    world: World, tmp_path: Path
) -> None:
    """The authorization is out and settled, and the agent does not know: the worst moment to be killed."""
    command = schedule_command(tmp_path, "-p", "run_id", "n-3")
    world.market.fault("gpu_vendor_1", "hang_after_settle")
    with running_process(world.environment, *command) as process:
        eventually(
            lambda: process.poll() is not None or world.market.received_headers(world.ports.wallet.address), DEADLINE_S
        )
        (payment,) = world.reads.documents(run_id_of("n-3"))["payments"]
        assert payment["status"] == "pending"
        eventually(lambda: world.transfers(), DEADLINE_S)
        another = run_process(world.environment, *schedule_command(tmp_path, "-p", "run_id", run_id_of("n-3")))
        _, stderr = terminate(process)
    assert (another.returncode, "is being driven by another process" in another.stderr) == (4, True), another.stderr
    assert process.returncode == 143, stderr
    assert "stopped by SIGTERM" in stderr
    ((kind, _),) = errors(only_notebook(tmp_path))
    assert kind == "KeyboardInterrupt"
    assert cell(only_notebook(tmp_path), "drive").metadata.papermill.status == "failed"
    world.market.heal()
    resumption = run_process(world.environment, *papermill_command(tmp_path, "-p", "run_id", "n-3"))
    assert resumption.returncode == 0, resumption.stderr
    (document,) = world.reads.runs()
    run = world.store.load(str(document["_id"]))
    assert (run.run_id, run.status) == (run_id_of("n-3"), RunStatus.COMPLETED)
    world.assert_balanced(run, transfers=1)


def test_sigterm_before_the_first_cell_and_started_again_is_one_run(world: World, tmp_path: Path) -> None:
    with running_process(world.environment, *schedule_command(tmp_path, "-p", "run_id", "n-4")) as process:
        eventually(lambda: process.poll() is not None or list(tmp_path.glob("*.ipynb")), DEADLINE_S)
        terminate(process)
    assert process.returncode in (143, -signal.SIGTERM)  # the latter while papermill itself is still imported
    assert len(world.reads.runs()) <= 1
    assert run_process(world.environment, *schedule_command(tmp_path, "-p", "run_id", "n-4")).returncode == 0
    (document,) = world.reads.runs()
    world.assert_balanced(world.store.load(str(document["_id"])), transfers=1)


def test_a_cell_that_does_not_heed_the_interrupt_is_killed(world: World, tmp_path: Path) -> None:
    """Its grace is short here; what it began is no worse off than after a power cut."""
    script = (
        "import sys, gpuagent.schedule.papermill as e; from pathlib import Path; e.GRACE_S = 1;"
        "print(e.execute(Path(sys.argv[1]), Path(sys.argv[2]), {}))"
    )
    stubborn = tmp_path / "stubborn.ipynb"
    sign = tmp_path / "began"
    source = (
        "import signal, pathlib\\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\\n"
        f"pathlib.Path('{sign}').touch()\\nwhile True: signal.pause()"
    )
    document = json.loads(SCHEDULED.read_text())
    document["cells"] = [{**document["cells"][1], "id": "stubborn", "source": source.replace("\\n", "\n")}]
    stubborn.write_text(json.dumps(document))
    with running_process(
        world.environment, sys.executable, "-c", script, str(stubborn), str(tmp_path / "out.ipynb")
    ) as process:
        eventually(sign.exists, DEADLINE_S)
        stdout, stderr = terminate(process)
    assert "signal=<Signals.SIGTERM: 15>" in stdout or "signal=15" in stdout, stderr
    assert "DeadKernelError" in stdout


def test_bad_parameters_fail_the_notebook_readably(world: World, tmp_path: Path) -> None:
    process = run_process(world.environment, *schedule_command(tmp_path, "-p", "budget", "five"))
    assert (process.returncode, "BadInput: 'five' is not an amount in USD" in process.stderr) == (2, True), (
        process.stderr
    )
    assert world.reads.runs() == []
