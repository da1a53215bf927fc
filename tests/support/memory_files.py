"""A file store in memory, which keeps every promise of the port but durability."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from gpuagent.errors import FileAltered, FileMissing, FileStoreError

PART = 64 * 1024


class MemoryFiles:
    """The port FileStore. contents: by a SHA-256, which may be another's. uploads: what came of those that go on.

    outage: why every call of a tick fails, "" while the store works. neighbours: other databases with files here.
    """

    def __init__(self, contents: Mapping[str, bytes] | None = None) -> None:
        self.contents = dict(contents or {})
        self.uploads: dict[str, bytes] = {}
        self.outage, self.neighbours = "", tuple[str, ...]()

    def _check(self) -> None:
        if self.outage:
            raise FileStoreError(f"the file store did not do it: {self.outage}")

    def put(self, content: bytes) -> str:
        """The SHA-256 of a content that is there from now on."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.contents[sha256] = content
        return sha256

    def size(self, sha256: str) -> int | None:
        self._check()
        content = self.contents.get(sha256)
        return None if content is None else len(content)

    def received(self, upload: str) -> int:
        self._check()
        return len(self.uploads.get(upload, b""))

    def extend(self, upload: str, start: int, parts: Iterable[bytes], size: int) -> int:
        self._check()
        for part in parts:
            kept = self.uploads.get(upload, b"")
            if len(kept) != start:
                return len(kept)
            if start + len(part) > size:
                raise FileAltered(f"more came than the {size} bytes that were announced")
            self.uploads[upload] = kept + part
            start += len(part)
        return start

    def finish(self, upload: str, sha256: str, size: int) -> None:
        self._check()
        content = self.uploads.get(upload, b"")
        if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
            self.uploads.pop(upload, None)
            raise FileAltered(f"{len(content)} of {size} bytes came, or another content")
        self.contents[sha256] = content

    def read(self, sha256: str, start: int = 0) -> Iterator[bytes]:
        self._check()
        if sha256 not in self.contents:
            raise FileMissing(f"the file store has no file {sha256}")
        content = self.contents[sha256]
        yield from (content[at : at + PART] for at in range(start, len(content), PART))

    def delete(self, sha256: str, before: float | None = None) -> int:
        return len(self.contents.pop(sha256, b""))

    def sharers(self) -> tuple[str, ...]:
        return self.neighbours

    def older(self, before: float) -> Iterator[tuple[str, int]]:
        """All files: nothing here has a time."""
        yield from [(sha256, len(content)) for sha256, content in self.contents.items()]

    def sweep(self, before: float, *, dry_run: bool = False) -> int:
        freed = sum(map(len, self.uploads.values()))
        if not dry_run:
            self.uploads.clear()
        return freed
