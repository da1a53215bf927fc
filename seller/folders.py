"""Folders, what they take, and private files in them."""

import os
from contextlib import suppress
from pathlib import Path

BLOCK_BYTES = 512
"""Of st_blocks, whatever the filesystem's own are."""


def folder_bytes(folder: Path) -> int:
    """What the files below a folder take of the disk."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(parent) / name).lstat().st_blocks * BLOCK_BYTES
    return total


def kept_text(path: Path, text: str) -> str:
    """The text of a private file, which is written with this one if it is not there: whole or not at all.

    For the one process that has the folder.
    """
    if not path.exists():
        part = path.with_name(f"{path.name}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    return path.read_text()
