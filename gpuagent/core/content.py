"""The content of files: in parts of one size, and held against the size and the SHA-256 that were announced."""

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


def in_parts(chunks: Iterable[bytes], part_size: int, size_max: int) -> Iterator[bytes]:
    """The same bytes in parts of one size, the last one shorter. Raises FileAltered beyond size_max.

    What the stream raises is raised once all that came before it has been given.
    """
    rest, total, failure = bytearray(), 0, None
    stream = iter(chunks)
    while True:
        try:
            chunk = next(stream)
        except StopIteration:
            break
        except Exception as error:  # noqa: BLE001 - whatever broke the stream, what came is kept
            failure = error
            break
        total += len(chunk)
        if total > size_max:
            raise FileAltered(f"more came than the {size_max} bytes that were announced")
        rest += chunk
        while len(rest) >= part_size:
            yield bytes(rest[:part_size])
            del rest[:part_size]
    if rest:
        yield bytes(rest)
    if failure:
        raise failure
