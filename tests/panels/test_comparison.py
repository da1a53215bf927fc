"""The comparison of planners in a notebook: form, Stop, tables and chart, and no payment beyond the user's limit."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gpuagent.errors import BadInput, ConfigError
from gpuagent.panels.comparison import (
    ComparisonForm,
    ComparisonRequest,
    cost_table,
    difference_chart,
    disagreement_table,
    family_table,
    paired_table,
    parse_planner_names,
    replay_decisions,
    replay_table,
    score_table,
    several_table,
)
from gpuagent.panels.comparison.runner import ComparisonRun
from gpuagent.planbench.compare import Comparison
from gpuagent.planbench.disagreements import disagreements
from tests.support.eventually import eventually
from tests.support.llm_factories import KEY, OPENAI
from tests.support.llm_server import LlmServer, ScriptedReply, start_reply
from tests.support.notebooks import (
    COMPARE,
    DEADLINE_S,
    PAPERMILL,
    cell,
    embedded_environment,
    errors,
    notebook,
    run_process,
)
from tests.support.scenarios import document, sweep_document
from tests.support.world import World

NO_KEY: dict[str, str] = {}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Three files of one decision each: cheapest takes v2, reliable takes v1."""
    for budget in (8, 9, 10):
        scenario = document(id=f"file-{budget}", run__budgetTotal=budget, run__deadlineTicks=1)
        scenario["vendors"][1]["reliabilityScore"] = 0.1
        (tmp_path / f"{budget}.json").write_text(json.dumps(scenario))
    return str(tmp_path)


@pytest.fixture
def llm(llm_server: LlmServer) -> dict[str, str]:
    prices = json.dumps({OPENAI: [0.5, 1.5]})
    variables = ("PLANNER_MODEL", "PLANNER_API_BASE", "PLANNER_API_KEY", "PLANNER_PRICES")
    return dict(zip(variables, (OPENAI, llm_server.url, KEY, prices), strict=True))


def at_form(
    scene: Callable[[ComparisonForm], Awaitable[None]], request: ComparisonRequest, environ: dict[str, str], cache: Path
) -> None:
    async def play_scene() -> None:
        await scene(ComparisonForm(request, environ, cache))

    asyncio.run(play_scene())


def comparison_of(folder: str, *planners: str) -> Comparison:
    return ComparisonRun(ComparisonRequest(planners, folder), NO_KEY).play()


def test_what_is_shown_are_the_figures_of_the_comparison(folder: str) -> None:
    comparison = comparison_of(folder, "cheapest", "reliable")
    assert "reliable | 3 | 60.0% | " in score_table(comparison).plain  # v1 succeeds with p=0.6
    assert "cheapest | 3 | 50.0% | " in score_table(comparison).plain
    # Three files alike: v1 for 4 USD, v2 for 2, half of it back when it fails, of budgets of 8, 9 and 10.
    spend = sum((4 - 1.5) / budget for budget in (8, 9, 10)) / 3
    (row,) = [line for line in paired_table(comparison, "cheapest").plain.splitlines() if line.startswith("reliable")]
    assert row.startswith(f"reliable | +10.0 [+10.0, +10.0] | +{100 * spend:.1f} [")
    assert paired_table(comparison).plain.splitlines()[1].startswith("less cheapest")
    assert "honest | 3 | 50.0% | 60.0%" in family_table(comparison).plain
    picture = difference_chart(comparison)
    assert picture.png.startswith(b"\x89PNG")
    assert "reliable completes +10.0 [+10.0, +10.0] points" in picture.alt


def test_several_jobs_are_shown_with_what_they_cost(folder: str) -> None:
    """Of three jobs v2 completes two at 1 USD each, and one more fails there; the oracle buys one of v1 instead."""
    assert "No scenario has a run with several jobs" in several_table(comparison_of(folder, "cheapest")).plain
    bounds = {"oracle": {"complete": 1, "spend": 4, "jobs": 3}}
    sweep = sweep_document(3, 3, {"v1": ["1"], "v2": ["011"]}, run__deadlineTicks=1, bounds=bounds)
    Path(folder, "sweep.json").write_text(json.dumps(sweep))
    table = several_table(comparison_of(folder, "cheapest"))
    lines = table.plain.splitlines()
    assert lines[2:4] == [
        "oracle (bound) | 1 | 3.00 of 3.00 | 100.0% | 4.00 USD | 1.33 USD | 0.9960 | ",
        "cheapest | 1 | 2.00 of 3.00 | 0.0% | 3.00 USD | 1.50 USD | 0.6637 | +33.2 [+33.2, +33.2]",
    ]
    assert "oracle" not in score_table(comparison_of(folder, "cheapest")).plain


