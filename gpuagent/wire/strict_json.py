"""Strict JSON parsing for untrusted input."""

import json
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

DEPTH_MAX = 32
NAME_MAX = 40
"""Characters of a name in an error."""
# Whatever stands in strings, cut off ones included, is no nesting.
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[{\]}]")


class RepeatedName(ValueError):
    """An object that has a name twice: others may read its first value where this parser reads its last."""


def parse(
    body: bytes,
    read_constant: Callable[[str], Any] | None = None,
    depth_max: int = DEPTH_MAX,
    once: bool = False,
) -> Any:
    """The parsed value, numbers with a point as Decimal. Raises ValueError unless it is sound, shallow JSON in UTF-8.

    read_constant: takes NaN, Infinity and -Infinity, which are no JSON and are refused without it.
    depth_max: levels of nesting, in the low hundreds at most. once: raises RepeatedName, a ValueError, for a name that
    an object has twice.

    Depth is counted first: the parser recurses in C, guarded only by the interpreter's recursion limit, which py_ecc
    (under eth_account) raises so far that a deep text would crash the whole program.
    """
    # Not left to json.loads, which would read other encodings than those counted here. Some servers send a mark first.
    text = body.removeprefix(BOM_UTF8).decode()
    if text.count("[") + text.count("{") > depth_max:
        depth = 0
        for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
            depth += 1 if bracket in "[{" else -1
            if depth > depth_max:
                raise ValueError(f"nested deeper than {depth_max} levels")
    try:
        decoder = _ONCE if once else _STRICT if read_constant is None else _decoder(read_constant)
        return decoder.decode(text)
    except ArithmeticError as error:
        raise ValueError(f"a number that cannot be: {error}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def only_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these names and values, as an object_pairs_hook of json. Raises RepeatedName."""
    values = dict(pairs)
    if len(values) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise RepeatedName(f"{name[:NAME_MAX]!r} is given twice")
    return values


def _decoder(read_constant: Callable[[str], Any]) -> json.JSONDecoder:
    return json.JSONDecoder(parse_float=Decimal, parse_constant=read_constant)


_STRICT = _decoder(_refuse)
_ONCE = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=only_once)
