"""Strict YAML for files that users write: no aliases, no duplicate keys, no implicit types.

YAML 1.1 reads `no` as false, `1:30` as 90 and a date as an object; here only true, false, null and numbers of
JSON are more than text. Every value's line is known, for messages.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from gpuagent.errors import BadInput

SIZE_MAX = 1_000_000
"""Bytes."""
DEPTH_MAX = 32


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as the base has it


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"true|false", "tf"),
    ("tag:yaml.org,2002:null", r"null|~|", ["n", "~", ""]),
    ("tag:yaml.org,2002:int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("tag:yaml.org,2002:float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-0123456789"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), list(_first))


@dataclass(frozen=True, slots=True)
class YamlText:
    """A parsed YAML text, and the line of each of its values."""

    value: Any
    _root: yaml.Node

    def line(self, location: Sequence[str | int]) -> int:
        """The line, from 1, of the value at a location, or of the deepest value on the way to it that is there."""
        node = self._root
        for step in location:
            child = _child(node, step)
            if child is None:
                break
            node = child
        return int(node.start_mark.line) + 1


def parse_yaml(body: bytes, name: str) -> YamlText:
    """Raises BadInput with the name and the line for what is no YAML, or YAML that is not allowed here."""
    if len(body) > SIZE_MAX:
        raise BadInput(f"{name} has more than {SIZE_MAX:,} bytes")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{name} is not UTF-8: byte {error.start}") from None
    try:
        _check_events(text, name)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                raise BadInput(f"{name} is empty")
            _check_keys(root, name)
            return YamlText(loader.construct_document(root), root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise BadInput(f"{where}: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadInput(f"{name}:{line}: a character that is not text: U+{error.character:04X}") from None


def _check_events(text: str, name: str) -> None:
    """No alias and no deep nesting, found before anything is built: the parser's time grows with the depth's square."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise BadInput(f"{name}:{event.start_mark.line + 1}: nested deeper than {DEPTH_MAX} levels")
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1
            raise BadInput(f"{name}:{line}: aliases (*{event.anchor}) are not taken: repeat it")


def _check_keys(node: yaml.Node, name: str) -> None:
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _check_keys(child, name)
    if not isinstance(node, yaml.MappingNode):
        return
    keys = set()
    for key, child in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise BadInput(f"{name}:{key.start_mark.line + 1}: a key is to be a plain text")
        if key.value in keys:
            raise BadInput(f"{name}:{key.start_mark.line + 1}: {key.value} stands there twice")
        keys.add(key.value)
        _check_keys(child, name)


def _child(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((child for key, child in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child: yaml.Node = node.value[step]
        return child
    return None
