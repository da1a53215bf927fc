"""A lock per run on this machine. Two processes at once harm no money, only plan twice and confuse the outputs."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpuagent.errors import BadInput, Locked


@contextmanager
def locked(folder: Path, key: str, subject: str) -> Iterator[None]:
    """Hold the lock of this key (fit for a file name) until the block or the process ends. subject: for the message.

    The kernel releases it with the process, however that ends, so no lock is ever left over; the file stays.
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
            raise Locked(f"{subject} is being driven by another process on this machine") from None
        yield