def test_one_planner_makes_no_pair(folder: str) -> None:
    alone = comparison_of(folder, "cheapest")
    assert "Two planners make a pair" in paired_table(alone).plain
    assert difference_chart(alone).title == "Two planners make a pair"
    assert "The planners agreed" in disagreement_table(alone).plain


def test_disagreements_say_who_said_what(folder: str) -> None:
    comparison = comparison_of(folder, "cheapest", "reliable", "density")
    first = disagreements(comparison)[0]
    assert (len(disagreements(comparison)), first.survival, first.tick) == (3, 1.0, 0)
    assert first.planners_by_choice()["start_job", "v1"][0] == "reliable"
    table = disagreement_table(comparison, 1)
    assert "the highest advertised reliability: v1 at 4.00 USD" in table.plain
    assert "3 in all; the 1 likeliest" in table.plain
    assert "<b>" in table.html
    assert "<b>" not in table.plain


def test_texts_of_planners_are_escaped(folder: str, llm: dict[str, str], llm_server: LlmServer, tmp_path: Path) -> None:
    llm_server.script(start_reply("v1", maxHours=2, reason="<script>alert(1)</script>"))
    comparison = ComparisonRun(
        ComparisonRequest(("cheapest", "llm"), folder, limit="1"), llm, tmp_path / "cache"
    ).play()
    assert "<script>" not in disagreement_table(comparison).html
    assert "&lt;script&gt;" in disagreement_table(comparison).html


def test_what_costs_money_needs_a_limit_and_is_counted(
    folder: str, llm: dict[str, str], llm_server: LlmServer, tmp_path: Path
) -> None:
    llm_server.script(start_reply("v1", maxHours=2))
    cache = tmp_path / "cache"
    unlimited = ComparisonRun(ComparisonRequest(("stub", "llm"), folder), llm, cache)
    assert "llm: at most 3 questions" in unlimited.summary()
    with pytest.raises(BadInput, match="say how much it may"):
        unlimited.play()
    assert llm_server.requests == []
    run = ComparisonRun(ComparisonRequest(("stub", "llm"), folder, limit="1"), llm, cache)
    run.play()
    costs = cost_table(run).plain
    assert "llm | 3 | 3,300 | 0.00195 USD" in costs  # 1000 tokens at 0.5 and 100 at 1.5 USD a million, three times
    assert "0.00195 USD in all, of at most 1.00 USD" in costs
    again = ComparisonRun(ComparisonRequest(("stub", "llm"), folder, limit="1"), llm, cache)
    again.play()
    assert "llm | 0 | – | 0.00 USD" in cost_table(again).plain


def test_without_a_key_the_free_ones_are_compared_and_the_form_says_so(folder: str, tmp_path: Path) -> None:
    async def scene(form: ComparisonForm) -> None:
        bundle = form._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in bundle
        for text in (bundle["text/html"], bundle["text/plain"]):
            assert "llm is not set up" in text
        assert "llm" not in form.planners
        form.run_button.click()
        await form.settled()
        assert form.comparison
        assert form.comparison.planners() == ["bayes", "stub", "cheapest"]
        assert "Played. 3 scenarios, 2 planners. Asking costs: nothing." in form.message.text
        assert "cheapest" in form.results.value
        assert (form.run_button.disabled, form.stop_button.disabled) == (False, True)

    at_form(scene, ComparisonRequest(("stub", "cheapest"), folder), NO_KEY, tmp_path / "cache")


def test_stop_keeps_what_was_played(folder: str, llm: dict[str, str], llm_server: LlmServer, tmp_path: Path) -> None:
    """The model holds its first answer; it is stopped, answers, and is asked nothing more."""
    llm_server.script(ScriptedReply(start_reply("v1", maxHours=2).text, manner="late"))

    async def scene(form: ComparisonForm) -> None:
        form.run_button.click()
        await asyncio.to_thread(eventually, lambda: llm_server.requests, DEADLINE_S)
        assert form.run_button.disabled
        form.run_button.click()  # dropped
        form.stop_button.click()
        llm_server.release()
        await form.settled()
        assert "stopped by hand while llm was played" in form.message.text
        assert form.comparison
        assert [play.scenario for play in form.comparison.plays if play.planner == "llm"] == ["file-10"]
        assert len(llm_server.requests) == 1
        assert "stopped by hand" in score_table(form.comparison).plain
        assert not form.run_button.disabled

    at_form(scene, ComparisonRequest(("llm",), folder, limit="1"), llm, tmp_path / "cache")


