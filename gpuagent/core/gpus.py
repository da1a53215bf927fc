"""Names of GPU types, which users and vendors write in capital or small letters: A100, a100.

A vendor is always asked for the type as it writes it itself; here is the only place that compares names.
"""

from collections.abc import Iterable
from difflib import get_close_matches

SUGGESTIONS_MAX = 3


def is_same(name: str, other: str) -> bool:
    """Whether two names mean one type. Signs count: an A100-40GB is another thing than an A100."""
    return _key(name) == _key(other)


def spelling(name: str, types: Iterable[str]) -> str | None:
    """The type as these vendors' types spell it, just as it is written where several fit; None if none does."""
    fitting = [offered for offered in types if is_same(name, offered)]
    return name if name in fitting else next(iter(fitting), None)


def distinct(types: Iterable[str]) -> list[str]:
    """The types in the order of the alphabet, each once: the first spelling of those that mean one type."""
    names: dict[str, str] = {}
    for name in types:
        names.setdefault(_key(name), name)
    return [names[key] for key in sorted(names)]


def suggestion(name: str, types: Iterable[str]) -> str:
    """The types that may have been meant, as `; did you mean A100 or H100?`, or "" if none is close."""
    names, meant = {_letters(offered): offered for offered in distinct(types)}, _letters(name)
    containing = [key for key in names if meant and (meant in key or key in meant)]
    close = dict.fromkeys([*containing, *get_close_matches(meant, names)])
    return f"; did you mean {' or '.join(names[key] for key in list(close)[:SUGGESTIONS_MAX])}?" if close else ""


def _key(name: str) -> str:
    return " ".join(name.split()).casefold()


def _letters(name: str) -> str:
    """The name without the signs between its parts: A100_80GB, A100-80GB and a100 80gb are close to each other."""
    return "".join(char for char in name.casefold() if char.isalnum())
