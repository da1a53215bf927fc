"""Untrusted text made safe to store and show."""

TEXT_MAX = 2_000
"""Characters."""


def clean(text: str, limit: int = TEXT_MAX) -> str:
    """Untrusted text as inert data: one line, no control characters, at most `limit` characters."""
    line = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"
