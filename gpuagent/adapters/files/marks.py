"""Marks of the databases that share a file store: a sweep for one would delete the files of another as strays.

Whoever keeps content in a store leaves its mark there first: an object under `databases/`, named by the id that the
database has made for itself. A copy of a database is the same by that id.
"""

import threading
from collections.abc import Callable, Iterable

from gpuagent.core.text import clean

MARKS = "databases"
NAME_MAX = 100
Owner = Callable[[], tuple[str, str]]
"""Asks the database that a store is opened for: the id that it has made for itself, and its name, for users."""


class StoreMarks:
    """The marks in one store. owner: None for a store without a database, which leaves none.

    write: keeps a mark by its name, and leaves one that is there. read: the names and contents of all.
    """

    def __init__(
        self, owner: Owner | None, write: Callable[[str, bytes], None], read: Callable[[], Iterable[tuple[str, bytes]]]
    ) -> None:
        self._owner, self._write, self._read = owner, write, read
        self._lock, self._is_left = threading.Lock(), owner is None

    def leave(self) -> None:
        """Leaves the owner's mark, once in this process."""
        with self._lock:
            if self._owner and not self._is_left:
                identity, name = self._owner()
                self._write(identity, name.encode())
                self._is_left = True

    def sharers(self) -> tuple[str, ...]:
        """The other databases, in words."""
        own = self._owner()[0] if self._owner else ""
        marks = ((name, clean(content.decode(errors="replace"), NAME_MAX)) for name, content in self._read())
        return tuple(f"{database!r} ({MARKS}/{name})" for name, database in sorted(marks) if name != own)
