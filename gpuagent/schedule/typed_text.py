"""Texts read as values of the types that annotations name: an operator's text for a notebook's parameter."""

import ast
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import UnionType
from typing import Any, Optional, Union, get_args, get_origin

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from gpuagent.wire import strict_json

Value = str | int | float | bool | None | list[Any] | dict[str, Any]

NONE = ("None", "null")


def type_named(annotation: str) -> Any:
    """The type that an annotation names; None for a value of any type. Raises LookupError where no text can be one."""
    try:
        kind = _kind(ast.parse(annotation, mode="eval").body)
        TypeAdapter(kind)
    except (SyntaxError, LookupError, TypeError, ValueError, PydanticUserError) as error:
        raise LookupError(annotation) from error
    return kind


def read_text(kind: Any, text: str) -> Value:
    """The value of a text; kind: as type_named() returns it. Raises ValueError."""
    if kind in _READERS:
        return _READERS[kind](text)
    if get_origin(kind) not in (Union, UnionType):
        return _read_container(kind, text)
    if type(None) in get_args(kind) and text in NONE:
        return None
    for part in get_args(kind):
        try:
            return read_text(part, text)
        except ValueError:
            continue
    raise ValueError(text)


def describe(kind: Any, annotation: str) -> str:
    """What a text for the type is to be, in words."""
    return _DESCRIPTIONS.get(kind, f"{annotation}, written as JSON or as Python does")


def _kind(annotation: ast.expr) -> Any:
    """The type that an annotation names. Raises LookupError, TypeError for one that no text can be read as."""
    match annotation:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _KINDS[name]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[_kind(left), _kind(right)]  # noqa: UP007 - of values, not of names
        case ast.Subscript(value=generic, slice=ast.Tuple(elts=parts)):
            return _kind(generic)[tuple(map(_kind, parts))]
        case ast.Subscript(value=generic, slice=part):
            return _kind(generic)[_kind(part)]
    raise LookupError(ast.unparse(annotation))


def _read_container(kind: Any, text: str) -> Value:
    value = _read_literal(text)
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        raise ValueError(text) from None
    return value


def _read_literal(text: str) -> Value:
    """A value as JSON or Python writes it, finite, with texts as keys: what papermill passes on unchanged."""
    try:
        value = strict_json.parse(text.encode())
    except ValueError:
        try:
            value = ast.literal_eval(text)
        except (SyntaxError, TypeError, MemoryError, RecursionError):
            raise ValueError(text) from None
    return _passable(value)


def _passable(value: object) -> Value:
    match value:
        case list():
            return [_passable(item) for item in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {key: _passable(item) for key, item in value.items()}
        case Decimal() | float() if math.isfinite(float(value)):
            return float(value)
        case str() | bool() | int() | None:
            return value
    raise ValueError(value)


def _read_int(text: str) -> int:
    if not text.removeprefix("-").isdecimal() or not text.isascii():
        raise ValueError(text)
    return int(text)


def _read_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _read_bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _read_any(text: str) -> Value:
    """Whatever a text says, for a parameter that is not annotated: a value as JSON or Python writes it, or itself."""
    try:
        return _read_literal(text)
    except ValueError:
        return text


def _read_none(text: str) -> None:
    if text not in NONE:
        raise ValueError(text)


_KINDS: Mapping[str, Any] = {
    **{kind.__name__: kind for kind in (str, int, float, bool, list, dict)},
    **{"List": list, "Dict": dict, "Optional": Optional, "Union": Union, "Any": Any},
}
_READERS: Mapping[Any, Callable[[str], Value]] = {
    str: str,
    int: _read_int,
    float: _read_float,
    bool: _read_bool,
    None: _read_any,
    Any: _read_any,
    type(None): _read_none,
}
_DESCRIPTIONS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
