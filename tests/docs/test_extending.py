"""Each recipe of docs/extending.md, applied to a copy of the tree and to nothing else: the thing is there and works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import ROOT
from tests.support.recipes import Change, apply, copy_tree, recipes
from tests.support.world import World

RECIPES = recipes()
CHECKS = {
    "A wallet": "wallet",
    "A vendor protocol": "vendor",
    "A planner": "planner",
    "A cap": "cap",
    "A route": "route",
    "A report column": "column",
    "A pace": "pace",
}
"""The module of tests/docs/checks that sees the thing work."""
DEADLINE_S = 300


def run(checks: list[str], folder: Path, world: World) -> subprocess.CompletedProcess[str]:
    """The checks, in one process, on the packages in the folder and this world's servers."""
    environ = {**os.environ, **world.environment, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    command = [sys.executable, "-m", "tests.docs.checks", *checks]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


def test_every_recipe_has_a_check() -> None:
    assert list(RECIPES) == list(CHECKS)
    assert all(RECIPES.values())


def test_nothing_is_there_without_its_recipe(tmp_path: Path, world: World) -> None:
    checks = run(list(CHECKS.values()), copy_tree(tmp_path), world)
    assert checks.stdout.splitlines() == [f"{check}: fails" for check in CHECKS.values()], checks.stderr


@pytest.mark.parametrize("title", RECIPES)
def test_the_recipe_alone_adds_the_thing(title: str, tmp_path: Path, world: World) -> None:
    folder = copy_tree(tmp_path)
    for change in RECIPES[title]:
        apply(change, folder)
    check = run([CHECKS[title]], folder, world)
    assert check.stdout == f"{CHECKS[title]}: passes\n", check.stderr


def test_all_recipes_go_together(tmp_path: Path) -> None:
    folder = copy_tree(tmp_path)
    for changes in RECIPES.values():
        for change in changes:
            apply(change, folder)
    files = sorted({change.file for changes in RECIPES.values() for change in changes})
    compiled = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", ROOT / "pyproject.toml", *files],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stdout


@pytest.mark.parametrize(
    "change",
    [
        Change("gpuagent/tick.py", "no such line", "another"),
        Change("gpuagent/tick.py", "import", "from"),
        Change("gpuagent/tick.py", "", "new"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(change: Change, tmp_path: Path) -> None:
    (tmp_path / "gpuagent").mkdir()
    (tmp_path / change.file).write_bytes((ROOT / change.file).read_bytes())
    with pytest.raises(ValueError, match=r"has this|is there already"):
        apply(change, tmp_path)
