"""The practice vendors' database: a seller's, and the faults that are switched on."""

import sqlite3
import threading
from pathlib import Path

from seller.database import Database
from seller.tables import SCHEMA

FAULTS = """
CREATE TABLE IF NOT EXISTS faults (
    vendor_id TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (vendor_id, name)
);
"""


class PracticeDatabase(Database):
    """Faults are read by a connection of their own: each step of each sale asks, and waits for no other's commit."""

    schema = SCHEMA + FAULTS

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._reading = threading.Lock()
        self._reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def close(self) -> None:
        with self._reading:
            self._reader.close()
        super().close()

    def switch_fault(self, vendor_id: str, name: str, *, on: bool) -> None:
        statement = (
            "INSERT OR IGNORE INTO faults (vendor_id, name) VALUES (?, ?)"
            if on
            else "DELETE FROM faults WHERE vendor_id = ? AND name = ?"
        )
        with self._write() as database:
            database.execute(statement, (vendor_id, name))

    def faults(self) -> list[tuple[str, str]]:
        """Those that are on now, whichever process switched them."""
        with self._reading:
            return self._reader.execute("SELECT vendor_id, name FROM faults ORDER BY 1, 2").fetchall()
