"""A seller's folder that cannot be read: what is wrong with it, and what to do, in one line."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seller.errors import Unreadable

ACCOUNT_HINT = "run this as the user whose seller it is"
PROBLEMS = {
    "NOTADB": "is no database: restore it from a copy, or choose another folder",
    "CORRUPT": "is damaged: stop the seller and restore the folder from a copy",
    "BUSY": "is locked by another program: try again once that has ended",
    "LOCKED": "is locked by another program: try again once that has ended",
    "CANTOPEN": f"cannot be opened: {ACCOUNT_HINT}",
    "READONLY": f"may not be written: {ACCOUNT_HINT}",
    "PERM": f"may not be read: {ACCOUNT_HINT}",
    "FULL": "cannot grow: the disk is full",
}


@contextmanager
def explained(database: Path) -> Iterator[None]:
    """Turns what the file system and SQLite say of a seller's database, or its folder, into Unreadable."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise Unreadable(f"folder: {database} {_problem(error)}") from error
    except BrokenPipeError:
        raise
    except OSError as error:
        place = error.filename or database
        if isinstance(error, PermissionError):
            raise Unreadable(f"folder: {place} may not be read or written: {ACCOUNT_HINT}") from error
        raise Unreadable(f"folder: {place} cannot be used: {error.strerror}") from error


def existing_database(folder: Path, name: str) -> Path:
    """The database of a seller. Raises Unreadable where its folder is none, or OSError as the system says it."""
    if not folder.exists():
        return folder / name
    any(folder.iterdir())  # the system says who may not, and what is no folder
    path = folder / name
    if path.exists() and not path.is_file():
        raise Unreadable(f"folder: {path} is no file: choose another folder")
    return path


def _problem(error: sqlite3.DatabaseError) -> str:
    """By the primary code's name: an extended one begins with it."""
    name = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_")
    return next((problem for code, problem in PROBLEMS.items() if name.startswith(code)), f"cannot be used: {error}")
