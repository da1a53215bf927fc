"""Untrusted text made safe to store and show, what a user signs an order with, and JSON as the one text of a value."""

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from urllib.parse import urlsplit

from gpuagent.errors import BadInput

TEXT_MAX = 2_000
"""Characters."""
_SEPARATORS = ",;\t|\r\n\v\f\x1c-\x1e\x85\u2028\u2029\u060c\u061b\uff0c\uff1b"
"""What some locale or program ends a cell or a row of a CSV file with: a list separator of any script, a line's end."""
_FORMULA = "=+\\-@\uff1d\uff0b\uff0d\uff20"
"""What a spreadsheet takes for the start of a formula, in full width too."""
_SKIPPED = rf"(?:[^\S{_SEPARATORS}]|[\x00-\x08\x0e-\x1b\x1f\"\xad\u200b-\u200f\u2060\ufeff])*"
"""What may stand before it: blanks, quotes, and what is not seen."""
_BEFORE_A_FORMULA = re.compile(rf"(^|[{_SEPARATORS}])(?={_SKIPPED}[{_FORMULA}])")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?", re.ASCII)
NAME_MAX, WHY_MAX = 100, 500
SECRET_MIN = 8
"""Characters: a shorter secret is an ordinary word in a text, such as the "none" of a local server."""


def canonical(value: object) -> str:
    """The one JSON text of a value: sorted, compact, in characters as they are."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def counted(count: int, noun: str) -> str:
    """A number of things in words: 1 file, 1,024 files."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def clean(text: str, limit: int = TEXT_MAX) -> str:
    """Untrusted text as inert data: one line, no control characters, at most `limit` characters."""
    line = text[: limit + 1]
    if not line.isprintable():
        line = "".join(char if char.isprintable() else " " for char in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def driver_text(text: str, limit: int = 200) -> str:
    """What an error of MongoDB's driver says, without its pictures of servers, settings and answer."""
    text = re.sub(r" ?\(configured timeouts: [^)]*\)", "", text)
    return clean(re.split(r", (?:Timeout: |Topology Description: |full error: )", text)[0], limit)


def spreadsheet_text(text: str) -> str:
    """Untrusted text for a cell of a CSV file. A spreadsheet takes no part of it for a formula, in any locale.

    Where a file is opened with another separator than it was written with, quotes hold nothing together, and a cell
    may begin after any separator in the text: an apostrophe stands before whatever would be a formula there. A text
    that is a number stays one.
    """
    return text if _NUMBER.fullmatch(text) else _BEFORE_A_FORMULA.sub(r"\1'", text)


def check_signed(by: str, why: str = "-") -> None:
    """Raises BadInput unless a user's order says who gives it and why, each in one line that can be shown."""
    if not 0 < len(by.strip()) <= NAME_MAX or not by.isprintable():
        raise BadInput(f"say who you are, in 1 to {NAME_MAX} characters")
    if not 0 < len(why.strip()) <= WHY_MAX or not why.isprintable():
        raise BadInput(f"say why, in 1 to {WHY_MAX} characters")


def shown(value: str) -> str:
    """An operator's value for an error about it: quoted where it is short, as it may be a secret in the wrong place."""
    return repr(value) if len(value) < SECRET_MIN and value.isprintable() else f"({len(value)} characters, not shown)"


def is_web_url(text: str) -> bool:
    """Whether the text is an http:// or https:// URL with a host, and a port that can be if it has one."""
    try:
        parts = urlsplit(text)
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return sound and parts.scheme in ("http", "https") and text.isascii() and text.isprintable() and " " not in text


def nearest(word: str, words: Iterable[str]) -> str:
    """The word that was probably meant, whatever its case; "" where none is near."""
    folded = {candidate.casefold(): candidate for candidate in words}
    matches = get_close_matches(word[:TEXT_MAX].casefold(), folded, n=1, cutoff=0.7)
    return folded[matches[0]] if matches else ""
