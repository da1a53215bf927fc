"""The vendor's database, in SQLite: quotes, purchases, jobs and the faults switched on."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

SCHEMA = """
CREATE TABLE IF NOT EXISTS quotes (
    quote_id TEXT PRIMARY KEY, vendor_id TEXT NOT NULL, amount INTEGER NOT NULL, pay_to TEXT NOT NULL,
    gpu_type TEXT NOT NULL, hours TEXT NOT NULL, expires_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS purchases (
    vendor_id TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, quote_id TEXT NOT NULL,
    payer TEXT NOT NULL, nonce TEXT NOT NULL, amount INTEGER NOT NULL, pay_to TEXT NOT NULL,
    header TEXT NOT NULL, requirements TEXT NOT NULL, job_params TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('settling', 'settled')), tx TEXT, answer TEXT,
    PRIMARY KEY (vendor_id, key),
    UNIQUE (payer, nonce)
);
CREATE TABLE IF NOT EXISTS jobs (
    job_id TEXT PRIMARY KEY, vendor_id TEXT NOT NULL, key TEXT NOT NULL, gpu_type TEXT NOT NULL,
    hours TEXT NOT NULL, epochs INTEGER NOT NULL, amount INTEGER NOT NULL, doomed INTEGER NOT NULL,
    started_at REAL NOT NULL,
    UNIQUE (vendor_id, key)
);
CREATE TABLE IF NOT EXISTS faults (
    vendor_id TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (vendor_id, name)
);
"""
ADDED = (
    ("quotes", "job_order", "TEXT NOT NULL DEFAULT ''"),
    ("jobs", "job_order", "TEXT NOT NULL DEFAULT ''"),
    ("jobs", "start", "TEXT NOT NULL DEFAULT ''"),
    ("jobs", "failure", "TEXT NOT NULL DEFAULT ''"),
)
"""Columns that older databases lack."""
Start = Literal["", "waiting", "started", "failed"]


class NonceTaken(Exception):
    """This payer's nonce, or this key, has bought something already."""


@dataclass(frozen=True)
class Quote:
    """A binding price, frozen when it was given. `amount` is atomic units, `expires_at` Unix seconds.

    `job_order` is the canonical JSON of the workload that it is for, "" without one.
    """

    quote_id: str
    vendor_id: str
    amount: int
    pay_to: str
    gpu_type: str
    hours: str
    expires_at: float
    job_order: str = ""


@dataclass(frozen=True)
class Purchase:
    """A payment that was verified. 'settling' means that its transfer may or may not be on chain."""

    vendor_id: str
    key: str
    fingerprint: str
    quote_id: str
    payer: str
    nonce: str
    amount: int
    pay_to: str
    header: str
    requirements: str
    job_params: str
    state: Literal["settling", "settled"] = "settling"
    tx: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Job:
    """Work that is paid for. Without a `job_order` all else about it follows from the time since it started.

    With one it is run: `start` is "waiting" until the runner has it, and "failed", for what `failure` says, where it
    never will.
    """

    job_id: str
    vendor_id: str
    key: str
    gpu_type: str
    hours: str
    epochs: int
    amount: int
    doomed: bool
    started_at: float
    job_order: str = ""
    start: Start = ""
    failure: str = ""


class Database:
    """One SQLite file. Every method is one transaction, safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.executescript(SCHEMA)
        for table, column, kind in ADDED:
            if column not in {row["name"] for row in self._all(f"PRAGMA table_info({table})")}:
                self._connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def keep_quote(self, quote: Quote) -> None:
        with self._write() as database:
            _insert(database, "quotes", asdict(quote))

    def quote(self, quote_id: str) -> Quote | None:
        row = self._row("SELECT * FROM quotes WHERE quote_id = ?", quote_id)
        return Quote(**row) if row else None

    def begin(self, purchase: Purchase) -> None:
        """Store a purchase before its settlement is requested. Raises NonceTaken."""
        try:
            with self._write() as database:
                _insert(database, "purchases", asdict(purchase))
        except sqlite3.IntegrityError as error:
            raise NonceTaken(str(error)) from error

    def finish(self, purchase: Purchase, job: Job, tx: str, answer: dict[str, Any]) -> None:
        """Record that the transfer is on chain: the job begins and the answer is fixed, both or neither."""
        with self._write() as database:
            database.execute(
                "UPDATE purchases SET state = 'settled', tx = ?, answer = ? WHERE vendor_id = ? AND key = ?",
                (tx, json.dumps(answer), purchase.vendor_id, purchase.key),
            )
            _insert(database, "jobs", asdict(job))

    def forget(self, purchase: Purchase) -> None:
        """Delete a purchase whose authorization can never settle."""
        with self._write() as database:
            database.execute(
                "DELETE FROM purchases WHERE vendor_id = ? AND key = ? AND state = 'settling'",
                (purchase.vendor_id, purchase.key),
            )

    def purchase(self, vendor_id: str, key: str) -> Purchase | None:
        row = self._row("SELECT * FROM purchases WHERE vendor_id = ? AND key = ?", vendor_id, key)
        return Purchase(**row) if row else None

    def purchases(self) -> list[Purchase]:
        """All purchases, in the order they were begun."""
        return [Purchase(**row) for row in self._all("SELECT * FROM purchases ORDER BY rowid")]

    def job(self, vendor_id: str, job_id: str) -> Job | None:
        return _job(self._row("SELECT * FROM jobs WHERE vendor_id = ? AND job_id = ?", vendor_id, job_id))

    def job_of_key(self, vendor_id: str, key: str) -> Job | None:
        return _job(self._row("SELECT * FROM jobs WHERE vendor_id = ? AND key = ?", vendor_id, key))

    def jobs_with_work(self, vendor_id: str) -> list[Job]:
        """A vendor's jobs that are run, in the order they were paid for."""
        rows = self._all("SELECT * FROM jobs WHERE vendor_id = ? AND job_order != '' ORDER BY rowid", vendor_id)
        return [job for row in rows if (job := _job(row))]

    def mark_start(self, job_id: str, start: Start, failure: str = "") -> None:
        with self._write() as database:
            database.execute("UPDATE jobs SET start = ?, failure = ? WHERE job_id = ?", (start, failure, job_id))

    def orders_ahead(self, vendor_id: str) -> list[str]:
        """The orders that are paid, or may be, and have not been started."""
        rows = self._all(
            "SELECT job_order FROM purchases JOIN quotes USING (quote_id) "
            "WHERE purchases.vendor_id = ? AND state = 'settling' AND job_order != '' "
            "UNION SELECT job_order FROM jobs WHERE vendor_id = ? AND start = 'waiting'",
            vendor_id,
            vendor_id,
        )
        return [row["job_order"] for row in rows]

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

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _row(self, query: str, *values: Any) -> dict[str, Any] | None:
        rows = self._all(query, *values)
        return rows[0] if rows else None

    def _all(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(row) for row in self._connection.execute(query, values)]


def _insert(database: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    columns, marks = ", ".join(row), ", ".join("?" for _ in row)
    database.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))  # noqa: S608


def _job(row: dict[str, Any] | None) -> Job | None:
    return Job(**{**row, "doomed": bool(row["doomed"])}) if row else None
