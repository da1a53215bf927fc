"""The database's own profiler: what was asked of it, with the plans."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def profiled(database: Any) -> Iterator[Any]:
    """The collection in which the database notes every operation of the block. It goes with the block, whatever happens
    in it: no user may empty it, so the next test could not begin."""
    database.command("profile", 2)
    try:
        yield database["system.profile"]
    finally:
        database.command("profile", 0)
        database.drop_collection("system.profile")
