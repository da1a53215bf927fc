"""`gpuagent planners`: output, exit codes, and no paid question without a limit."""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gpuagent.adapters.planners.stub import StubPlanner
from gpuagent.agent.start import Order, start
from gpuagent.cli import app
from gpuagent.cli.planner_clients import clients_for
from gpuagent.errors import BadInput
from gpuagent.planbench.compare import estimate
from gpuagent.planbench.scenarios import load
from tests.support.llm_factories import KEY, OPENAI
from tests.support.llm_server import LlmServer, start_reply
from tests.support.scenarios import PricedPlanner, StepPlanner, document, similar_scenarios
from tests.support.world import World


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, ("planners", *arguments), env={"COLUMNS": "120", **environment})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.json").write_text(json.dumps(document(id=name)))
    return tmp_path


def test_compare_prints_the_table_with_the_worst_call(folder: Path) -> None:
    result = invoke("compare", "--planners", "stub,cheapest", "--scenarios", str(folder), "--by", "scenario")
    assert result.exit_code == 0, result.output
    for text in (
        "ALL: 3 scenario files",
        "the slowest",
        "invalid",
        "bayes",
        "rules",
        "cheapest",
        "Paired",
        "written stub in options",
    ):
        assert text in result.stdout


def test_compare_as_json_and_csv(folder: Path, tmp_path: Path) -> None:
    table, before = tmp_path / "plays.csv", tmp_path / "before.csv"
    before.write_text("of before")
    table.hardlink_to(before)
    options = ("--scenarios", str(folder), "--json", "--csv", str(table), "--mode", "sampled")
    result = invoke("compare", "--planners", "all", *options)
    assert result.exit_code == 0, result.output
    comparison = json.loads(result.stdout)
    assert {row["planner"] for row in comparison["rows"]} > {"bayes", "stub", "thompson", "density"}
    assert {pair["second"] for pair in comparison["pairs"]} == {"stub"}
    lines = list(csv.DictReader(table.read_text().splitlines()))
    assert len([line for line in lines if line["planner"] == "stub"]) == 6  # 3 files, 2 replicates each
    assert before.read_text() == "of before", "what was there is replaced, and not written over"


def test_the_bundled_scenarios_are_the_default() -> None:
    assert "ALL: 22 scenario files" in invoke("compare", "--planners", "cheapest").stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--planners", "psychic"), "no planner 'psychic'"),
        (("--planners", "stub,stub"), "name each planner once"),
        (("--planners", "stub", "--mode", "luck"), "no mode 'luck'"),
        (("--planners", "stub", "--by", "vendor"), "no grouping 'vendor'"),
        (("--planners", "stub", "--against", "mean"), "no planner 'mean' is played"),
        (("--planners", "stub", "--limit", "-1"), "is not an amount"),
        (("--planners", "stub", "--scenarios", "/nowhere"), "cannot be read"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], problem: str) -> None:
    result = invoke("compare", *arguments)
    assert (result.exit_code, problem in result.stderr) == (2, True), result.output
    assert len(result.stderr.strip().splitlines()) == 1


def test_what_costs_money_needs_a_limit_and_is_estimated_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command's own function: no planner that charges can be named on the command line here."""
    priced = PricedPlanner(price=2_500)
    with pytest.raises(BadInput, match="--limit"):
        clients_for([priced], partial(estimate, similar_scenarios()), "", tmp_path, guarded=False)
    assert "counting: at most 24 questions, 0.06 USD" in capsys.readouterr().err
    stub, paid = clients_for(
        [StubPlanner(), priced], partial(estimate, similar_scenarios()), "1", tmp_path, guarded=False
    )
    assert (stub.planner.name, paid.planner) == ("stub", priced)
    assert priced.digests == []
    with pytest.raises(BadInput, match="cannot say beforehand"):
        clients_for(
            [StepPlanner("v1", name="llm")], partial(estimate, similar_scenarios()), "1", tmp_path, guarded=False
        )


def test_generate_and_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    assert "10 scenario files" in invoke("generate", "--out", str(folder), "--count", "10", "--seed", "3").stdout
    assert len({variants[0].family for variants in load(folder)}) == 10
    (tmp_path / "file").write_text("")
    refused = invoke("generate", "--out", str(tmp_path / "file"), "--count", "9")
    assert (refused.exit_code, "cannot be written" in refused.stderr) == (2, True)


def test_generated_files_take_their_places_whole(tmp_path: Path) -> None:
    invoke("generate", "--out", str(tmp_path), "--count", "1")
    (place,) = tmp_path.iterdir()
    last = tmp_path / "last"
    last.hardlink_to(place)
    place.write_text("of last month")
    invoke("generate", "--out", str(tmp_path), "--count", "1")
    assert (last.read_text(), json.loads(place.read_bytes())["schema"]) == ("of last month", "planbench/1")


def test_ab_reads_the_runs_arms(world: World, gpuagent: Callable[..., Result]) -> None:
    order = Order("Fine-tune tiny-llm", 5_000_000, planners=(("stub", 3),), tags=("trial",))
    world.finish(start(order, world.ports))
    start(order, world.ports)
    world.start()
    (arm,) = json.loads(gpuagent("planners", "ab", "--json").stdout)["arms"]
    assert (arm["planner"], arm["runs"], arm["ended"], arm["complete"]["mean"]) == ("stub", 2, 1, 1.0)
    assert arm["spend"]["mean"] == 1_400_000
    assert "rules" in gpuagent("planners", "ab", "--tag", "trial").stdout
    assert "no run was started" in gpuagent("planners", "ab", "--tag", "other").stdout


def test_replay_of_a_run_without_decisions(world: World, gpuagent: Callable[..., Result]) -> None:
    result = gpuagent("planners", "replay", world.start().run_id)
    assert (result.exit_code, "nothing to replay" in result.stderr) == (2, True)
    assert gpuagent("planners", "replay", "0" * 24).exit_code == 2


def test_replay_says_beforehand_what_asking_may_cost(
    world: World, gpuagent: Callable[..., Result], llm_server: LlmServer, tmp_path: Path
) -> None:
    llm_server.script(start_reply("gpu_vendor_2"))
    run = world.finish(world.start())
    model = {"PLANNER_MODEL": OPENAI, "PLANNER_API_BASE": llm_server.url, "PLANNER_API_KEY": KEY}
    model["PLANNER_PRICES"] = json.dumps({OPENAI: [0.5, 1.5]})
    replay = ("planners", "replay", run.run_id, "--planner", "llm", "--cache", str(tmp_path))
    refused = gpuagent(*replay, **model)
    assert (refused.exit_code, llm_server.requests) == (2, [])
    assert "llm: at most 1 questions, 0.0" in refused.stderr
    assert "--limit" in refused.stderr
    result = gpuagent(*replay, "--limit", "0.10", **model)
    assert (result.exit_code, len(llm_server.requests)) == (0, 1), result.output
    assert "0 agree, 1 differ" in result.stdout
    again = gpuagent(*replay, "--limit", "0.10", **model)
    assert "llm: at most 0 questions, 0.00 USD" in again.stderr
    assert len(llm_server.requests) == 1


def test_live_refuses_what_is_not_there(folder: Path) -> None:
    result = invoke("live", str(folder / "a.json"), "--replicate", "7")
    assert (result.exit_code, "no variant 0 with a replicate 7" in result.stderr) == (2, True)
