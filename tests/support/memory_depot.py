"""A file store in memory that hands files out by URLs: the port Depot, of which a test can see all that was written."""

import itertools
from collections.abc import Generator

from gpuagent.errors import FileMissing, StoreError
from tests.support.memory_files import PART, MemoryFiles

SIGNATURE = "5" * 64


class MemoryDepot(MemoryFiles):
    """left: objects by folder and name. origin: of its URLs. fails: whether it answers with an error."""

    def __init__(self, origin: str = "https://bucket.example") -> None:
        super().__init__()
        self.origin, self.fails = origin, False
        self.left: dict[tuple[str, str], bytes] = {}
        self._numbers = itertools.count(1)

    def new_folder(self) -> str:
        return f"folder{next(self._numbers):026}"

    def url(self, sha256: str, seconds: int) -> str:
        return self._signed(f"files/{sha256}", seconds)

    def place_url(self, folder: str, name: str, seconds: int, *, write: bool = False) -> str:
        return self._signed(f"handed/{folder}/{name}", seconds) + ("&write" if write else "")

    def leave(self, folder: str, name: str, content: bytes) -> None:
        self._check()
        self.left[folder, name] = content

    def fetch(self, folder: str, name: str, start: int = 0) -> Generator[bytes, None, None]:
        self._check()
        if (folder, name) not in self.left:
            raise FileMissing(f"the file store has no file {name}")
        content = self.left[folder, name]
        yield from (content[at : at + PART] for at in range(start, len(content), PART))

    def _signed(self, key: str, seconds: int) -> str:
        self._check()
        return f"{self.origin}/{key}?X-Amz-Expires={seconds}&X-Amz-Signature={SIGNATURE}"

    def _check(self) -> None:
        if self.fails:
            raise StoreError("the file store did not do it")
