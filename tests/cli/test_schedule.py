"""`gpuagent schedule run`: parameters checked, one at a time, an output each; whatever needs no kernel."""

import json
import signal
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import Result
from nbformat.v4 import new_code_cell, new_notebook
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from typer import BadParameter
from typer.testing import CliRunner

from gpuagent.cli import app
from gpuagent.cli.schedule import join_pairs
from gpuagent.cli.schedule_exit import exit_code
from gpuagent.errors import BadInput, Locked
from gpuagent.schedule.lock import locked
from gpuagent.schedule.outputs import new_output, remove_old
from gpuagent.schedule.papermill import Execution
from gpuagent.schedule.parameters import parameter_types, parse_parameters
from gpuagent.schedule.run_name import run_id_of
from tests.support.notebooks import SCHEDULED

SOMEWHERE = {"CHAIN_RPC_URL": "http://127.0.0.1:1"}
"""A configured chain that does not answer."""


class Noon:
    def now(self) -> float:
        return 1_769_860_800.0  # 2026-01-31T12:00:00Z


TYPES = {"name": "str", "count": "int", "share": "float", "on": "bool", "names": "list[str]", "place": "Path"}


def invoke(folder: Path, *arguments: str, **environment: str) -> Result:
    where = ("--out", str(folder), "--locks", str(folder / "locks"))
    return CliRunner().invoke(app, ("schedule", "run", *where, *arguments), env={**SOMEWHERE, **environment})


def test_the_notebook_says_what_it_takes() -> None:
    assert parameter_types(SCHEDULED) == {
        **dict.fromkeys(("goal", "budget", "run_id", "planner", "job", "gpu_type", "hours", "user", "tags"), "str"),
        "max_ticks": "int",
        "pause_s": "float",
    }


@pytest.mark.parametrize("text", ["12345678", "1e234567", "0012", "true", "None", "[1]", "", " x ", "a=b"])
def test_a_text_is_passed_as_it_is(text: str) -> None:
    assert parse_parameters(TYPES, [("name", text)]) == {"name": text}


def test_numbers_and_truth() -> None:
    assert parse_parameters(TYPES, [("count", "-3"), ("share", "1e-3"), ("on", "True")]) == {
        "count": -3,
        "share": 0.001,
        "on": True,
    }


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([("budgte", "5")], "no parameter 'budgte'; there are: name, count, share, on, names, place"),
        ([("count", "5.0")], "count is to be a whole number, not '5.0'"),
        ([("count", "٣")], "count is to be a whole number"),
        ([("count", "-")], "count is to be a whole number"),
        ([("share", "inf")], "share is to be a number"),
        ([("on", "yes")], "on is to be true or false"),
        ([("name", "a"), ("name", "b")], "name is given twice"),
        ([("names", "a")], "names is to be list.str., written as JSON or as Python does, not 'a'"),
        ([("place", "a")], "place is Path, which a schedule cannot give: annotate it in the notebook"),
    ],
)
def test_what_does_not_fit_is_refused(texts: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(BadInput, match=message.replace("'", ".")):
        parse_parameters(TYPES, texts)


def written(folder: Path, source: str) -> Path:
    """A notebook with this parameters cell."""
    cell = new_code_cell(source, metadata={"tags": ["parameters"]})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[cell], metadata=kernel), folder / "n.ipynb")
    return folder / "n.ipynb"


