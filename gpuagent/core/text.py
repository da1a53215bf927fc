"""Untrusted text made safe to store and show."""

from collections.abc import Iterable
from difflib import get_close_matches

TEXT_MAX = 2_000
"""Characters."""


def clean(text: str, limit: int = TEXT_MAX) -> str:
    """Untrusted text as inert data: one line, no control characters, at most `limit` characters."""
    line = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"


def nearest(word: str, words: Iterable[str]) -> str:
    """The word that was probably meant, whatever its case; "" where none is near."""
    folded = {candidate.casefold(): candidate for candidate in words}
    matches = get_close_matches(word[:TEXT_MAX].casefold(), folded, n=1, cutoff=0.7)
    return folded[matches[0]] if matches else ""