def test_stop_works_while_scenarios_are_generated_and_no_progress_is_left(tmp_path: Path) -> None:
    async def scene(form: ComparisonForm) -> None:
        form.bar.max = form.bar.value = 9
        form.run_button.click()
        while "are generated" not in form.progress.value:
            await asyncio.sleep(0.01)
        assert form.bar.value == 0
        form.stop_button.click()
        assert form.stop_button.disabled
        started_at = time.monotonic()
        await form.settled()
        assert time.monotonic() - started_at < 30  # and 500 take a minute
        assert "stopped by hand while scenarios were generated" in form.message.text
        assert form.comparison is None

    at_form(scene, ComparisonRequest(("stub",), count=500), NO_KEY, tmp_path / "cache")


def test_what_ended_early_is_compared_over_what_all_have_finished(folder: str) -> None:
    comparison = comparison_of(folder, "cheapest", "reliable")
    plays = tuple(play for play in comparison.plays if (play.planner, play.scenario) != ("reliable", "file-8"))
    early = replace(comparison, plays=plays, stopped="stopped by hand")
    lines = score_table(early).plain.splitlines()
    assert [line.split(" | ")[1] for line in lines[2:5]] == ["2"] * 3
    assert "Compared over the 2 of 3 files that every planner has finished" in lines[-1]
    alone = replace(early, plays=tuple(play for play in plays if play.planner != "reliable" or play.scenario == ""))
    assert "Compared over the 3 of 3 files" in score_table(alone).plain


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("scenarios", "/nowhere", "write generated, own, or a folder"),
        ("seed", "x", "a seed is a whole number"),
        ("count", "501", "how many to generate is a whole number of at most 500"),
        ("limit", "-1", "is not an amount in USD"),
        ("against", "nobody", "nobody is not among the planners"),
    ],
)
def test_what_cannot_be_is_said_in_the_panel(folder: str, tmp_path: Path, field: str, value: str, problem: str) -> None:
    async def scene(form: ComparisonForm) -> None:
        form.fields[field].widget.value = value
        for button in (form.estimate_button, form.run_button):
            button.click()
            await form.settled()
            assert problem in form.message.text
        with pytest.raises(BadInput, match=problem):
            await form.play()
        assert form.comparison is None

    at_form(scene, ComparisonRequest(("stub",), folder), NO_KEY, tmp_path / "cache")


def test_planners_that_are_not_there(folder: str) -> None:
    with pytest.raises(BadInput, match="no planner 'psychic'"):
        ComparisonRun(ComparisonRequest(("psychic",), folder), NO_KEY)
    with pytest.raises(ConfigError):
        ComparisonRun(ComparisonRequest(("llm",), folder), NO_KEY)
    with pytest.raises(BadInput, match="at least one"):
        parse_planner_names(" , ")
    assert parse_planner_names("a, b,a") == ("a", "b")


def test_own_runs_are_replayed(world: World) -> None:
    world.finish(world.start())
    idle = world.start()
    replays = replay_decisions("", "cheapest", world.environment)
    (run_id,) = replays
    table = replay_table(replays, "cheapest").plain
    assert f"{run_id} | " in table
    assert "start_job gpu_vendor_1" in table
    assert "1 agree, 0 differ" in table
    with pytest.raises(BadInput, match="nothing to replay"):
        replay_decisions(idle.run_id, "cheapest", world.environment)
    assert "none has decided" in replay_table({}, "cheapest").plain


def test_the_notebook_by_papermill_with_parameters(tmp_path: Path) -> None:
    out = tmp_path / "out.ipynb"
    options = ("-k", "python3", "--no-progress-bar", "-p", "planners", "stub,reliable", "-p", "count", "4")
    process = run_process(embedded_environment(tmp_path), *PAPERMILL, str(COMPARE), str(out), *options)
    assert process.returncode == 0, process.stderr
    (scores,) = cell(out, "scores").outputs
    assert "reliable" in scores.data["text/plain"]
    assert "cheapest" not in scores.data["text/plain"]
    (picture,) = cell(out, "chart").outputs
    assert "image/png" in picture.data
    assert "95 % intervals over 4 scenarios" in picture.metadata["image/png"]["alt"]
    form, _keys_guard = cell(out, "form").outputs
    assert "llm is not set up" in form.data["text/plain"]
    assert notebook(out).metadata.papermill.exception is None


def test_the_notebook_with_a_planner_that_is_not_there(tmp_path: Path) -> None:
    out = tmp_path / "out.ipynb"
    options = ("-k", "python3", "--no-progress-bar", "-p", "planners", "psychic")
    process = run_process(embedded_environment(tmp_path), *PAPERMILL, str(COMPARE), str(out), *options)
    assert (process.returncode, [kind for kind, _ in errors(out)]) == (1, ["BadInput"])
