"""Files in a folder: the port FileStore on a file system.

`incoming/` holds uploads, `files/` finished files under their SHA-256. A file appears there by one rename.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gpuagent.adapters.files.parts import check_content
from gpuagent.errors import FileAltered, FileMissing, StoreError

READ = 256 * 1024
"""Bytes read at a time."""


class FolderStore:
    """The port FileStore on a folder, which is made with no access for others. Safe to share between processes."""

    def __init__(self, folder: Path) -> None:
        self._incoming, self._files = folder / "incoming", folder / "files"
        with _explained():
            for path in (folder, self._incoming, self._files):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def size(self, sha256: str) -> int | None:
        path = self._path(sha256)
        with _explained():
            return path.stat().st_size if path.is_file() else None

    def received(self, upload: str) -> int:
        path = self._upload(upload)
        with _explained():
            return path.stat().st_size if path.is_file() else 0

    def extend(self, upload: str, start: int, parts: Iterable[bytes], size: int) -> int:
        with _explained(), self._upload(upload).open("ab", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return self.received(upload)  # another tick is at this upload
            received = os.fstat(file.fileno()).st_size
            if received != start:
                return received
            for part in parts:
                if received + len(part) > size:
                    raise FileAltered(f"more came than the {size} bytes that were announced")
                received += file.write(part)
            os.fsync(file.fileno())
            return received

    def finish(self, upload: str, sha256: str, size: int) -> None:
        path = self._upload(upload)
        with _explained():
            if self.size(sha256) is not None:
                path.unlink(missing_ok=True)
                return
            if not path.is_file() and size == 0:
                path.touch(0o600)
            with path.open("rb") as file:
                digest, length = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
            try:
                check_content(length, digest, size, sha256)
            except FileAltered:
                path.unlink(missing_ok=True)
                raise
            path.replace(self._path(sha256))
            _sync_folder(self._files)

    def read(self, sha256: str, start: int = 0) -> Iterator[bytes]:
        try:
            file = self._path(sha256).open("rb")
        except FileNotFoundError:
            raise FileMissing(f"the file store has no file {sha256}") from None
        with _explained(), file:
            file.seek(start)
            while part := file.read(READ):
                yield part

    def delete(self, sha256: str) -> None:
        with _explained():
            self._path(sha256).unlink(missing_ok=True)

    def sweep(self, before: float) -> int:
        freed = 0
        with _explained():
            for path in self._incoming.iterdir():
                status = path.stat()
                if status.st_mtime < before:
                    path.unlink(missing_ok=True)
                    freed += status.st_size
        return freed

    def _path(self, sha256: str) -> Path:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise FileMissing(f"{sha256!r} is no SHA-256")
        return self._files / sha256

    def _upload(self, upload: str) -> Path:
        """The upload's id comes from ids of ours; its hash as a name needs no trust in that."""
        return self._incoming / hashlib.sha256(upload.encode()).hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"the file store did not do it: {error.strerror}: {error.filename}") from error
