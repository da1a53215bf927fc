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


def write_private(path: Path, text: str) -> None:
    """Writes a new file that its owner alone may read, down to the disk. Raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
