"""The seller's database, in SQLite: quotes, purchases and jobs."""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seller import tables
from seller.locks import Lock, ThreadLock
from seller.records import LOOKS, Job, JobCount, NonceTaken, NoRoom, Purchase, Quote, Room, Start


class Database:
    """One SQLite file. Every method is one transaction, safe to call from any thread.

    writing: the turn to write, of all processes that do: SQLite itself looks only now and then whether it may.
    """

    schema = tables.SCHEMA

    def __init__(self, path: Path, writing: Lock | None = None) -> None:
        self._lock, self._writing = threading.Lock(), writing or ThreadLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        tables.prepare(self._connection, path, self.schema)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def keep_quote(self, quote: Quote) -> None:
        with self._write() as database:
            _insert(database, "quotes", vars(quote), replace=True)

    def quote(self, quote_id: str) -> Quote | None:
        row = self._row("SELECT * FROM quotes WHERE quote_id = ?", quote_id)
        return Quote(**row) if row else None

    def drop_quotes(self, expired_before: float) -> None:
        """Delete quotes that expired and were not bought."""
        with self._write() as database:
            database.execute(
                "DELETE FROM quotes WHERE expires_at < ? AND quote_id NOT IN (SELECT quote_id FROM purchases)",
                (expired_before,),
            )

    def begin(self, purchase: Purchase, room: Room | None = None, closed: Callable[[], str] = str) -> None:
        """Store a purchase before its settlement is requested. Raises NonceTaken, or NoRoom with nothing stored.

        closed: why nothing more is sold, "" while it is; asked here once more, see is_at_rest.
        """
        try:
            with self._write() as database:
                _insert(database, "purchases", vars(purchase))
                if room:
                    _check_room(database, purchase, room)
                if reason := closed():
                    raise NoRoom(reason)
        except sqlite3.IntegrityError as error:
            raise NonceTaken(str(error)) from error

    def finish(self, purchase: Purchase, job: Job, tx: str, answer: dict[str, Any]) -> None:
        """Record that the transfer is on chain: the job begins and the answer is fixed, both or neither."""
        with self._write() as database:
            database.execute(
                "UPDATE purchases SET state = 'settled', tx = ?, answer = ?, looks = ? WHERE vendor_id = ? AND key = ?",
                (tx, json.dumps(answer), LOOKS, purchase.vendor_id, purchase.key),
            )
            _insert(database, "jobs", vars(job))

    def note_look(self, purchase: Purchase, tx: str, answer: dict[str, Any], looks: int) -> None:
        """Record what a look at a sale's transfer found, and how many are left."""
        with self._write() as database:
            database.execute(
                "UPDATE purchases SET tx = ?, answer = ?, looks = ? WHERE vendor_id = ? AND key = ?",
                (tx, json.dumps(answer), looks, purchase.vendor_id, purchase.key),
            )

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

    def settling(self) -> list[Purchase]:
        """The purchases whose transfer may or may not be on chain."""
        return [Purchase(**row) for row in self._all("SELECT * FROM purchases WHERE state = 'settling' ORDER BY rowid")]

    def to_look_at(self) -> list[Purchase]:
        """The sales whose transfer is not final yet."""
        return [Purchase(**row) for row in self._all("SELECT * FROM purchases WHERE looks > 0 ORDER BY rowid")]

    def is_at_rest(self) -> bool:
        """Whether nothing settles, waits or runs. What this does not see begins later, and so asks later if it may."""
        with self._write() as database:
            return not database.execute(_UNDONE).fetchone()

    def job(self, vendor_id: str, job_id: str) -> Job | None:
        return _job(self._row("SELECT * FROM jobs WHERE vendor_id = ? AND job_id = ?", vendor_id, job_id))

    def job_of_key(self, vendor_id: str, key: str) -> Job | None:
        return _job(self._row("SELECT * FROM jobs WHERE vendor_id = ? AND key = ?", vendor_id, key))

    def jobs_with_work(self, *starts: Start, vendor_id: str | None = None) -> list[Job]:
        """The jobs that are run, in the order they were paid for: a vendor's, and those of these starts."""
        query, values = "SELECT * FROM jobs WHERE job_order != ''", list[str](starts)
        if starts:
            query += f" AND start IN ({', '.join('?' * len(starts))})"
        if vendor_id is not None:
            query, values = f"{query} AND vendor_id = ?", [*values, vendor_id]
        return [Job(**row) for row in self._all(f"{query} ORDER BY rowid", *values)]

    def mark_start(self, job_id: str, start: Start, failure: str = "") -> None:
        with self._write() as database:
            database.execute("UPDATE jobs SET start = ?, failure = ? WHERE job_id = ?", (start, failure, job_id))

    def mark_end(self, job_id: str, exit_code: int | None, failure: str, ended_at: float) -> None:
        with self._write() as database:
            database.execute(
                "UPDATE jobs SET start = 'ended', exit_code = ?, failure = ?, ended_at = ? WHERE job_id = ?",
                (exit_code, failure, ended_at, job_id),
            )

    def mark_forgotten(self, job_id: str) -> None:
        with self._write() as database:
            database.execute("UPDATE jobs SET start = 'forgotten' WHERE job_id = ?", (job_id,))

    def orders_ahead(self, vendor_id: str) -> list[tuple[str, str]]:
        """Key and order of what is paid, or may be, and has not been started."""
        rows = self._all(
            "SELECT key, job_order FROM purchases JOIN quotes USING (quote_id) "
            "WHERE purchases.vendor_id = ? AND state = 'settling' AND job_order != '' "
            "UNION SELECT key, job_order FROM jobs WHERE vendor_id = ? AND start = 'waiting'",
            vendor_id,
            vendor_id,
        )
        return [(row["key"], row["job_order"]) for row in rows]

    def count_jobs(self) -> list[JobCount]:
        rows = self._all("SELECT gpu_type, start, exit_code, COUNT(*) AS jobs FROM jobs GROUP BY 1, 2, 3")
        return [JobCount(**row) for row in rows]

    def totals(self) -> tuple[int, int, int]:
        """The payments that were settled, their sum in atomic units, and the payments that are settling."""
        (row,) = self._all(
            "SELECT COUNT(*) FILTER (WHERE state = 'settled' AND looks >= 0) AS sales,"
            " COALESCE(SUM(amount) FILTER (WHERE state = 'settled' AND looks >= 0), 0) AS amount,"
            " COUNT(*) FILTER (WHERE state = 'settling') AS settling FROM purchases"
        )
        return row["sales"], row["amount"], row["settling"]

    def sales(self) -> list[dict[str, Any]]:
        """Each payment that was settled, with its job, in the order in which they were begun."""
        return self._all(
            "SELECT purchases.payer, purchases.pay_to, purchases.tx, jobs.* FROM purchases"
            " JOIN jobs USING (vendor_id, key) WHERE state = 'settled' AND looks >= 0 ORDER BY purchases.rowid"
        )

    def open_jobs(self, gpu_type: str) -> int:
        """The jobs of a kind of GPU that run, wait, or may be paid."""
        return int(self._all(f"SELECT ({_OPEN_OF_GPU}) AS count", gpu_type, gpu_type)[0]["count"])

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._writing.hold(), self._lock:
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


