"""JSON from strangers."""

import json
import re
from decimal import Decimal
from typing import Any

DEPTH_MAX = 32
# Whatever stands in strings, cut off ones included, is no nesting.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def parse(text: bytes) -> Any:
    """The value, numbers with a point as Decimal. Raises ValueError for anything else than sound, shallow JSON.

    Depth is counted first: the parser recurses in C, guarded only by the interpreter's recursion limit, which py_ecc
    (under eth_account) raises so far that a deep text would crash the whole program.
    """
    depth = 0
    for token in _TOKENS.finditer(text):
        kind = token[0][:1]
        depth += (kind in b"[{") - (kind in b"]}")
        if depth > DEPTH_MAX:
            raise ValueError(f"nested deeper than {DEPTH_MAX} levels")
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except ArithmeticError as error:
        raise ValueError(f"a number that cannot be: {error}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")
