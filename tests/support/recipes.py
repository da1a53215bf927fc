"""The recipes of docs/extending.md, and a copy of the tree that they are applied to."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.documents import ROOT

PAGE = ROOT / "docs/extending.md"
PACKAGES = ("gpuagent", "mock_vendor")
FILE = re.compile(r"^(New file|In) `([\w/.]+)`:$", re.M)
BLOCK = re.compile(r"^```(python|diff)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Change:
    """What a block does to a file. before: "" for a file that is new."""

    file: str
    before: str
    after: str


def recipes() -> dict[str, list[Change]]:
    """The changes of each recipe, by the heading of its section."""
    sections = re.split(r"^## (.+)\n", PAGE.read_text(), flags=re.M)[1:]
    return {title: list(_changes(text)) for title, text in zip(sections[::2], sections[1::2], strict=True)}


def copy_tree(folder: Path) -> Path:
    """The packages in a folder, as they are compiled: a process would compile them all."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("*.pyc.*"))  # being written
    return folder


def apply(change: Change, folder: Path) -> None:
    """Raises ValueError for a file that is there already, and for a place that is not there, or not once."""
    path = folder / change.file
    if not change.before:
        if path.exists():
            raise ValueError(f"{change.file} is there already")
        path.write_text(change.after)
        return
    text = path.read_text()
    if text.count(change.before) != 1:
        raise ValueError(f"{change.file} has this {text.count(change.before)} times:\n{change.before}")
    path.write_text(text.replace(change.before, change.after))


def _changes(text: str) -> Iterator[Change]:
    file = None
    for match in re.finditer(f"{FILE.pattern}|{BLOCK.pattern}", text, re.M | re.S):
        _, name, language, code = match.groups()
        if name:
            file = name
        elif file and language == "python":
            yield Change(file, "", code)
        elif file:
            yield Change(file, _side(code, "-"), _side(code, "+"))


def _side(diff: str, sign: str) -> str:
    """The lines of one side of a diff. The last line may go on in the file: it has no newline."""
    return "\n".join(line[1:] for line in diff.splitlines() if line[:1] in (" ", "", sign))
