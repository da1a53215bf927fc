"""The inputs that buyers send before they pay: of one order each, bounded, and kept for an hour.

An input belongs to the order that it was sent for, by the key that buys that: whoever knows the SHA-256 of another's
input does not have it, nor learn whether it is here. A file is what its SHA-256 says or it is not there: a part grows
at its end alone, and becomes an input once its content is proven. So a sender that was cut off asks how much there is
and goes on.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from io import FileIO
from math import inf
from pathlib import Path

from seller.locks import Lock, Numbers, ThreadLock

SHA256 = re.compile(r"[0-9a-f]{64}")
FILE_MAX, TOTAL_MAX, FILES_MAX, KEEP_S = 2 * 10**9, 8 * 10**9, 10_000, 3600.0
SWEEP_S = 10.0
"""Between two looks at all files: an order has hundreds of inputs, and each look costs what all orders have sent."""
BYTES, FILES = 0, 1
"""The places of the totals."""


class InputRefused(Exception):
    """A piece of an input that is not taken: the message says why, in words for the buyer. received: bytes there."""

    def __init__(self, message: str, received: int = 0) -> None:
        super().__init__(message)
        self.received = received


class WrongStart(InputRefused):
    """The piece does not begin where the last ended."""


class TooLarge(InputRefused):
    """The file is larger than any that is taken, or than it was said to be."""


class WrongContent(InputRefused):
    """The whole is not what its SHA-256 says. It is dropped."""


class StoreFull(InputRefused):
    """There is no room now; there may be within the hour."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is kept at most. Bytes and seconds; keep_s counts from the last piece."""

    file: int = FILE_MAX
    total: int = TOTAL_MAX
    files: int = FILES_MAX
    keep_s: float = KEEP_S


class InputStore:
    """A folder of inputs by the key of their order and SHA-256. Safe from any thread.

    needed: key and SHA-256 of the inputs of what is paid, or may be: they are kept however old they are. lock: of all
    processes that have the folder, with its bytes and files: no piece has to be weighed against every file.
    """

    def __init__(
        self,
        folder: Path,
        bounds: Bounds | None = None,
        needed: Callable[[], Collection[tuple[str, str]]] = tuple,
        now: Callable[[], float] = time.time,
        lock: Lock | None = None,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._bounds, self._needed, self._now = folder, bounds or Bounds(), needed, now
        self._lock, self._swept_at = lock or ThreadLock(2), -inf
        with self._lock.hold() as totals:
            self._count(totals)

    def path(self, key: str, sha256: str) -> Path | None:
        """Where an input of an order is that is whole; None without it."""
        path = self._folder / _name(key, sha256)
        return path if path.exists() else None

    def location(self, key: str, sha256: str) -> Path:
        """Where an input of a paid order is. Before inputs had keys, it was under its SHA-256 alone."""
        before = self._folder / sha256
        return self.path(key, sha256) or (before if before.exists() else self._folder / _name(key, sha256))

    def received(self, key: str, sha256: str) -> tuple[int, bool]:
        """How many bytes of an order's input are there, and whether that is all of it."""
        name = _name(key, sha256)
        with self._lock.hold():
            return self._received(name)

    def put(self, key: str, sha256: str, size: int, start: int, piece: bytes) -> int:
        """Takes a piece of an input; how many bytes of it are there then. An input that is whole stays as it is.

        Raises InputRefused in its kinds, with nothing of the piece taken.
        """
        name = _name(key, sha256)
        with self._lock.hold() as totals:
            received, complete = self._received(name)
            if complete:
                return received
            self._check(name, size, start, received, piece, totals)
            return self._append(name, sha256, size, piece, totals)

    def sweep(self) -> None:
        """Deletes what was last added to more than keep_s ago, and is not needed."""
        with self._lock.hold() as totals:
            self._sweep(totals)

    def _received(self, name: str) -> tuple[int, bool]:
        whole = _size(self._folder / name)
        if whole is not None:
            return whole, True
        return _size(self._folder / _part(name)) or 0, False

    def _check(self, name: str, size: int, start: int, received: int, piece: bytes, totals: Numbers) -> None:
        if size > self._bounds.file:
            raise TooLarge(f"an input may have {self._bounds.file} bytes, and this has {size}", received)
        if start != received:
            raise WrongStart(f"{received} bytes of it are here, and this piece begins at {start}", received)
        if received + len(piece) > size:
            raise TooLarge(f"it was to have {size} bytes, and more have come", received)
        if not received and abs(self._now() - self._swept_at) >= SWEEP_S:
            self._sweep(totals)
        known = (self._folder / _part(name)).exists()
        if totals[BYTES] + len(piece) > self._bounds.total or (not known and totals[FILES] >= self._bounds.files):
            raise StoreFull("the inputs of other orders fill the room there is: try again within the hour", received)

    def _append(self, name: str, sha256: str, size: int, piece: bytes, totals: Numbers) -> int:
        part = self._folder / _part(name)
        before = _size(part)
        totals[BYTES] += len(piece)
        totals[FILES] += before is None
        with part.open("ab", buffering=0) as file:
            try:
                _write_all(file, piece)
            except OSError:
                file.truncate(before or 0)  # of a piece that is refused nothing counts
                raise
        received = (before or 0) + len(piece)
        os.utime(part, (self._now(), self._now()))
        if received == size:
            self._finish(name, sha256, part, totals)
        return received

    def _finish(self, name: str, sha256: str, part: Path, totals: Numbers) -> None:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        if digest == sha256:
            part.rename(self._folder / name)
            return
        totals[BYTES] -= part.stat().st_size
        totals[FILES] -= 1
        part.unlink()
        raise WrongContent(f"its content has the SHA-256 {digest}: it is dropped")

    def _sweep(self, totals: Numbers) -> None:
        names = {name for key, sha256 in self._needed() for name in (_name(key, sha256), sha256)}
        needed = names | {_part(name) for name in names}
        for path in self._folder.iterdir():
            if path.name not in needed and path.stat().st_mtime + self._bounds.keep_s <= self._now():
                path.unlink()
        self._count(totals)
        self._swept_at = self._now()

    def _count(self, totals: Numbers) -> None:
        """Counts anew: a kill, or a write that failed, leaves the totals wrong until then."""
        sizes = [path.stat().st_size for path in self._folder.iterdir()]
        totals[BYTES], totals[FILES] = sum(sizes), len(sizes)


def _size(path: Path) -> int | None:
    """Bytes of a file; None without it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _write_all(file: FileIO, content: bytes) -> None:
    while content:
        content = content[file.write(content) or 0 :]


def _part(name: str) -> str:
    return f"{name}.part"


def _name(key: str, sha256: str) -> str:
    """The name of an input's file. Raises InputRefused for what is no SHA-256, and could be a path."""
    if not SHA256.fullmatch(sha256):
        raise InputRefused("sha256 is to be 64 hex digits in small letters")
    return f"{hashlib.sha256(key.encode()).hexdigest()}-{sha256}"
