"""`gpuagent planners compare --planners stub,cheapest,llm` with a scripted model over real HTTP."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gpuagent.cli import app
from gpuagent.planbench.play import LAMBDA
from tests.support.llm_factories import KEY, OPENAI
from tests.support.llm_server import ChatRequest, LlmServer, ScriptedReply, start_reply
from tests.support.scenarios import document

BUDGETS = (8, 9, 10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files of one decision each, which look different."""
    scenarios = tmp_path / "scenarios"
    scenarios.mkdir()
    for budget in BUDGETS:
        scenario = document(id=f"file-{budget}", run__budgetTotal=budget, run__deadlineTicks=1)
        (scenarios / f"{budget}.json").write_text(json.dumps(scenario))
    return scenarios


@pytest.fixture
def environment(llm_server: LlmServer) -> dict[str, str]:
    return {
        "PLANNER_MODEL": OPENAI,
        "PLANNER_API_BASE": llm_server.url,
        "PLANNER_API_KEY": KEY,
        "PLANNER_PRICES": json.dumps({OPENAI: [0.5, 1.5]}),
    }


def arguments(folder: Path, *more: str) -> list[str]:
    cache = str(folder.parent / "cache")
    options = ["--scenarios", str(folder), "--cache", cache, "--against", "cheapest", "--json", *more]
    return ["planners", "compare", "--planners", "stub,cheapest,llm", *options]


def comparison_json(folder: Path, environment: dict[str, str], *more: str, exit_code: int = 0) -> Any:
    result = CliRunner().invoke(app, arguments(folder, *more), env=environment)
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def test_the_statistics_are_those_computed_by_hand(
    folder: Path, environment: dict[str, str], llm_server: LlmServer
) -> None:
    """The model takes v1 for 4 USD with p=0.6; cheapest takes v2 for 2 USD, half of it back, with p=0.5."""
    llm_server.script(start_reply("v1", maxHours=2))
    comparison = comparison_json(folder, environment, "--limit", "1")
    (pair,) = [pair for pair in comparison["pairs"] if pair["first"] == "llm"]
    by_hand = [(0.6 - LAMBDA * 4 / budget) - (0.5 - LAMBDA * 1.5 / budget) for budget in BUDGETS]
    assert pair["difference"]["mean"] == pytest.approx(sum(by_hand) / 3)
    assert min(by_hand) <= pair["difference"]["low"] <= pair["difference"]["high"] <= max(by_hand)
    (row,) = [row for row in comparison["rows"] if row["planner"] == "llm"]
    assert (row["invalid"], row["complete"]) == (0, pytest.approx(0.6))
    assert int(row["plannerCost"]) == 3 * 650  # 1000 tokens at 0.5 and 100 at 1.5 USD a million
    assert len(llm_server.requests) == 3
    again = comparison_json(folder, environment, "--limit", "1", "--mode", "sampled")
    assert len(llm_server.requests) == 3
    assert [row["planner"] for row in again["rows"] if row["plannerCost"] != "0"] == []


def test_without_a_limit_it_asks_nothing(folder: Path, environment: dict[str, str], llm_server: LlmServer) -> None:
    llm_server.script(start_reply("v1", maxHours=2))
    result = CliRunner().invoke(app, arguments(folder), env=environment)
    assert (result.exit_code, llm_server.requests) == (2, [])
    assert "llm: at most 3 questions" in result.stderr
    assert "--limit" in result.stderr


def test_the_guard_checks_its_answers_on_request(
    folder: Path, environment: dict[str, str], llm_server: LlmServer
) -> None:
    llm_server.script(start_reply("v3", maxHours=2))  # has not the GPU
    (raw,) = [row for row in comparison_json(folder, environment, "--limit", "1")["rows"] if row["planner"] == "llm"]
    assert (raw["invalid"], raw["complete"]) == (3, 0)
    rows = comparison_json(folder, environment, "--limit", "1", "--guard")["rows"]
    guarded, stub = (next(row for row in rows if row["planner"] == name) for name in ("llm", "stub"))
    assert (guarded["invalid"], guarded["refused"]) == (0, 6)
    assert guarded["utility"] == stub["utility"]


def test_interrupted_and_started_again_it_repeats_no_call(
    folder: Path, environment: dict[str, str], llm_server: LlmServer
) -> None:
    running: list[subprocess.Popen[str]] = []

    def interrupt(_: ChatRequest) -> ScriptedReply:
        running[0].send_signal(signal.SIGINT)
        return ScriptedReply(manner="late")

    good = start_reply("v1", maxHours=2)
    llm_server.script(good, good, interrupt)
    command = [sys.executable, "-m", "gpuagent.cli", *arguments(folder, "--limit", "1")]
    pipe = subprocess.PIPE
    running.append(subprocess.Popen(command, env={**os.environ, **environment}, stdout=pipe, stderr=pipe, text=True))
    _, errors = running[0].communicate(timeout=240)
    assert running[0].returncode != 0, errors
    answers = [request.last for request in llm_server.requests[:2]]
    assert len(llm_server.requests) == 3
    llm_server.script(good)
    comparison = comparison_json(folder, environment, "--limit", "1")
    assert comparison["stopped"] == ""
    (request,) = llm_server.requests
    assert request.last not in answers