def test_types_are_those_of_the_annotations_or_else_of_the_defaults(tmp_path: Path) -> None:
    """Whatever a notebook of one's own declares, all of it is seen, and nothing in it keeps the rest from being run."""
    source = """
%config InlineBackend.figure_format = "svg"
from typing import List, Optional
a = "x=y"  # a second equals sign
b = -3
c: float = 1
d = False
e = [
    1,  # one line each
]
f: list[str] = ["x"]
g = {"a": {"b": 1}}
h = None
i: int | None = None
j: Optional[str] = None
k = []  # type: List[int]
l: "dict[str, int]" = {}
m = (1, 2)
n = Path("x")
o: Path = n
!ls
"""
    assert parameter_types(written(tmp_path, source)) == {
        **{"a": "str", "b": "int", "c": "float", "d": "bool", "e": "list", "f": "list[str]", "g": "dict", "h": "None"},
        **{"i": "int | None", "j": "Optional[str]", "k": "List[int]", "l": "dict[str, int]", "m": "tuple"},
        **{"n": "an expression", "o": "Path"},
    }
    assert parameter_types(written(tmp_path, "")) == {}
    with pytest.raises(BadInput, match="line 2: invalid syntax"):
        parameter_types(written(tmp_path, "a = 1\nb = = 2"))


def test_what_is_given_reaches_the_notebook_as_it_was_read(tmp_path: Path) -> None:
    """papermill writes the values into a cell of their own, after the notebook's."""
    source = "a = [1]\nb: dict = {}\nc: int | None = 3\nd = None\ne = 'x'\nf = 0.5\ng = [2]"
    notebook = written(tmp_path, source)
    texts = {
        "a": """["it's", "\\"quoted\\"", "new\\nline", "{x}", null]""",
        "b": '{"k e y": {"x": [1.5, true, -2]}}',
        "c": "null",
        "d": "[1e-3]",
        "e": "a 'b' \\n",
        "f": "1e300",
    }
    values = parse_parameters(parameter_types(notebook), texts.items())
    assert values == {
        "a": ["it's", '"quoted"', "new\nline", "{x}", None],
        "b": {"k e y": {"x": [1.5, True, -2]}},
        "c": None,
        "d": [0.001],
        "e": "a 'b' \\n",
        "f": 1e300,
    }
    cells = parameterize_notebook(load_notebook_node(str(notebook)), values).cells
    scope: dict[str, Any] = {}
    for cell in cells:
        exec(cell.source, scope)
    assert {name: scope[name] for name in (*values, "g")} == {**values, "g": [2]}


