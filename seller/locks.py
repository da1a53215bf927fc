"""Locks of the threads of one process, or of all worker processes of a seller.

What a process held that was killed, the system frees.
"""

import fcntl
import mmap
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from weakref import WeakValueDictionary
from zlib import crc32

KEY_FILES = 1024
WORD_BYTES = 8


class Numbers(Protocol):
    """Integers of 64 bits, 0 at first."""

    def __getitem__(self, place: int, /) -> int: ...

    def __setitem__(self, place: int, number: int, /) -> None: ...


def shared_numbers(count: int) -> Numbers:
    """Numbers in memory of this process and of those that it forks: a kill leaves each as it was or as it was to be."""
    return memoryview(mmap.mmap(-1, count * WORD_BYTES)).cast("q")


class Lock(Protocol):
    """A lock for one holder at a time, who reads and writes its numbers."""

    def hold(self) -> AbstractContextManager[Numbers]: ...


class ThreadLock:
    """A lock of the threads of one process. count: of its numbers."""

    def __init__(self, count: int = 0) -> None:
        self._lock, self._numbers = threading.Lock(), [0] * count

    @contextmanager
    def hold(self) -> Iterator[Numbers]:
        with self._lock:
            yield self._numbers


class ProcessLock:
    """A lock of all threads of all processes that know its file, and numbers of this process and its forks."""

    def __init__(self, path: Path, count: int = 0) -> None:
        self._path, self._lock = path, threading.Lock()
        self._numbers: Numbers = shared_numbers(count) if count else []

    @contextmanager
    def hold(self) -> Iterator[Numbers]:
        # One thread of each process waits for the file, so that a crowd of requests takes no descriptor each.
        with self._lock, self._path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield self._numbers
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)  # a child that is being started may still have the file open


class KeyLocks:
    """Locks for one request at a time for one Idempotency-Key.

    folder: of their files, for several processes, where different keys may share one by chance; None for the threads of
    one, where none do.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._held: WeakValueDictionary[tuple[str, str], Lock] = WeakValueDictionary()

    @contextmanager
    def hold(self, vendor_id: str, key: str) -> Iterator[None]:
        with self._lock:
            lock = self._held.get((vendor_id, key))
            if lock is None:
                lock = self._held[vendor_id, key] = self._of(f"{vendor_id} {key}")
        with lock.hold():
            yield

    def _of(self, name: str) -> Lock:
        if self._folder is None:
            return ThreadLock()
        return ProcessLock(self._folder / f"key-{crc32(name.encode()) % KEY_FILES}")
