"""Relative paths in a job's folder: the one form in which files are named by users, vendors and us."""

import unicodedata
from collections.abc import Iterable, Iterator

PATH_MAX = 512
"""Bytes of UTF-8 in a path."""
PART_MAX = 200
"""Bytes of UTF-8 in a name between two slashes: file systems hold 255, and a store adds some."""
DEPTH_MAX = 16
_RESERVED = {"con", "prn", "aux", "nul", *(f"{device}{number}" for device in ("com", "lpt") for number in range(10))}


def path_problem(path: str) -> str:
    """The reason why a path cannot name a file in a folder, on any system; empty where it can."""
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        return "is no Unicode text"
    if not path:
        return "is empty"
    if length > PATH_MAX:
        return f"is longer than {PATH_MAX} bytes"
    if any(not char.isprintable() or unicodedata.category(char) == "Cf" for char in path):
        return "has characters that cannot be seen"
    if unicodedata.normalize("NFKC", path) != path:
        return "has characters that look like others: write them in their plain form"
    if "\\" in path or ":" in path:
        return "has a backslash or a colon: parts are separated by /"
    parts = path.split("/")
    if len(parts) > DEPTH_MAX:
        return f"is deeper than {DEPTH_MAX} folders"
    return next((problem for problem in map(_part_problem, parts) if problem), "")


def twins(paths: Iterable[str]) -> tuple[str, str] | None:
    """Two paths that some file system takes for one, or of which one would have to be the other's folder."""
    return next(clashes(paths), None)


def clashes(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """All twins(): the path that counts, and the one that cannot be beside it."""
    files: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: path.count("/")):
        parts = path.casefold().split("/")
        prefixes = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        clash = next((files[prefix] for prefix in prefixes if prefix in files), None)
        if clash is None:
            files["/".join(parts)] = path
        else:
            yield clash, path


def _part_problem(part: str) -> str:
    if part in ("", ".", ".."):
        return "is not a plain relative path: no leading or double slash, no . and no .."
    if part != part.strip() or part.endswith("."):
        return "has a name that begins or ends with a blank, or ends with a dot"
    if len(part.encode()) > PART_MAX:
        return f"has a name of more than {PART_MAX} bytes"
    if part.split(".")[0].casefold() in _RESERVED:
        return f"has the name {part}, which stands for a device on some systems"
    return ""
