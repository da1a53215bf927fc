"""Reading what a job wrote: lines, metrics and files, of which none is trusted to be what its name says."""

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from seller.runners.base import FileEntry, RunnerError

LINES_MAX, LINE_BYTES = 1_000, 4_000
READ_BYTES = 80 * 1024
"""At once, of log or metrics: escaped for JSON they may be six times as much, and buyers read answers of 1 MB."""
NUMBER_MAX = 1e300


def read_lines(path: Path, cursor: int, final: bool) -> tuple[list[str], int]:
    """Whole lines from a byte on, at most LINES_MAX of at most LINE_BYTES, and the byte after them.

    final: nothing is written any more. Then the last line counts without its end, and where more is left than is given
    at once it is the end of it that is given, after a line that says what is left out.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return [], cursor
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return [], cursor
        if final and cursor < status.st_size:
            return _rest(file, cursor, status.st_size), status.st_size
        file.seek(cursor)
        lines, end = [], cursor
        for line in file.read(READ_BYTES).splitlines(keepends=True)[:LINES_MAX]:
            if not line.endswith((b"\n", b"\r")) and len(line) < LINE_BYTES:
                break
            end += len(line)
            lines.append(_text(line))
        return lines, end


def _rest(file: IO[bytes], cursor: int, size: int) -> list[str]:
    start = max(cursor, size - READ_BYTES)
    file.seek(start)
    lines = file.read(READ_BYTES).splitlines(keepends=True)[-LINES_MAX:]
    if start > cursor and len(lines) > 1:
        lines = lines[1:]  # the first has no beginning
    missing = size - cursor - sum(map(len, lines))
    return [*([f"({missing} bytes left out)"] if missing else []), *map(_text, lines)]


def _text(line: bytes) -> str:
    return line[:LINE_BYTES].decode("utf-8", "replace").rstrip("\r\n")


def read_metric(line: str) -> dict[str, Any] | None:
    """The numbers of a line of metrics; None where there is none."""
    try:
        metric = json.loads(line, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    if not isinstance(metric, dict):
        return None
    return {
        name: value
        for name, value in metric.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and -NUMBER_MAX < value < NUMBER_MAX
    } or None


def file_entry(folder: Path, path: str) -> FileEntry | None:
    """The entry of a regular file below a folder; None where there is no such file."""
    try:
        with open_inside(folder, path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            return FileEntry(path, file.tell(), digest)
    except (OSError, RunnerError):
        return None


def open_inside(folder: Path, path: str) -> IO[bytes]:
    """A regular file below a folder, on a way without links: the job wrote all of it, and may have put one anywhere."""
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") for part in parts):
        raise RunnerError(f"{path!r} is no path in a job")
    parent = open_folder(folder, parts[:-1])
    try:
        descriptor = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
    finally:
        os.close(parent)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise RunnerError(f"{path!r} is no regular file")
    return os.fdopen(descriptor, "rb")


def open_folder(root: Path, parts: Sequence[str]) -> int:
    """The descriptor of a folder below another, on a way without links. Raises OSError."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    for part in parts:
        try:
            following = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = following
    return descriptor
