"""Untrusted text made safe to store and show."""

from collections.abc import Iterable
from difflib import get_close_matches
from urllib.parse import urlsplit

TEXT_MAX = 2_000
"""Characters."""
SECRET_MIN = 8
"""Characters: a shorter secret is an ordinary word in a text, such as the "none" of a local server."""


def clean(text: str, limit: int = TEXT_MAX) -> str:
    """Untrusted text as inert data: one line, no control characters, at most `limit` characters."""
    line = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"


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
