"""The documents that people read, and what is code in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = tuple(
    sorted(
        [
            *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "deploy/README.md")),
            *(ROOT / "docs").rglob("*.md"),
        ]
    )
)
SHELL = ("", "sh")
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
SPAN = re.compile(r"`([^`]+)`")
ASSIGNMENT = re.compile(r"\w+=.*")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code. language: "" where it names none."""

    language: str
    text: str


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    return [Block(fence[2], fence[3]) for fence in FENCE.finditer(text)]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """What stands between single backticks in the prose, each on one line."""
    return [re.sub(r"\s+", " ", span) for span in SPAN.findall(prose(text))]


def shell_lines(text: str) -> Iterator[str]:
    """The lines of its shell blocks; one that ends with a backslash goes on in the next."""
    for block in blocks(text):
        if block.language in SHELL:
            yield from block.text.replace("\\\n", " ").splitlines()


def calls(line: str, program: str) -> Iterator[list[str]]:
    """The arguments of each call of the program in a line of shell, comments and assignments left out.

    By a path in a folder bin it is called by other commands, too: `runuser -u ada -- /opt/bin/gpuagent doctor`.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&")
    lexer.whitespace_split = True
    try:
        tokens = list(lexer)
    except ValueError:  # a drawing or a table, with an open quote
        return
    command: list[str] = []
    for token in [*tokens, ";"]:
        if set(token) <= set(";|&"):
            for place, word in enumerate(command):
                if word.rpartition("/")[2] == program and (place == 0 or "/bin/" in word):
                    yield command[place + 1 :]
                    break
            command = []
        elif command or not ASSIGNMENT.fullmatch(token):
            command.append(token)
