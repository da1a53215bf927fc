"""Untrusted text made safe to store and show, and what a user signs an order with."""

from gpuagent.errors import BadInput

TEXT_MAX = 2_000
"""Characters."""
NAME_MAX, WHY_MAX = 100, 500


def clean(text: str, limit: int = TEXT_MAX) -> str:
    """Untrusted text as inert data: one line, no control characters, at most `limit` characters."""
    line = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"


def check_signed(by: str, why: str = "-") -> None:
    """Raises BadInput unless a user's order says who gives it and why, each in one line that can be shown."""
    if not 0 < len(by.strip()) <= NAME_MAX or not by.isprintable():
        raise BadInput(f"say who you are, in 1 to {NAME_MAX} characters")
    if not 0 < len(why.strip()) <= WHY_MAX or not why.isprintable():
        raise BadInput(f"say why, in 1 to {WHY_MAX} characters")
