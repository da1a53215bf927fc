"""Poison for whoever goes on from a checkpoint: a word of progress that is a lie, and weights that are none."""

WORD, WEIGHTS = b'{"fraction":0.99}', b"poison"


def poison(path: str, size: int) -> bytes:
    """The poison in place of a checkpoint's file, of the same size."""
    return WORD.ljust(size)[:size] if path.endswith("progress.json") else (WEIGHTS * (size // len(WEIGHTS) + 1))[:size]
