"""Line numbers of the values in a JSON text, for errors about a file that an operator wrote."""

import json
import re
from dataclasses import dataclass, field

Place = tuple[str | int, ...]
"""The keys and indices that lead to a value from the top."""
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)


@dataclass(slots=True)
class Places:
    """lines: the line of every value, the first being 1. repeated: keys that their object has twice, with their lines.

    The parser keeps the last value of a repeated key without a word.
    """

    lines: dict[Place, int] = field(default_factory=dict)
    repeated: list[tuple[Place, int]] = field(default_factory=list)

    def line(self, path: Place) -> int:
        """The line of a value; of one that is missing, the line of what it is missing from."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def locate(text: str) -> Places:
    """The places of all values in a text that is valid JSON."""
    places = Places()
    path: list[str | int] = []
    kinds: list[str] = []
    line, position, key = 1, 0, ""
    awaits_key = False
    for token in _TOKENS.finditer(text):
        line += text.count("\n", position, token.start())
        position = token.start()
        mark = token[0]
        if awaits_key and mark[0] == '"':
            key = json.loads(mark)
            if (*path[:-1], key) in places.lines:
                places.repeated.append(((*path[:-1], key), line))
            path[-1], awaits_key = key, False
        elif mark in "}]":
            path.pop()
            kinds.pop()
            awaits_key = False
        elif mark == ",":
            awaits_key = kinds[-1] == "{"
            index = path[-1]
            path[-1] = index + 1 if isinstance(index, int) else ""
        elif mark != ":":
            places.lines[tuple(path)] = line
            if mark in "{[":
                kinds.append(mark)
                path.append("" if mark == "{" else 0)
                awaits_key = mark == "{"
    return places
