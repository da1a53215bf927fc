"""The checkpoints that a job's supervisor has kept, as their seller lists and reads them."""

import json
from contextlib import suppress
from pathlib import Path

from seller.folders import write_whole
from seller.locks import ProcessLock
from seller.runners.base import Checkpoint, RunnerError, manifest_sha256
from seller.runners.job_folder import JobFolder
from seller.runners.reading import file_entry

PINS_MAX = 3
"""Checkpoints of a job that stay readable though newer ones have come, because they were the last to be asked for."""


class KeptCheckpoints:
    """Manifests, each hashed once, and the pins by which a checkpoint stays while a buyer fetches it. Safe from any
    thread of any process."""

    def __init__(self) -> None:
        self._manifests: dict[Path, Checkpoint] = {}

    def newest(self, folder: JobFolder) -> Checkpoint | None:
        for _ in range(2):  # it may be replaced between two looks
            with suppress(FileNotFoundError):
                name = folder.newest.read_text()
                checkpoint = self._manifest(folder.checkpoints / name)
                if checkpoint and folder.newest.read_text() == name:  # else its files may have been going meanwhile
                    self._pin(folder, name, checkpoint.sha256)
                    return checkpoint
        return None

    def find(self, folder: JobFolder, sha256: str) -> tuple[Path, Checkpoint]:
        """Where the checkpoint of this SHA-256 is, and its manifest. Raises RunnerError where it is not kept."""
        name = next((name for name, pinned in folder.pinned() if pinned == sha256), "")
        manifest = self._manifest(folder.checkpoints / name) if name else None
        if not manifest or manifest.sha256 != sha256:
            raise RunnerError(f"there is no checkpoint {sha256[:64]!r}, or not any more")
        self._pin(folder, name, sha256)
        return folder.checkpoints / name, manifest

    def _manifest(self, path: Path) -> Checkpoint | None:
        """The manifest of a kept checkpoint. None where it has been dropped."""
        if not path.is_dir():
            self._manifests.pop(path, None)
            return None
        if path in self._manifests:
            return self._manifests[path]
        names = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
        files = tuple(entry for name in names if (entry := file_entry(path, name)))
        if len(files) != len(names):
            return None
        manifest = Checkpoint(manifest_sha256(files), files)
        self._manifests[path] = manifest
        return manifest

    def _pin(self, folder: JobFolder, name: str, sha256: str) -> None:
        """Has the supervisor keep this checkpoint, the last to be asked for."""
        if folder.pinned()[-1:] != [(name, sha256)]:
            with ProcessLock(folder.pins_lock).hold():
                pins = [*(pin for pin in folder.pinned() if pin[0] != name), (name, sha256)][-PINS_MAX:]
                write_whole(folder.pins, json.dumps(pins))
        pinned = {folder.checkpoints / name for name, _ in folder.pinned()}
        for path in [path for path in list(self._manifests) if path.parent == folder.checkpoints]:
            if path not in pinned:
                self._manifests.pop(path, None)
