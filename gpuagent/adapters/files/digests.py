"""The digests of uploads that are still coming, so that a large file is not read back once all of it is there."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

UPLOADS_MAX = 64


class Digest:
    """The SHA-256 of the first `length` bytes of an upload. is_whole: False where its beginning was not seen."""

    def __init__(self, is_whole: bool = True) -> None:
        self._content, self.length, self.is_whole = hashlib.sha256(), 0, is_whole

    def update(self, part: bytes) -> None:
        self._content.update(part)
        self.length += len(part)

    def hexdigest(self) -> str:
        return self._content.hexdigest()


class RunningDigests:
    """The digests of what this process wrote, by upload. What another process went on with is not known any more."""

    def __init__(self) -> None:
        self._lock, self._digests = threading.Lock(), OrderedDict[str, Digest]()

    @contextmanager
    def writing(self, upload: str, start: int) -> Iterator[Digest]:
        """The digest to be fed with what is written after `start` bytes."""
        with self._lock:
            digest = self._digests.pop(upload, Digest())
        if digest.length != start:
            digest = Digest(is_whole=start == 0)
        try:
            yield digest
        finally:
            if digest.is_whole:
                with self._lock:
                    self._digests[upload] = digest
                    while len(self._digests) > UPLOADS_MAX:
                        self._digests.popitem(last=False)

    def take(self, upload: str, size: int) -> str:
        """The SHA-256 of an upload of so many bytes, then forgotten; "" where this process did not write all of it."""
        with self._lock:
            digest = self._digests.pop(upload, None)
        return digest.hexdigest() if digest and digest.length == size else ""
