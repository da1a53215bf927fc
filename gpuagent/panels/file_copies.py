"""Copies of a run's files for its user: beside the notebook, or within a link. Proven anew while they are copied.

A browser may be on another machine than the kernel, and the panel has no server of its own: a link carries the content
itself, as long as that is small. Nothing of a file is rendered: a link only saves, as bytes of no type.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuagent.core.paths import path_problem
from gpuagent.core.ports import FileStore
from gpuagent.core.units import show_size
from gpuagent.errors import BadInput, FileAltered
from gpuagent.panels.kit.html import Html, el

LINK_MAX = 16_000_000
"""Bytes of a file that a link carries: it goes through the notebook's own connection, and is held in memory."""
FOLDER = "gpuagent-files"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a run in the file store. attempt: which try left it, counted from 1.

    deleted: whether retention has deleted its content.
    """

    path: str
    bytes: int
    sha256: str
    kind: str
    vendor_id: str
    attempt: int
    deleted: bool = False

    @property
    def place(self) -> str:
        """Where a copy goes in the run's folder: tries and kinds apart, for each may have a file of the same path."""
        return f"try-{self.attempt}/{self.kind}/{self.path}"


def stored_files(jobs: Sequence[Mapping[str, Any]]) -> list[StoredFile]:
    """The files of a run's jobs, the outputs of the newest try first."""
    files = [
        StoredFile(
            path=file["path"],
            bytes=file["bytes"],
            sha256=file["sha256"],
            kind=file["kind"],
            vendor_id=job["vendorId"],
            attempt=job["ordinal"] + 1,
            deleted=file.get("deletedAt") is not None,
        )
        for job in jobs
        for file in job.get("files") or ()
    ]
    return sorted(files, key=lambda file: (file.kind != "output", -file.attempt, file.path))


def download_link(store: FileStore, file: StoredFile) -> Html:
    """A link that saves the file. Raises BadInput for one that is too large, FileAltered, StoreError."""
    if file.bytes > LINK_MAX:
        raise BadInput(
            f"{file.path} has {show_size(file.bytes)}, and a link carries up to {show_size(LINK_MAX)}: press Save files"
        )
    content = base64.b64encode(b"".join(_proven(store, file))).decode()
    name = file.path.rpartition("/")[2]
    return el(
        "a", f"Save {name}", href=f"data:application/octet-stream;base64,{content}", download=name, rel="noopener"
    )


def copy_files(store: FileStore, files: Sequence[StoredFile], folder: Path) -> Path:
    """Copies into the folder, each whole or not at all. Raises BadInput, FileAltered, StoreError."""
    for file in files:
        if problem := path_problem(file.path):
            raise BadInput(f"{file.path!r} {problem}: it is not written")
        target = folder / file.place
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(target, _proven(store, file), file.sha256)
        except OSError as error:
            raise BadInput(f"{error.filename or target} cannot be written: {error.strerror}") from error
    return folder


def _write(target: Path, parts: Iterator[bytes], sha256: str) -> None:
    """Write under another name first, which is gone afterwards: what stands under its own is whole."""
    partial = target.with_name(f".{sha256[:16]}.part")
    try:
        with partial.open("wb") as output:
            output.writelines(parts)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _proven(store: FileStore, file: StoredFile) -> Iterator[bytes]:
    """The content, part by part. Raises FileAltered in the end for another than the one that was collected."""
    digest = hashlib.sha256()
    for part in store.read(file.sha256):
        digest.update(part)
        yield part
    if digest.hexdigest() != file.sha256:
        raise FileAltered(f"{file.path} in the file store is not the file that was collected: it has another SHA-256")
