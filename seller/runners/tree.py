"""The files below a job's folder, on a way without links: its job may put one anywhere, at any time."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from seller.runners.base import RunnerError
from seller.runners.reading import open_folder

DEPTH_MAX = 64
BLOCK = 512


def walk(root: Path, path: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Path and status of each entry below a folder. Raises RunnerError below DEPTH_MAX, or where it may not look."""
    try:
        descriptor = open_folder(root, path.split("/") if path else [])
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise RunnerError(f"{path!r} is no folder that can be read: {error.strerror}") from error
    yield from _below(descriptor, "", 1)


def _below(descriptor: int, prefix: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    try:
        for name in sorted(os.listdir(descriptor)):
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except OSError:
                continue  # it has gone
            yield prefix + name, status
            if not stat.S_ISDIR(status.st_mode):
                continue
            if depth == DEPTH_MAX:
                raise RunnerError(f"it made folders that are more than {DEPTH_MAX} deep")
            try:
                folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            except PermissionError as error:
                raise RunnerError(f"it closed a folder, {name[:100]!r}, to the seller") from error
            except OSError:
                continue  # another has taken its place
            yield from _below(folder, f"{prefix}{name}/", depth + 1)
    finally:
        os.close(descriptor)


def usage(root: Path, entries_max: int) -> tuple[int, int]:
    """Bytes on disk and number of entries below a folder. Counting ends past entries_max, where that is not 0."""
    size = entries = 0
    for _, status in walk(root):
        size += status.st_blocks * BLOCK
        entries += 1
        if 0 < entries_max < entries:
            break
    return size, entries


def unlinked_bytes(processes: list[int], root: Path) -> int:
    """Bytes on the disk of a folder that have no name any more, and are held by these processes' open files."""
    device = root.stat().st_dev
    sizes: dict[int, int] = {}
    for process in processes:
        folder = Path(f"/proc/{process}/fd")
        with suppress(OSError):  # it has ended, or is not ours to look at
            for file in folder.iterdir():
                with suppress(OSError):
                    status = file.stat()
                    if stat.S_ISREG(status.st_mode) and not status.st_nlink and status.st_dev == device:
                        sizes[status.st_ino] = status.st_blocks * BLOCK
    return sum(sizes.values())
