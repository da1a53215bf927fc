"""Running digests of unfinished uploads, so that a large file need not be read back to be checked.

Another process may drop an upload and write it anew, as long as before and with other bytes: a digest counts only for
the version of the upload that it was made of, by a mark that the store takes from what it keeps.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

UPLOADS_MAX = 64


class Digest:
    """The SHA-256 of the first `length` bytes of a version of an upload. is_whole: False where its beginning was not
    seen."""

    def __init__(self, version: Hashable, is_whole: bool) -> None:
        self._content, self.length, self.version, self.is_whole = hashlib.sha256(), 0, version, is_whole

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
    def writing(self, upload: str, start: int, version: Hashable) -> Iterator[Digest]:
        """The digest to be fed with what is written after `start` bytes. version: of these bytes."""
        with self._lock:
            digest = self._digests.pop(upload, None)
        if digest is None or not start or (digest.length, digest.version) != (start, version):
            digest = Digest(version, is_whole=start == 0)
        try:
            yield digest
        finally:
            if digest.is_whole:
                with self._lock:
                    self._digests[upload] = digest
                    while len(self._digests) > UPLOADS_MAX:
                        self._digests.popitem(last=False)

    def take(self, upload: str, size: int, version: Hashable) -> str:
        """The SHA-256 of an upload of so many bytes, then forgotten; "" where this process did not write all of it."""
        with self._lock:
            digest = self._digests.pop(upload, None)
        return digest.hexdigest() if digest and (digest.length, digest.version) == (size, version) else ""
