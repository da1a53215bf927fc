"""The process of one command: its output, and Python's search for garbage, none of which is looked for in vain."""

import errno
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNWRITABLE = errno.ENOSPC, errno.EDQUOT, errno.EIO
"""What a disk that is full, or broken, answers."""


@contextmanager
def writing() -> Iterator[None]:
    """Turns output that cannot be written into one line on stderr and exit code 1."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left of it is not tried again
        sys.exit(f"gpuagent: {error.filename or 'the output'} cannot be written: {error.strerror}")


@contextmanager
def loading() -> Iterator[None]:
    """For imports, which make some 500,000 objects and no garbage: none is looked for meanwhile.

    Nor is it looked for among them later, for as long as the process lasts.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def leaving() -> Iterator[None]:
    """For all that a process does: what is there at its end goes with it, and is not taken apart one by one.

    What must be closed is closed by its `with`, or at exit, as ever; it is not left to the search for garbage.
    """
    try:
        yield
    finally:
        gc.freeze()
