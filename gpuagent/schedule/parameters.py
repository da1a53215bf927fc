"""A notebook's parameters, given as texts: refused when unknown, held to their types, texts left as they are.

papermill itself guesses: it makes 12345678 an int and 1e234567 infinity, and of an unknown name only a line in a log.
"""

import ast
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from gpuagent.errors import BadInput

Value = str | int | float | bool


def inspected(notebook: Path) -> Mapping[str, str]:
    """The notebook's parameters and their types: str, int, float or bool, by annotation or else by default value.

    Raises BadInput where it cannot be read, or a type is none of these.
    """
    import papermill as pm

    try:
        found = pm.inspect_notebook(notebook)
    except OSError as error:
        raise BadInput(f"{notebook} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # whatever a file that is no notebook raises in nbformat
        raise BadInput(f"{notebook} is no notebook that papermill can run: {str(error)[:200]}") from error
    return {name: _type_of(name, one["inferred_type_name"], one["default"]) for name, one in found.items()}


def checked(types: Mapping[str, str], given: Iterable[tuple[str, str]]) -> dict[str, Value]:
    """The values of what is given. Raises BadInput."""
    values: dict[str, Value] = {}
    for name, text in given:
        if name not in types:
            raise BadInput(f"no parameter {name!r}; there are: {', '.join(types) or 'none'}")
        if name in values:
            raise BadInput(f"parameter {name} is given twice")
        values[name] = _value(name, types[name], text)
    return values


def _type_of(name: str, annotated: str, default: str) -> str:
    if annotated == "None":
        try:
            annotated = type(ast.literal_eval(default)).__name__
        except (ValueError, SyntaxError):
            annotated = "an expression"
    if annotated not in _READERS:
        raise BadInput(f"parameter {name} is {annotated}: a schedule gives str, int, float or bool only")
    return annotated


def _value(name: str, kind: str, text: str) -> Value:
    try:
        return _READERS[kind](text)
    except ValueError:
        raise BadInput(f"parameter {name} is to be {_WORDS[kind]}, not {text[:80]!r}") from None


def _whole(text: str) -> int:
    if not text.removeprefix("-").isdecimal() or not text.isascii():
        raise ValueError(text)
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_READERS: Mapping[str, Callable[[str], Value]] = {"str": str, "int": _whole, "float": _finite, "bool": _truth}
_WORDS = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false"}
