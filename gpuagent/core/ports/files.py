"""The ports to the file store."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable


class FileStore(Protocol):
    """Files by the SHA-256 of their content. Safe to share between threads. Every method raises StoreError.

    A file arrives as an upload, in parts and over any number of ticks; it exists for readers once its hash has been
    checked. An upload's id stands for one announced content and is used for no other. Two ticks may extend and finish
    one upload at the same time: no byte is stored twice, and none is lost. A finished upload stays finished while the
    file exists and the upload is not swept, so a tick that was killed before it could save may do it again. Equal
    contents are stored once, but each upload of them must arrive whole.
    """

    def size(self, sha256: str) -> int | None:
        """The size of a file in bytes; None where there is none."""
        ...

    def received(self, upload: str) -> int:
        """How many bytes of an upload are stored."""
        ...

    def extend(self, upload: str, start: int, parts: Iterable[bytes], size: int) -> int:
        """Store parts of an upload from byte `start` on, which is what received() says; the bytes that are stored then.

        size: of the whole file, in bytes. Raises FileAltered for more than that.
        """
        ...

    def finish(self, upload: str, sha256: str, size: int) -> None:
        """Check an upload against its SHA-256 and make a file of it.

        Raises FileAltered for another content, and FileMissing where none of it is stored; the upload is dropped then.
        """
        ...

    def read(self, sha256: str, start: int = 0) -> Iterator[bytes]:
        """The content from a byte on. Raises FileMissing."""
        ...

    def delete(self, sha256: str, before: float | None = None) -> int:
        """Delete a file; the bytes that were freed. before: only if no upload of it was finished since then."""
        ...

    def older(self, before: float) -> Iterator[tuple[str, int]]:
        """SHA-256 and bytes of the files whose last upload was finished before a time, Unix seconds."""
        ...

    def sweep(self, before: float, *, dry_run: bool = False) -> int:
        """Drop unfinished uploads that were not extended since a time, and the records of finished ones.

        Returns the bytes that were freed. dry_run: those that would be; nothing is dropped.
        """
        ...

    def sharers(self) -> Sequence[str]:
        """The other databases that keep files in this store, in words: their files are in no record of this one."""
        ...


@runtime_checkable
class Depot(Protocol):
    """The part of a file store that jobs reach by signed URLs, where it has one. Every method raises StoreError.

    Each job has a folder whose name cannot be guessed. A URL reads or writes one object and nothing else. Whoever has
    one may have written what is there: it counts only once its hash has been checked.
    """

    def new_folder(self) -> str: ...

    def url(self, sha256: str, seconds: int) -> str:
        """A signed URL that reads one file of the store for so many seconds."""
        ...

    def place_url(self, folder: str, name: str, seconds: int, *, write: bool = False) -> str:
        """A signed URL that reads, or writes, one object of a folder for so many seconds."""
        ...

    def leave(self, folder: str, name: str, content: bytes) -> None:
        """Write an object; an earlier one is replaced."""
        ...

    def fetch(self, folder: str, name: str, start: int = 0) -> Generator[bytes, None, None]:
        """The content of an object from byte `start` on, not checked against any hash. Raises FileMissing."""
        ...
