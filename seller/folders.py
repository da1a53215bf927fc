"""Folders and what they take."""

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
