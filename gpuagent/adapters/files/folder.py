"""Files in a folder: the port FileStore on a file system.

`incoming/` holds uploads, and of each that was finished the proof; `files/` finished files under their SHA-256. A file
appears there by one rename. Whoever writes to an upload, or proves it, holds its lock. `databases/` has
what marks.py says.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from gpuagent.adapters.files.digests import RunningDigests
from gpuagent.adapters.files.marks import MARKS, Owner, StoreMarks
from gpuagent.core.content import check_content
from gpuagent.errors import FileAltered, FileMissing, FileStoreError

READ = 256 * 1024
"""Bytes read at a time."""


class FolderStore:
    """The port FileStore on a folder, which is made with no access for others. Safe to share between processes."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time, owner: Owner | None = None) -> None:
        self._incoming, self._files, self._now = folder / "incoming", folder / "files", now
        self._databases, self._digests = folder / MARKS, RunningDigests()
        self._marks = StoreMarks(owner, self._write_mark, self._read_marks)
        with _explained():
            for path in (folder, self._incoming, self._files):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def size(self, sha256: str) -> int | None:
        return _size(self._path(sha256))

    def received(self, upload: str) -> int:
        proof = self._proof(upload)
        return proof[1] if proof else _size(self._upload(upload)) or 0

    def extend(self, upload: str, start: int, parts: Iterable[bytes], size: int) -> int:
        self._marks.leave()
        with _locked(self._upload(upload), wait=False) as file:
            if file is None or self._proof(upload):
                return self.received(upload)  # another tick is at this upload, or it is finished
            received = os.fstat(file.fileno()).st_size
            if received != start:
                return received
            with self._digests.writing(upload, start, _version(file)) as digest:
                try:
                    for part in parts:
                        if received + len(part) > size:
                            raise FileAltered(f"more came than the {size} bytes that were announced")
                        _write(file, part)
                        digest.update(part)
                        received += len(part)
                finally:
                    with _explained():
                        os.fsync(file.fileno())
                        os.utime(file.fileno(), (self._now(), self._now()))
                    digest.version = _version(file)
            return received

    def finish(self, upload: str, sha256: str, size: int) -> None:
        path = self._upload(upload)
        with _locked(path, wait=True) as file, _explained():
            if file and (proof := self._proof(upload)):
                path.unlink()
                check_content(proof[1], proof[0], size, sha256)
                return
            if file:
                length = os.fstat(file.fileno()).st_size
                digest = self._digests.take(upload, length, _version(file))
                if not digest:  # another process wrote some of it
                    with path.open("rb") as content:
                        digest = hashlib.file_digest(content, "sha256").hexdigest()
                try:
                    check_content(length, digest, size, sha256)
                except (FileAltered, FileMissing):
                    path.unlink()
                    raise
                self._write_proof(upload, sha256, size)
                with self._lock_of_files():
                    os.utime(path, (self._now(), self._now()))
                    path.replace(self._path(sha256))  # over the same content, where that was there
                _sync_folder(self._files)
                return
        self.finish(upload, sha256, size)  # another tick has just finished or dropped it

    def read(self, sha256: str, start: int = 0) -> Iterator[bytes]:
        path = self._path(sha256)
        with _explained():
            try:
                file = path.open("rb")
            except FileNotFoundError:
                raise FileMissing(f"the file store has no file {sha256}") from None
            with file:
                file.seek(start)
                while part := file.read(READ):
                    yield part

    def delete(self, sha256: str, before: float | None = None) -> int:
        path = self._path(sha256)
        with _explained(), self._lock_of_files():
            size = _size(path)
            if size is None or (before is not None and path.stat().st_mtime >= before):
                return 0
            path.unlink()
            return size

    def older(self, before: float) -> Iterator[tuple[str, int]]:
        with _explained():
            entries = [(path.name, path.stat()) for path in sorted(self._files.iterdir())]
        yield from ((name, status.st_size) for name, status in entries if status.st_mtime < before)

    def sharers(self) -> tuple[str, ...]:
        return self._marks.sharers()

    def sweep(self, before: float, *, dry_run: bool = False) -> int:
        freed = 0
        if not dry_run:
            self._marks.leave()
        for path in sorted(self._incoming.iterdir()):
            with _locked(path, wait=False) as file, _explained():
                if file and os.fstat(file.fileno()).st_mtime < before:
                    freed += 0 if path.suffix else os.fstat(file.fileno()).st_size
                    if not dry_run:
                        path.unlink()
        return freed

    def _write_mark(self, name: str, content: bytes) -> None:
        with _explained():
            self._databases.mkdir(mode=0o700, exist_ok=True)
            (self._databases / name).write_bytes(content)

    def _read_marks(self) -> Iterator[tuple[str, bytes]]:
        with _explained():
            entries = sorted(self._databases.iterdir()) if self._databases.is_dir() else []
            yield from [(path.name, path.read_bytes()) for path in entries]

    def _path(self, sha256: str) -> Path:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise FileMissing(f"{sha256!r} is no SHA-256")
        return self._files / sha256

    def _upload(self, upload: str) -> Path:
        """The upload's id comes from ids of ours; its hash as a name needs no trust in that."""
        return self._incoming / hashlib.sha256(upload.encode()).hexdigest()

    def _proof(self, upload: str) -> tuple[str, int] | None:
        """SHA-256 and bytes of the file whose content the upload has brought, while that is there."""
        with _explained():
            try:
                sha256, size = self._upload(upload).with_suffix(".proof").read_text().split()
            except FileNotFoundError:
                return None
        return (sha256, int(size)) if self.size(sha256) == int(size) else None

    def _write_proof(self, upload: str, sha256: str, size: int) -> None:
        """Writes it before the file is there: until then it counts for nothing."""
        draft = self._upload(upload).with_suffix(".draft")
        draft.write_text(f"{sha256} {size}")
        os.utime(draft, (self._now(), self._now()))
        draft.replace(draft.with_suffix(".proof"))

    @contextmanager
    def _lock_of_files(self) -> Iterator[None]:
        """Keeps a file that is just proven again from being deleted as old."""
        with FileIO(self._files.parent / "lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[FileIO | None]:
    """A file to append to, ours alone until the block ends; None where another has it, or has moved it meanwhile."""
    with _explained():
        file = FileIO(path, "a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            here = path.stat().st_ino == os.fstat(file.fileno()).st_ino
        except (BlockingIOError, FileNotFoundError):
            here = False
        yield file if here else None


def _write(file: FileIO, part: bytes) -> None:
    rest = memoryview(part)
    with _explained():
        while rest:
            rest = rest[file.write(rest) :]


def _version(file: FileIO) -> tuple[int, int, int]:
    """What changes with whatever anyone does to the file, and with a new file in its place."""
    status = os.fstat(file.fileno())
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _size(path: Path) -> int | None:
    with _explained():
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None


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
        place = f": {error.filename}" if error.filename else ""
        raise FileStoreError(f"the file store did not do it: {error.strerror}{place}") from error
