"""The ports to the file store."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable


class FileStore(Protocol):
    """Files by the SHA-256 of their content. Safe to share between threads. Every method raises StoreError.

    A file arrives under an upload's id, part by part and over as many ticks as it takes; it is there for others once
    its content has been proven. An upload's id stands for one announced content, and is given to no other. Two ticks
    may extend and finish one upload at the same time: no byte of it is kept twice, and none is lost. Once it is
    finished it stays so for as long as the file is there and the upload is not swept: a tick that was killed before it
    could save what it did may do it again. Content that is there already is kept once, and yet each upload of it must
    have come whole.
    """

    def size(self, sha256: str) -> int | None:
        """The bytes of a file; None where it is not there."""
        ...

    def received(self, upload: str) -> int:
        """The bytes of an upload that are kept so far."""
        ...

    def extend(self, upload: str, start: int, parts: Iterable[bytes], size: int) -> int:
        """Keeps what follows after `start` bytes, which is what received() said; the bytes that are kept then.

        size: of the whole. What goes beyond it raises FileAltered.
        """
        ...

    def finish(self, upload: str, sha256: str, size: int) -> None:
        """Proves an upload's content and makes a file of it.

        Raises FileAltered for another content, FileMissing where nothing of it is there, and drops the upload.
        """
        ...

    def read(self, sha256: str, start: int = 0) -> Iterator[bytes]:
        """The content from a byte on. Raises FileMissing."""
        ...

    def delete(self, sha256: str, before: float | None = None) -> int:
        """Deletes a file; the bytes that became free. before: only if no upload of it was finished since."""
        ...

    def older(self, before: float) -> Iterator[tuple[str, int]]:
        """The files of which no upload was finished since a time: SHA-256 and bytes."""
        ...

    def sweep(self, before: float, *, dry_run: bool = False) -> int:
        """Drops the uploads that nothing came to since a time and that were never finished; the bytes that became free.

        The proofs of finished ones are dropped then too. dry_run: says what would become free, and drops nothing.
        """
        ...

    def sharers(self) -> Sequence[str]:
        """The other databases that keep files here too, in words: what they need, this one's record does not name."""
        ...


@runtime_checkable
class Depot(Protocol):
    """The part of a file store that others reach by signed URLs, where it has one. Every method raises StoreError.

    A folder is of one job. Its name cannot be guessed, and each URL reads or writes one object and nothing else. What
    is there is whatever somebody wrote: it counts for nothing until it is proven.
    """

    def new_folder(self) -> str: ...

    def url(self, sha256: str, seconds: int) -> str:
        """A URL that reads one file of the store, for so long."""
        ...

    def place_url(self, folder: str, name: str, seconds: int, *, write: bool = False) -> str:
        """A URL that reads, or writes, one object of a folder, for so long."""
        ...

    def leave(self, folder: str, name: str, content: bytes) -> None:
        """Writes an object, or writes it again."""
        ...

    def fetch(self, folder: str, name: str, start: int = 0) -> Iterator[bytes]:
        """An object's content from a byte on, unproven. Raises FileMissing."""
        ...
