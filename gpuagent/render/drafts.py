"""Files that are written beside their place, and take it once they are whole: a kill leaves what was there before."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gpuagent.errors import BadInput

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems answer that know no locks, such as some of a network: there nothing keeps two writers apart."""


@contextmanager
def draft(place: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place when the block ends well, and is gone when it does not.

    What is at the place is replaced: a link itself, never what it names. The mode stays. What a killed process left of
    its draft is written anew. Raises BadInput where another process writes the same file, and OSError.
    """
    part = place.with_name(f".{place.name}.part.")  # no path of a vendor's file ends with a dot
    if part.is_symlink() or (part.exists() and not part.is_file()):
        part.unlink()
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666), "wb") as file:
        _lock(file, part, place)
        try:
            file.truncate()
            if place.is_file() and not place.is_symlink() and place.stat().st_mode != part.stat().st_mode:
                os.fchmod(file.fileno(), stat.S_IMODE(place.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
            part.replace(place)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def output(place: Path) -> Iterator[BinaryIO]:
    """What a user names to be written: a draft of the file that a link leads to; a pipe or a device as it is."""
    if place.exists() and not (place.is_file() or place.is_dir()):
        with place.open("wb") as file:
            yield file
        return
    with draft(place.resolve()) as file:
        yield file


def _lock(file: BinaryIO, part: Path, place: Path) -> None:
    """Raises BadInput unless this process alone has the draft, under its name. The system frees it with the process."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_own = os.path.samestat(part.stat(follow_symlinks=False), os.fstat(file.fileno()))
    except (BlockingIOError, FileNotFoundError):
        is_own = False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        is_own = True
    if not is_own:
        raise BadInput(f"{place} is being written by another process: wait until it has ended")