def test_pairs_are_read_as_papermill_reads_them() -> None:
    assert join_pairs(["nb", "-p", "goal", "a=b", "--out", "x", "-p", "budget", "-5"]) == [
        *("nb", "-p", "goal=a=b", "--out", "x", "-p", "budget=-5"),
    ]
    assert join_pairs(["--parameter", "run_id", "", "-p", "a=x"]) == ["--parameter", "run_id=", "-p", "a=x"]
    with pytest.raises(BadParameter, match="a name and a value"):
        join_pairs(["nb", "-p", "goal"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((str(SCHEDULED), "-p", "budgte", "5"), "no parameter 'budgte'; there are: goal, budget, run_id"),
        ((str(SCHEDULED), "-p", "max_ticks", "many"), "max_ticks is to be a whole number"),
        ((str(SCHEDULED), "-p", "run_id", "a b"), "neither the id of a run nor a name"),
        ((str(SCHEDULED), "--per", "day"), "--per makes names of a run_id"),
        ((str(SCHEDULED), "-p", "run_id", "n", "--per", "day", "--timezone", "Europe/Belin"), "no time zone"),
        ((str(SCHEDULED), "-p", "goal"), "takes a name and a value"),
        (("nowhere.ipynb",), "nowhere.ipynb cannot be read"),
        ((__file__,), "is no notebook"),
    ],
)
def test_bad_input_is_exit_code_2_and_leaves_no_output(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = invoke(tmp_path, *arguments)
    assert (result.exit_code, message in " ".join(result.output.split())) == (2, True), result.output
    assert list(tmp_path.glob("*.ipynb")) == []


def test_the_second_of_two_is_locked_out_by_name_and_by_id(tmp_path: Path) -> None:
    with locked(tmp_path / "locks", f"run-{run_id_of('nightly')}", "run nightly"):
        for run_id in ("nightly", run_id_of("nightly")):
            result = invoke(tmp_path, str(SCHEDULED), "-p", "run_id", run_id)
            assert (result.exit_code, f"run {run_id} is being driven" in result.output) == (4, True), result.output
        with pytest.raises(Locked), locked(tmp_path / "locks", f"run-{run_id_of('nightly')}", "again"):
            pass
    with locked(tmp_path / "locks", f"run-{run_id_of('nightly')}", "after it"):
        pass
    with locked(tmp_path / "locks", "notebook-40_scheduled_run", "the notebook"):
        assert invoke(tmp_path, str(SCHEDULED)).exit_code == 4
    assert list(tmp_path.glob("*.ipynb")) == []


def test_folders_that_cannot_be_written_are_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for option in ("--locks", "--out"):
        folders = ("--locks", str(tmp_path), option, str(tmp_path / "file" / "x"))
        result = CliRunner().invoke(app, ("schedule", "run", str(SCHEDULED), *folders), env=SOMEWHERE)
        assert (result.exit_code, f"by {option}" in result.output) == (2, True), result.output


def test_outputs_never_collide(tmp_path: Path) -> None:
    paths = [new_output(tmp_path / "new", "40-nightly", Noon()) for _ in range(3)]
    assert [path.name for path in paths] == [
        "40-nightly-20260131T120000Z.ipynb",
        "40-nightly-20260131T120000Z-2.ipynb",
        "40-nightly-20260131T120000Z-3.ipynb",
    ]


def executed(folder: Path, name: str, origin: str = "/opt/40.ipynb") -> str:
    """A copy as papermill leaves it."""
    (folder / name).write_text(json.dumps({"metadata": {"papermill": {"input_path": origin}}}))
    return name


def test_executed_copies_are_kept_by_number_and_by_age(tmp_path: Path) -> None:
    """The newest by their names, of this notebook alone; another's, and what a user put there, stays."""
    days = [f"2026012{day}T020000Z" for day in range(5, 10)]
    copies = [executed(tmp_path, f"40-nightly-2026-01-2{day % 10}-{stamp}.ipynb") for day, stamp in enumerate(days, 5)]
    again = executed(tmp_path, f"40-nightly-2026-01-29-{days[-1]}-2.ipynb")
    (tmp_path / f"40-{days[0]}.ipynb").touch()  # of a process that was killed at once
    others = {
        executed(tmp_path, f"40-mine-{days[0]}.ipynb", "/opt/40-mine.ipynb"),
        executed(tmp_path, "40.ipynb"),
        executed(tmp_path, "40-notes.ipynb"),
        executed(tmp_path, f"41-{days[0]}.ipynb", "41.ipynb"),
    }
    (tmp_path / f"40-x-{days[0]}.ipynb").write_text("mine")
    others.add(f"40-x-{days[0]}.ipynb")

    def left() -> set[str]:
        return {path.name for path in tmp_path.iterdir()} - others

    notebook = Path("notebooks/40.ipynb")
    assert remove_old(tmp_path, notebook, Noon()) == []
    assert len(remove_old(tmp_path, notebook, Noon(), keep=5)) == 2
    assert left() == {*copies[1:], again}
    remove_old(tmp_path, notebook, Noon(), days=4)  # it is noon of the 31st
    assert left() == {*copies[3:], again}
    remove_old(tmp_path, notebook, Noon(), keep=2, days=30)
    assert left() == {copies[4], again}
    remove_old(tmp_path, notebook, Noon(), keep=1, days=1)
    assert left() == set()
    assert others <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("options", "environment", "left"),
    [
        ((), {}, 3),
        ((), {"SCHEDULE_KEEP": "2"}, 2),
        ((), {"SCHEDULE_KEEP_DAYS": "3650"}, 2),
        ((), {"SCHEDULE_KEEP": "2", "SCHEDULE_KEEP_DAYS": "30"}, 1),
        (("--keep", "1"), {"SCHEDULE_KEEP": "2"}, 1),
        (("--keep", "0", "--keep-days", "0"), {"SCHEDULE_KEEP": "1", "SCHEDULE_KEEP_DAYS": "1"}, 3),
    ],
)
def test_the_environment_says_for_every_start_what_is_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    environment: dict[str, str],
    left: int,
) -> None:
    """What a start itself says comes first. Two copies lie there, years and a month old, and it makes one more."""
    notebook, folder = written(tmp_path, "x: int = 1"), tmp_path / "out"
    copy = {"metadata": {"papermill": {"input_path": str(notebook)}}, "cells": [], "nbformat": 4, "nbformat_minor": 5}

    def execute(_notebook: Path, output: Path, _values: object) -> Execution:
        output.write_text(json.dumps(copy))
        return Execution()

    monkeypatch.setattr("gpuagent.schedule.papermill.execute", execute)
    monkeypatch.setattr("gpuagent.wiring.system_clock", Noon)
    folder.mkdir()
    for stamp in ("20000131T120000Z", "20260101T020000Z"):
        (folder / f"{notebook.stem}-{stamp}.ipynb").write_text(json.dumps(copy))
    result = invoke(folder, str(notebook), *options, **environment)
    assert result.exit_code == 0, result.output
    assert len(list(folder.glob("*.ipynb"))) == left
    for name in environment:
        refused = invoke(folder, str(notebook), **{name: "many"})
        assert (refused.exit_code, name in refused.output) == (2, True), refused.output


