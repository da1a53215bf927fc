"""One at a time on this machine. Two at once would harm no money, only plan twice and confuse who reads the outputs."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpuagent.errors import BadInput, Locked


@contextmanager
def locked(folder: Path, key: str, what: str) -> Iterator[None]:
    """Holds the lock of this key (fit for a file name) until the block or the process ends. what: in words.

    The kernel lets go of it with the process, however that ends, so no lock is ever left over; the file stays.
    Raises Locked, and BadInput where the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / f"{key}.lock").open("a")
    except OSError as error:
        raise BadInput(f"{folder} cannot hold locks: {error.strerror}: name another folder by --locks") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(f"{what} is being driven by another process on this machine") from None
        yield
