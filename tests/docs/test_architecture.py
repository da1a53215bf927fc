"""The tree in docs/architecture.md is the tree of the code, and its table of contracts import-linter's."""

import re
import tomllib
from pathlib import Path

from tests.support.documents import ROOT, blocks

PAGE = (ROOT / "docs/architecture.md").read_text()
PACKAGE = ROOT / "gpuagent"


def drawn(package: str) -> set[str]:
    """The packages, and the modules at the door, that the tree of the page names, as paths below this package."""
    tree = re.split(rf"^{package}/.*\n", blocks(PAGE)[0].text, flags=re.M)[1]
    tree = re.split(r"^\w", tree, flags=re.M)[0]
    path: list[str] = []
    names = set()
    for indent, entry in re.findall(r"^( +)([\w.]+)/? ", tree, re.M):
        path[len(indent) // 2 - 1 :] = [entry]
        names.add("/".join(path))
    return names


def test_the_tree_names_every_package_and_every_module_at_the_door() -> None:
    doors = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    assert drawn("gpuagent") == packages(PACKAGE) | doors
    assert drawn("seller") == packages(ROOT / "seller")


def packages(folder: Path) -> set[str]:
    return {path.parent.relative_to(folder).as_posix() for path in folder.rglob("__init__.py")} - {"."}


def test_type_checkers_may_read_the_packages_annotations() -> None:
    assert (PACKAGE / "py.typed").exists()


def test_every_contract_is_told() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    section = PAGE.split("## The contract")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", section, re.M)
    assert [contract["name"] for contract in contracts] == rows[1:]


def test_every_collection_that_is_named_exists() -> None:
    source = "".join(path.read_text() for path in (PACKAGE / "adapters/mongo").glob("*.py"))
    for collection in re.findall(r"^\| `(\w+)` \|", PAGE.split("## What is in MongoDB")[1], re.M):
        assert re.search(rf"\.{collection}\b", source), collection
