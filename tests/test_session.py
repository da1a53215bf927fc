"""The session: the environment's agent, or an embedded one; one stack to a folder; JupyterLab with our defaults."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from click.testing import Result

from gpuagent import quickstart
from gpuagent.adapters.planners.registry import PlannerRegistry
from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.cli.lab import LAB_CONFIG, lab_environment, notebooks_folder
from gpuagent.core.ports.planner import Planner
from gpuagent.errors import BadInput, ConfigError, UnknownRun, VendorError
from gpuagent.practice import stack
from gpuagent.practice.faults import FAULTS, JOBS_FAIL, fault_switches
from gpuagent.session import open_records, open_session, resolved_environment
from gpuagent.settings import CHAIN_NAMES
from tests.support.world import World


def test_a_configured_environment_is_taken_as_it_is(world: World) -> None:
    with resolved_environment(world.environment) as environment:
        assert environment == world.environment
    with open_session(world.environment) as session:
        assert session.agent.ports.wallet.address == world.ports.wallet.address
        assert session.faults is not None
    without = {name: value for name, value in world.environment.items() if name != "VENDOR_URL"}
    with open_session(without) as session:
        assert session.faults is None


def test_records_of_the_embedded_stack_can_be_read_during_and_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with open_session({}) as session:
        run = quickstart.launch(session, "tiny_llm", "5", "none")
        with open_records({}) as during:
            assert during.store.load(run.run_id) == run
    with open_records({}) as afterwards:
        assert afterwards.store.load(run.run_id) == run


@pytest.mark.parametrize("name", CHAIN_NAMES)
def test_half_a_configuration_is_an_error_and_no_reason_to_embed(name: str) -> None:
    with pytest.raises(ConfigError), open_session({name: "eip155:8453"}):
        pass


def test_the_quickstart_survives_the_failing_vendor(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with open_session(world.environment) as session:
        run = quickstart.launch(session, "tiny_llm", "5", "gpu_vendor_1")
        assert session.faults
        assert session.faults.on() == {("gpu_vendor_1", JOBS_FAIL)}
        assert quickstart.follow(session, run).status == "completed"
        assert session.faults.on() == set()
        assert quickstart.books(session, run).balanced
    output = capsys.readouterr().out
    assert "gpu_vendor_1 failed the job" in output
    assert "gpu_vendor_2 completed the job" in output
    assert re.search(r"gpu_vendor_2 went on from \d\d% of the work: 0\.\d+ h were bought there, 0\.\d+ h saved", output)
    assert "the model writes: " in output
    assert "the books balance" in output


def test_a_fault_goes_off_however_the_quickstart_ends(world: World) -> None:
    """At the vendors of another process, which go on; what had been set there before is there again."""

    def scripts() -> dict[str, str]:
        scripts = world.market.control("GET", "outcomes")["scripts"]
        return {vendor_id: script for vendor_id, script in scripts.items() if script}

    world.market.outcomes("gpu_vendor_2", "01")
    before = scripts()
    with open_session(world.environment) as session:
        run = quickstart.launch(session, "tiny_llm", "5", "gpu_vendor_1")
        assert {vendor_id for vendor_id, script in scripts().items() if "0" in script} == {"gpu_vendor_1"}
        with pytest.raises(UnknownRun):
            quickstart.follow(session, replace(run, run_id="f" * 24))
        assert scripts() == before, "it was broken off"
        with pytest.raises(BadInput):
            quickstart.launch(session, "tiny_llm", "0", "gpu_vendor_1")
        assert scripts() == before, "nothing was launched"
        quickstart.launch(session, "tiny_llm", "5", "gpu_vendor_1")
        quickstart.launch(session, "tiny_llm", "5", "gpu_vendor_3")
    assert scripts() == before, "none was followed"


def test_faults_are_those_of_the_mock(world: World) -> None:
    names = {fault["name"] for fault in world.market.control("GET", "faults")["faults"]}
    assert set(FAULTS) - {JOBS_FAIL} <= names


def test_a_market_that_is_not_there_is_a_vendor_error() -> None:
    with fault_switches({"VENDOR_URL": "http://127.0.0.1:1"}) as faults:
        assert faults
        with pytest.raises(VendorError, match="does not answer"):
            faults.on()


def test_one_stack_to_a_folder(tmp_path: Path) -> None:
    refused = pytest.raises(ConfigError, match="another process runs the stack")
    with stack.folder_lock(tmp_path), refused, stack.folder_lock(tmp_path, wait_s=0):
        pass
    with stack.folder_lock(tmp_path, wait_s=0):
        pass


def test_the_folder_is_free_only_when_the_vendors_have_ended_too(tmp_path: Path) -> None:
    """A killed kernel leaves vendors that are still writing their chain down."""
    code = "import sys, pathlib; from gpuagent.practice import stack\n"
    code += "with stack.start(pathlib.Path(sys.argv[1])): print(flush=True), input()"
    environment = {**os.environ, "PORT": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as kernel:
        assert kernel.stdout
        kernel.stdout.readline()
        (vendor,) = [child for child in psutil.Process(kernel.pid).children() if "mock_vendor" in child.cmdline()]
        vendor.suspend()
        kernel.kill()
    with pytest.raises(ConfigError), stack.folder_lock(tmp_path, wait_s=0):
        pass
    vendor.resume()
    with stack.folder_lock(tmp_path, wait_s=60):
        pass


def test_a_planner_may_be_named_with_its_model() -> None:
    models: list[str] = []

    def llm(model: str) -> Planner:
        models.append(model)
        return StubPlanner()

    def stub(option: str) -> Planner:
        if option:
            raise KeyError(option)
        return StubPlanner()

    planners = PlannerRegistry({"stub": stub, "llm": llm})
    assert "llm:some/model:free" in planners
    assert planners["llm:some/model:free"] is planners["llm:some/model:free"]
    assert models == ["some/model:free"]
    assert "stub:x" not in planners
    assert "other:x" not in planners
    assert list(planners) == ["stub", "llm"]


def test_a_run_is_started_with_a_model_in_its_planner(world: World, gpuagent: Callable[..., Result]) -> None:
    key = {"OPENAI_API_KEY": "sk-test", "PLANNER_PRICES": '{"openai/mine": [1, 2]}'}
    arguments = ("run", "start", "--goal", "g", "--budget", "5", "--json", "--planner")
    started = gpuagent(*arguments, "llm:openai/mine", **key)
    assert started.exit_code == 0, started.output
    assert json.loads(started.stdout)["run"]["planner"] == "llm:openai/mine"
    for wrong in ("stub:openai/mine", "llm:nobody/nothing"):
        assert gpuagent(*arguments, wrong, **key).exit_code == 2


def test_lab_gives_jupyterlab_our_defaults_below_the_persons_own() -> None:
    paths = lab_environment({"JUPYTER_CONFIG_PATH": "/mine", "X": "y"})
    assert paths == {"X": "y", "JUPYTER_CONFIG_PATH": f"/mine:{LAB_CONFIG}"}
    shipped = json.loads((LAB_CONFIG / "labconfig" / "default_setting_overrides.json").read_text())
    assert shipped["@jupyterlab/apputils-extension:kernels-settings"] == {"commsOverSubshells": "disabled"}


def test_lab_opens_the_notebooks_of_the_checkout_or_those_that_are_named(
    tmp_path: Path, gpuagent: Callable[..., Result]
) -> None:
    assert (notebooks_folder(None) / "10_run_console.ipynb").exists()
    assert notebooks_folder(tmp_path) == tmp_path
    missing = gpuagent("lab", "--folder", str(tmp_path / "none"))
    assert missing.exit_code == 2
    assert "is no folder" in missing.output


def test_the_package_is_light_and_knows_no_widgets() -> None:
    code = "import sys, gpuagent.cli; sys.exit(str([m for m in ('ipywidgets', 'IPython') if m in sys.modules] or 0))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr.strip() == "0"
