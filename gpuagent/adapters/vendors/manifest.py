"""Vendors' lists of files, read strictly: each entry is checked by itself, and why one is left out is said in words."""

import re
from collections.abc import Sequence
from typing import Any

from gpuagent.core.orders import MANIFEST_MAX, manifest_sha256, manifest_text
from gpuagent.core.paths import clashes, path_problem
from gpuagent.core.text import clean
from gpuagent.core.work import CheckpointOffer, FileEntry
from gpuagent.core.workload import FILES_MAX

BYTES_MAX = 10**15
REFUSED_MAX = 5
"""Reasons that are kept of a list; how many more there are is said."""
SHOWN_MAX = 80
"""Characters of a path in a reason."""
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def read_files(value: object) -> tuple[tuple[FileEntry, ...], tuple[str, ...]]:
    """The files of a manifest, and why listed ones are left out. Of two that clash the first, or shallower, counts."""
    if value is None:
        return (), ()
    if not isinstance(value, list):
        return (), ("the list of files is no list",)
    files: dict[str, FileEntry] = {}
    reasons: list[str] = []
    if len(value) > FILES_MAX:
        reasons.append(f"{len(value)} files are listed, of which the first {FILES_MAX} count")
    for item in value[:FILES_MAX]:
        entry = _entry(item)
        if isinstance(entry, str):
            reasons.append(entry)
        elif files.setdefault(entry.path, entry) != entry:
            reasons.append(f"{_shown(entry.path)} is listed twice, with another content")
    for path, twin in list(clashes(files)):
        reasons.append(f"{_shown(twin)} cannot be beside {_shown(path)}: some systems take both for one")
        del files[twin]
    return tuple(files.values()), first_few(reasons)


def read_checkpoint(value: object) -> tuple[CheckpointOffer | None, tuple[str, ...]]:
    """A checkpoint, or why it is refused: it is as its hash says to the last entry, or it is none."""
    if value is None:
        return None, ()
    if not isinstance(value, dict):
        return None, ("the checkpoint is no object",)
    files, reasons = read_files(value.get("files"))
    sha256 = value.get("sha256")
    if reasons:
        return None, tuple(f"in the checkpoint {reason}" for reason in reasons)
    if not files:
        return None, ("the checkpoint lists no files",)
    if (size := len(manifest_text(files).encode())) > MANIFEST_MAX:
        return None, (f"the checkpoint's list of files has {size} bytes, and {MANIFEST_MAX} are kept at most",)
    if not isinstance(sha256, str) or sha256.lower() != manifest_sha256(files):
        return None, ("the checkpoint's sha256 is not that of its list of files",)
    return CheckpointOffer(sha256.lower(), files), ()


def first_few(reasons: Sequence[str]) -> tuple[str, ...]:
    more = len(reasons) - REFUSED_MAX
    return (*reasons[:REFUSED_MAX], *([f"and {more} more"] if more > 0 else []))


def _entry(item: Any) -> FileEntry | str:
    """The entry, or why it is none."""
    path = item.get("path") if isinstance(item, dict) else None
    if not isinstance(path, str):
        return "an entry has no path"
    if problem := path_problem(path):
        return f"{_shown(path)} {problem}"
    size, sha256 = item.get("bytes"), item.get("sha256")
    if type(size) is not int or not 0 <= size <= BYTES_MAX:
        return f"{_shown(path)} has no number of bytes from 0 to 10^15"
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        return f"{_shown(path)} has no SHA-256 of 64 hex digits"
    return FileEntry(path, size, sha256.lower())


def _shown(path: str) -> str:
    return repr(clean(path, SHOWN_MAX))
