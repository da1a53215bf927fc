"""The seller's database: what is asked often does not read every sale there ever was."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from seller.database import Database
from seller.records import Job, NoRoom, Purchase, Quote, Room
from seller.tables import VERSION, prepare

JOB = Job("v-1", "v", "first", "A100", "1", 5, 7.0, job_order="{}", start="waiting")
FREQUENT = {
    "settling": lambda database: database.settling(),
    "jobs that are open": lambda database: database.jobs_with_work("waiting", "started"),
    "jobs that have ended": lambda database: database.jobs_with_work("ended"),
    "orders ahead": lambda database: database.orders_ahead("v"),
    "open jobs of a GPU": lambda database: database.open_jobs("A100"),
    "quotes that are dropped": lambda database: database.drop_quotes(5.0),
    "a purchase that is begun": lambda database: database.begin(purchase("new"), Room(5, 5)),
}


def purchase(key: str) -> Purchase:
    return Purchase("v", key, "", "quote-1", "0xpayer", f"0x{key}", 5, "0xpayee", "", "{}", "{}")


@pytest.mark.parametrize("name", FREQUENT)
def test_what_is_asked_often_is_found_by_an_index(tmp_path: Path, name: str) -> None:
    path = tmp_path / "seller.sqlite3"
    with closing(Database(path)) as database:
        database.keep_quote(Quote("quote-1", "v", 5, "0xpayee", "A100", "1", 9.0))
        asked: list[str] = []
        database._connection.set_trace_callback(asked.append)
        FREQUENT[name](database)
        database._connection.set_trace_callback(None)
    with closing(sqlite3.connect(path)) as connection:
        for statement in asked:
            if statement.startswith(("BEGIN", "COMMIT")):
                continue
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            scans = [
                step for step in plan if step.startswith("SCAN") and "INDEX" not in step and "CONSTANT" not in step
            ]
            assert not scans, f"{statement} reads all: {plan}"


def test_the_last_slot_is_sold_once(tmp_path: Path) -> None:
    """Counted with the purchase in it, in one transaction: two that race cannot both be the last."""
    with closing(Database(tmp_path / "seller.sqlite3")) as database:
        database.keep_quote(Quote("quote-1", "v", 5, "0xpayee", "A100", "1", 9.0))
        database.begin(purchase("first"), Room(jobs=1))
        with pytest.raises(NoRoom):
            database.begin(purchase("second"), Room(jobs=1))
        assert [begun.key for begun in database.purchases()] == ["first"], "nothing is stored of the other"
        database.finish(purchase("first"), JOB, "0xtx", {})
        with pytest.raises(NoRoom):
            database.begin(purchase("second"), Room(of_payer=1))


def test_an_upgrade_that_is_killed_is_known_to_an_older_seller_and_gone_on_with(tmp_path: Path) -> None:
    """The older one could read no row that has a column more, and says instead that a newer one wrote it."""
    path = tmp_path / "seller.sqlite3"
    Database(path).close()
    with closing(sqlite3.connect(path)) as older:
        older.executescript("DROP INDEX purchases_to_look_at; ALTER TABLE purchases DROP COLUMN looks;")
        older.execute("PRAGMA user_version=1")
    with closing(sqlite3.connect(path, isolation_level=None)) as killed:
        killed.row_factory = sqlite3.Row
        killed.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ALTER_TABLE else 0)
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            prepare(killed, path)
    with closing(sqlite3.connect(path)) as half:
        assert half.execute("PRAGMA user_version").fetchone() == (VERSION,)
    with closing(Database(path)) as whole:
        assert whole.to_look_at() == []
