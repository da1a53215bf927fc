"""The process of one command, and Python's search for garbage: none is looked for where there can be none."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
