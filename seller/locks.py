"""Locks between the threads and the processes of one seller. What a killed process held, the system frees."""

import fcntl
import io
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol
from zlib import crc32

KEY_LOCKS = 1024


class LockedContent(Protocol):
    """A few bytes that are read and written by one holder at a time."""

    def hold(self) -> AbstractContextManager[BinaryIO]: ...


class LockedMemory:
    """A lock of one process's threads, and its bytes in memory."""

    def __init__(self) -> None:
        self._lock, self._content = threading.Lock(), io.BytesIO()

    @contextmanager
    def hold(self) -> Iterator[BinaryIO]:
        with self._lock:
            yield self._content


class LockedFile:
    """A lock of all threads of all processes on this machine that know its file, and that file's bytes."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()

    @contextmanager
    def hold(self) -> Iterator[BinaryIO]:
        # One thread of each process waits for the file, so that a crowd of requests takes no descriptor each.
        with self._lock, self._path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield file
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)  # a child that is being started may still have the file open


def read_number(content: BinaryIO) -> int:
    """The number that is written; 0 where there is none, as after a kill in the middle of its writing."""
    content.seek(0)
    text = content.read()
    return int(text) if text.isdigit() else 0


def write_number(content: BinaryIO, number: int) -> None:
    content.seek(0)
    content.truncate()
    content.write(str(number).encode())


class KeyLocks:
    """Locks for one request at a time for one Idempotency-Key. Different keys share a lock only by chance.

    folder: of their files, for several processes; None for the threads of one.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._locks: list[LockedContent] = [
            LockedFile(folder / str(number)) if folder else LockedMemory() for number in range(KEY_LOCKS)
        ]

    @contextmanager
    def hold(self, vendor_id: str, key: str) -> Iterator[None]:
        with self._locks[crc32(f"{vendor_id} {key}".encode()) % KEY_LOCKS].hold():
            yield


class Election:
    """Elects one of the processes that know its file. The winner is it until it ends, whatever ends it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def is_won(self) -> bool:
        """Whether this process is the one. A loser may win later."""
        if self._file is None:
            file = self._path.open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return False
            self._file = file
        return True

    def close(self) -> None:
        """Leaves the place to another."""
        if self._file:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._file.close()
            self._file = None
