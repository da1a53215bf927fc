"""The rules of the house that no linter knows: what tests import, which test covers a module, names, and mutants."""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.mutants import MUTANTS
from tests.tools.mutation import Mutant

ROOT = Path(__file__).parents[1]
LONG_LINES = 60
"""A module with more lines than that is named by a test, or stands here: by the test that covers it from outside."""
COVERED_FROM_OUTSIDE: dict[str, tuple[str, ...]] = {}
DIALECT = """
    one ones other others found told said asked seen shown known kept words wanted given made taken named called held
    left sent done begun due these those them theirs ours mine somebody nobody anybody stranger everything something
"""
"""Pronouns, and participles used as nouns: a name is a noun of the domain instead."""
DIALECT_MAX = {"gpuagent": 5, "mock_vendor": 15, "tests": 15}
"""Names in the dialect of 1,000 bound ones."""


def sources(folder: str, pattern: str = "*.py") -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in sorted((ROOT / folder).rglob(pattern))}


def dotted_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module) -> set[str]:
    """The dotted names of all that is imported, anywhere in the module."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def bound_names(tree: ast.Module) -> Iterator[str]:
    """Parameters, targets of assignments, loops, with, except and match, and definitions."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def test_no_test_imports_a_test() -> None:
    for path, tree in sources("tests").items():
        modules = {name for name in imports(tree) if any(part.startswith("test_") for part in name.split("."))}
        assert not {name for name in modules if name.startswith("tests.")}, f"{path}: helpers live in tests/support"


def test_every_long_module_is_named_by_a_test() -> None:
    modules = {
        dotted_name(path)
        for package in ("gpuagent", "mock_vendor")
        for path in sources(package)
        if len(path.read_text().splitlines()) > LONG_LINES
    }
    imported = {name for tree in sources("tests", "test_*.py").values() for name in imports(tree)}
    covered = {module: file for file, names in COVERED_FROM_OUTSIDE.items() for module in names}
    assert modules - imported - covered.keys() == set(), "import it in a test, or name the test that covers it"
    assert covered.keys() - modules == set(), "these modules are short or gone"
    assert covered.keys() & imported == set(), "a test names these modules by itself"
    assert [file for file in COVERED_FROM_OUTSIDE if not (ROOT / file).is_file()] == []


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in sources("gpuagent").items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(dotted_name(path))
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("folder", DIALECT_MAX)
def test_names_are_nouns_of_the_domain(folder: str) -> None:
    names = [name.strip("_").lower() for tree in sources(folder).values() for name in bound_names(tree)]
    pronouns = frozenset(DIALECT.split())
    dialect = Counter(name for name in names if name in pronouns)
    assert 1000 * dialect.total() < DIALECT_MAX[folder] * len(names), dialect.most_common(10)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_every_mutant_can_be_played(mutant: Mutant) -> None:
    assert mutant.problem() == ""
