"""A terminal of 80 columns and few lines: nothing that counts is squeezed or cut away."""

import io
import json
from collections.abc import Callable

import pytest
from click.testing import Result
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gpuagent.cli.common import console
from gpuagent.render.decision import decision_view
from gpuagent.render.fitting import Fitting, Tail
from tests.support.world import World

Invoke = Callable[..., Result]


def test_lists_are_readable_in_80_columns(world: World, gpuagent: Invoke) -> None:
    run = world.start()
    world.tick(run)
    vendors = gpuagent("vendor", "list", COLUMNS="80").output.splitlines()
    runs = gpuagent("run", "list", COLUMNS="80").output.splitlines()
    replay = gpuagent("planners", "replay", run.run_id, "--planner", "cheapest", COLUMNS="80").output.splitlines()
    assert max(map(len, [*vendors, *runs, *replay])) <= 80
    first, *_ = world.market.vendors
    assert next(line.split() for line in vendors if "paid to" in line) == ["paid", "to", first.pay_to]
    assert ["endpoint", first.endpoint] in [line.split() for line in vendors]
    assert run.run_id in runs[1]
    assert "3.60 of 5.00" in runs[1]
    assert len(runs) == 2
    assert ["decided", "start_job", "gpu_vendor_1"] in [line.split() for line in replay]


def test_every_decision_of_a_run_is_explained(world: World, gpuagent: Invoke) -> None:
    world.market.outcomes("gpu_vendor_1", "0")
    run = world.finish(world.start())
    first = gpuagent("run", "explain", run.run_id, "1", COLUMNS="80").output
    assert "Decision 1 of 2" in first
    assert "gpu_vendor_1 ✓" in first
    assert "guard on rules: accepted" in first
    assert "gpu_vendor_2 ✓" in gpuagent("run", "explain", run.run_id, COLUMNS="80").output
    wrong = gpuagent("run", "explain", run.run_id, "3")
    assert (wrong.exit_code, "has no decision 3: it has 2" in wrong.output) == (2, True)
    assert json.loads(gpuagent("run", "explain", run.run_id, "1", "--json").stdout)["of"] == 2


def test_a_decision_without_a_record_is_its_text() -> None:
    (text,) = decision_view({"content": "8 jobs were tried", "data": {}})
    assert str(text) == "8 jobs were tried"


def test_a_table_that_fits_is_a_table() -> None:
    table = Table("vendor", "paid to", box=None)
    table.add_row("acme", "0x" + "1" * 40)
    assert len(lines(Fitting(table), 60)) == 2
    assert lines(Fitting(table), 40) == ["acme", "  paid to  0x" + "1" * 27, " " * 11 + "1" * 13]


def test_a_table_that_folds_is_a_table_while_its_words_fit() -> None:
    table = Table("vendor", "status", box=None)
    table.add_row("acme", "failed: node lost")
    assert lines(Fitting(table, folds=True), 18)[0].split() == ["vendor", "status"]
    assert lines(Fitting(table, folds=True), 12)[0] == "acme"


def test_a_line_in_a_pipe_is_whole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    console().print("word " * 100)
    monkeypatch.setenv("COLUMNS", "40")
    console().print("word " * 10)
    assert [len(line.rstrip()) for line in capsys.readouterr().out.splitlines()] == [499, 39, 9]


def test_a_view_that_is_too_long_keeps_its_newest_lines() -> None:
    view = Text("\n".join(f"line {number}" for number in range(40)))
    assert lines(Tail(view), 40, 10) == ["line 0", "line 1", "line 2", "…", *(f"line {n}" for n in range(35, 40))]
    assert len(lines(Tail(view), 40, 50)) == 40


def lines(view: object, width: int, height: int = 50) -> list[str]:
    terminal = Console(file=io.StringIO(), width=width, height=height)
    terminal.print(view)
    assert isinstance(terminal.file, io.StringIO)
    return [line.rstrip() for line in terminal.file.getvalue().splitlines()]
