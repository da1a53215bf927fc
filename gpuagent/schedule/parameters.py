"""A notebook's parameters, parsed from texts by their declared types; an unknown one is refused.

papermill itself guesses: it makes 12345678 an int and 1e234567 infinity, and an unknown name is only a line in its log.
"""

import ast
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from gpuagent.errors import BadInput

Value = str | int | float | bool


def parameter_types(notebook: Path) -> Mapping[str, str]:
    """The notebook's parameters and their types: str, int, float or bool, by annotation or else by default value.

    Raises BadInput where it cannot be read, or a type is none of these.
    """
    import papermill as pm

    try:
        parameters = pm.inspect_notebook(notebook)
    except OSError as error:
        raise BadInput(f"{notebook} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a file that is no notebook raises many kinds of errors in nbformat
        raise BadInput(f"{notebook} is no notebook that papermill can run: {str(error)[:200]}") from error
    return {
        name: _type_of(name, parameter["inferred_type_name"], parameter["default"])
        for name, parameter in parameters.items()
    }


def parse_parameters(types: Mapping[str, str], texts: Iterable[tuple[str, str]]) -> dict[str, Value]:
    """The values of these names and texts. Raises BadInput."""
    values: dict[str, Value] = {}
    for name, text in texts:
        if name not in types:
            raise BadInput(f"no parameter {name!r}; there are: {', '.join(types) or 'none'}")
        if name in values:
            raise BadInput(f"parameter {name} is given twice")
        values[name] = _value(name, types[name], text)
    return values


def _type_of(name: str, type_name: str, default: str) -> str:
    if type_name == "None":
        try:
            type_name = type(ast.literal_eval(default)).__name__
        except (ValueError, SyntaxError):
            type_name = "an expression"
    if type_name not in _READERS:
        raise BadInput(f"parameter {name} is {type_name}: a schedule gives str, int, float or bool only")
    return type_name


def _value(name: str, kind: str, text: str) -> Value:
    try:
        return _READERS[kind](text)
    except ValueError:
        raise BadInput(f"parameter {name} is to be {_DESCRIPTIONS[kind]}, not {text[:80]!r}") from None


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


_READERS: Mapping[str, Callable[[str], Value]] = {
    "str": str,
    "int": _read_int,
    "float": _read_float,
    "bool": _read_bool,
}
_DESCRIPTIONS = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false"}
