"""Copies of a run's files for its user: beside the notebook, or within a link. Proven anew while they are copied.

A browser may be on another machine than the kernel, and the panel has no server of its own: a link carries the content
itself, as long as that is small. Nothing of a file is rendered: a link only saves, as bytes of no type.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuagent.core.content import proven
from gpuagent.core.ports.files import FileStore
from gpuagent.core.units import show_size
from gpuagent.errors import BadInput
from gpuagent.panels.kit.html import Html, el
from gpuagent.render.saving import save_below

LINK_MAX = 16_000_000
"""Bytes of a file that a link carries: it goes through the notebook's own connection, and is held in memory."""
FOLDER = "gpuagent-files"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a run in the file store. attempt: which try left it, counted from 1.

    deleted: whether retention has deleted its content. index: which of several jobs left it, None in a run with one.
    """

    path: str
    bytes: int
    sha256: str
    kind: str
    vendor_id: str
    attempt: int
    deleted: bool = False
    index: int | None = None

    @property
    def label(self) -> str:
        """Its path, of several jobs below the number of the one that left it."""
        return self.path if self.index is None else f"{self.index}/{self.path}"

    @property
    def place(self) -> str:
        """Where a copy goes in the run's folder: jobs, tries and kinds apart, for each may have a file of that path."""
        job = "" if self.index is None else f"job-{self.index}/"
        return f"{job}try-{self.attempt}/{self.kind}/{self.path}"


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
            deleted=file["sha256"] in job.get("filesDeleted", {}),
            index=job.get("index"),
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
    content = base64.b64encode(b"".join(proven(store.read(file.sha256), file.bytes, file.sha256))).decode()
    name = file.path.rpartition("/")[2]
    return el(
        "a", f"Save {name}", href=f"data:application/octet-stream;base64,{content}", download=name, rel="noopener"
    )


def copy_files(store: FileStore, files: Sequence[StoredFile], folder: Path) -> Path:
    """Copies into the folder, each whole or not at all. Raises BadInput, FileAltered, StoreError."""
    save_below(folder, {file.place: file for file in files}, store)
    return folder