@pytest.mark.parametrize(
    ("execution", "result", "code"),
    [
        (Execution(), None, 0),
        (Execution(), {"outcome": "completed"}, 0),
        (Execution(), {"outcome": "unfinished"}, 3),
        (Execution(0, "RunFailed", "x"), {"outcome": "failed"}, 1),
        (Execution(0, "BadInput", "x"), None, 2),
        (Execution(0, "UnknownRun", "x"), None, 2),
        (Execution(0, "ConfigError", "x"), None, 2),
        (Execution(0, "ChainError", "x"), None, 5),
        (Execution(0, "WalletUnfunded", "x"), None, 5),
        (Execution(0, "ZeroDivisionError", "x"), None, 5),
        (Execution(0, "DeadKernelError", "x"), None, 5),
        (Execution(signal.SIGTERM, "KeyboardInterrupt", ""), None, 143),
        (Execution(signal.SIGINT, "KeyboardInterrupt", ""), None, 130),
        (Execution(signal.SIGTERM), {"outcome": "completed"}, 0),  # it came too late
    ],
)
def test_each_result_has_its_exit_code(execution: Execution, result: Any, code: int) -> None:
    assert exit_code(execution, result) == code


def test_the_help_lists_the_exit_codes() -> None:
    help_text = CliRunner().invoke(app, ("schedule", "run", "--help"), env={"COLUMNS": "120"}).output
    for line in ("0    done", "1    the run failed", "2    bad input", "3    not over yet", "4    locked", "143"):
        assert line in help_text


def test_an_unconfigured_environment_is_bad_input_and_says_what_to_set(tmp_path: Path) -> None:
    """--per asks the database before anything is executed."""
    result = invoke(
        tmp_path, str(SCHEDULED), "-p", "run_id", "n", "--per", "day", MONGODB_URI="mongodb://127.0.0.1:1/?x"
    )
    assert (result.exit_code, "MONGODB_URI" in result.output) == (2, True), result.output
    assert list(tmp_path.glob("*.ipynb")) == []


def test_a_schedule_does_not_practise_unasked(tmp_path: Path) -> None:
    unset = dict.fromkeys(("CHAIN_RPC_URL", "X402_NETWORK", "X402_PRIVATE_KEY", "EVM_PRIVATE_KEY", "X402_KEYSTORE"), "")
    result = invoke(tmp_path, str(SCHEDULED), **unset)
    assert (result.exit_code, "or add --practice" in result.output) == (2, True), result.output
