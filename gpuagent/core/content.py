"""The content of files, held against the size and the SHA-256 that were announced."""

import hashlib
from collections.abc import Iterable, Iterator

from gpuagent.errors import FileAltered, FileMissing


def check_content(length: int, digest: str, size: int, sha256: str) -> None:
    """Raises FileAltered for another content than the one that was announced, FileMissing where nothing has come."""
    if size and not length:
        raise FileMissing(f"nothing has come of the file {sha256}: begin again")
    if length != size or digest != sha256:
        raise FileAltered(f"{length} of {size} bytes came, with the SHA-256 {digest} and not {sha256}")


def proven(parts: Iterable[bytes], size: int, sha256: str) -> Iterator[bytes]:
    """A file's content, of which the last part is given once all of it is right. Raises FileAltered."""
    content, length, previous = hashlib.sha256(), 0, b""
    for part in parts:
        if previous:
            yield previous
        content.update(part)
        length, previous = length + len(part), part
    check_content(length, content.hexdigest(), size, sha256)
    if previous:
        yield previous
