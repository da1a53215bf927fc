"""Folders, what they take, and private files in them."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

BLOCK_BYTES = 512
"""Of st_blocks, whatever the filesystem's own are."""


def folder_bytes(folder: Path) -> int:
    """What the files below a folder take of the disk, however deep they are, as far as paths reach."""
    total, folders = 0, [os.fspath(folder)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:  # a job may delete, or close, what is listed
            for entry in entries:
                with suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return total


def write_whole(path: Path, text: str, mode: int = 0o666) -> None:
    """Writes a file that is there whole or not at all; of several at once, the last. mode: as umask has it."""
    part = path.with_name(f"{path.stem}.{secrets.token_hex(6)}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def kept_text(path: Path, text: str) -> str:
    """The text of a private file, which is written with this one if it is not there.

    For the one process that has the folder.
    """
    if not path.exists():
        write_whole(path, text, 0o600)
    return path.read_text()
