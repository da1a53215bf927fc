"""The practice vendors' database: a seller's, and the faults that are switched on."""

from seller.database import SCHEMA, Database

FAULTS = """
CREATE TABLE IF NOT EXISTS faults (
    vendor_id TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (vendor_id, name)
);
"""


class PracticeDatabase(Database):
    schema = SCHEMA + FAULTS

    def switch_fault(self, vendor_id: str, name: str, *, on: bool) -> None:
        statement = (
            "INSERT OR IGNORE INTO faults (vendor_id, name) VALUES (?, ?)"
            if on
            else "DELETE FROM faults WHERE vendor_id = ? AND name = ?"
        )
        with self._write() as database:
            database.execute(statement, (vendor_id, name))

    def faults(self) -> list[tuple[str, str]]:
        return [(row["vendor_id"], row["name"]) for row in self._all("SELECT * FROM faults ORDER BY 1, 2")]
