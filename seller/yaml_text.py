"""YAML as a configuration is written: no aliases, no key twice, and no types that a value only looks like.

YAML 1.1 reads an address as a number, `no` as false and `1:30` as 90; here only true, false, null and decimal numbers
are more than text.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

DEPTH_MAX = 16


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as the base has it


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"true|false", "tf"),
    ("tag:yaml.org,2002:null", r"null|~|", ["n", "~", ""]),
    ("tag:yaml.org,2002:int", r"-?(?:0|[1-9][0-9]{0,17})", "-0123456789"),
    ("tag:yaml.org,2002:float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+", "-0123456789"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), list(_first))


def read_yaml(content: bytes) -> Any:
    """The one document in a text. Raises ValueError, whose message says what is wrong, and in which line."""
    try:
        _check_events(content)
        loader = _Loader(content)
        try:
            root = loader.get_single_node()
            for node in _mappings(root):
                _check_keys(node)
            return None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(f"is no YAML: {str(error)[:300]}") from None


def _check_events(content: bytes) -> None:
    depth = 0
    for event in yaml.parse(content, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise ValueError(f"is nested too deep in line {line}")
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"has an alias in line {line}: write its value there")  # noqa: TRY004 - of the text


def _mappings(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    """The mappings in a tree without aliases."""
    if isinstance(node, yaml.MappingNode):
        yield node
        children = [child for pair in node.value for child in pair]
    else:
        children = node.value if isinstance(node, yaml.SequenceNode) else []
    for child in children:
        yield from _mappings(child)


def _check_keys(node: yaml.MappingNode) -> None:
    names: set[str] = set()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError(f"has a key in line {line} that is no text")  # noqa: TRY004 - of the text, not of a call
        if key.value in names:
            raise ValueError(f"line {line}: {key.value[:100]} is written twice")
        names.add(key.value)