_UNDONE = (
    "SELECT 1 FROM purchases WHERE state = 'settling'"
    " UNION ALL SELECT 1 FROM jobs WHERE start IN ('waiting', 'started') LIMIT 1"
)
_OPEN_OF_GPU = (
    "(SELECT COUNT(*) FROM purchases JOIN quotes USING (quote_id) WHERE state = 'settling' AND gpu_type = ?)"
    " + (SELECT COUNT(*) FROM jobs WHERE start IN ('waiting', 'started') AND gpu_type = ?)"
)
_OPEN_OF_PAYER = (
    "(SELECT COUNT(*) FROM purchases WHERE state = 'settling' AND payer = ?)"
    " + (SELECT COUNT(*) FROM purchases JOIN jobs USING (vendor_id, key)"
    " WHERE start IN ('waiting', 'started') AND payer = ?)"
)


def _check_room(database: sqlite3.Connection, purchase: Purchase, room: Room) -> None:
    """Counted with the purchase in it, so that of two who race for the last slot one is refused."""
    (gpu_type,) = database.execute("SELECT gpu_type FROM quotes WHERE quote_id = ?", (purchase.quote_id,)).fetchone()
    (jobs,) = database.execute(f"SELECT {_OPEN_OF_GPU}", (gpu_type, gpu_type)).fetchone()
    if room.jobs is not None and jobs > room.jobs:
        raise NoRoom(f"every {gpu_type} is taken, and the queue for it is full")
    (of_payer,) = database.execute(f"SELECT {_OPEN_OF_PAYER}", (purchase.payer, purchase.payer)).fetchone()
    if room.of_payer is not None and of_payer > room.of_payer:
        raise NoRoom(f"{purchase.payer} has {room.of_payer} jobs here that wait or run, which is the most")


def _insert(database: sqlite3.Connection, table: str, row: Mapping[str, Any], *, replace: bool = False) -> None:
    columns, marks = ", ".join(row), ", ".join("?" for _ in row)
    verb = "REPLACE" if replace else "INSERT"
    database.execute(f"{verb} INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))


def _job(row: dict[str, Any] | None) -> Job | None:
    return Job(**row) if row else None
