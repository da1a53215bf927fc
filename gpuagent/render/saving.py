"""Files of runs, saved to this machine: proven while they are written, and never outside the folder that is named."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from gpuagent.core.content import proven
from gpuagent.core.paths import path_problem, twins
from gpuagent.core.ports.files import FileStore
from gpuagent.errors import BadInput
from gpuagent.render.drafts import draft


class Content(Protocol):
    """A content of the file store."""

    @property
    def bytes(self) -> int: ...

    @property
    def sha256(self) -> str: ...


File = TypeVar("File", bound=Content)


def save(place: Path, file: Content, store: FileStore) -> Path:
    """Writes the file beside its place, and renames it once all of it is right. Raises BadInput, FileAltered."""
    if place.exists() and not (place.is_file() or place.is_symlink()):
        raise BadInput(f"{place} cannot be written: it is a folder, a pipe or a device")
    try:
        with draft(place) as content:
            for part in proven(store.read(file.sha256), file.bytes, file.sha256):
                content.write(part)
    except OSError as error:
        raise BadInput(f"{place} cannot be written: {error.strerror}") from error
    return place


def save_below(folder: Path, files: Mapping[str, File], store: FileStore) -> dict[Path, File]:
    """Saves each file at its path below the folder. Raises BadInput, and nothing is written outside of it."""
    for path in files:
        if problem := path_problem(path):
            raise BadInput(f"the path {path[:200]!r} {problem}: it is not written")
    if pair := twins(files):
        raise BadInput(f"{pair[0]!r} and {pair[1]!r} are one file on some systems: save them by --get")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        root = folder.resolve()
        saved = {}
        for path, file in files.items():
            place = folder / path
            if not place.parent.resolve().is_relative_to(root):
                raise BadInput(f"{place.parent} leads out of {folder}: remove that link")
            place.parent.mkdir(parents=True, exist_ok=True)
            saved[save(place, file, store)] = file
    except OSError as error:
        raise BadInput(f"{folder} cannot be written: {error.strerror}") from error
    return saved
