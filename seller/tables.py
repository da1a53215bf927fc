"""The tables of the seller's database: their creation, and the upgrade of older ones."""

import sqlite3
from pathlib import Path

from seller.errors import Unreadable

SCHEMA = """
CREATE TABLE IF NOT EXISTS quotes (
    quote_id TEXT PRIMARY KEY, vendor_id TEXT NOT NULL, amount INTEGER NOT NULL, pay_to TEXT NOT NULL,
    gpu_type TEXT NOT NULL, hours TEXT NOT NULL, expires_at REAL NOT NULL, job_order TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS purchases (
    vendor_id TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, quote_id TEXT NOT NULL,
    payer TEXT NOT NULL, nonce TEXT NOT NULL, amount INTEGER NOT NULL, pay_to TEXT NOT NULL,
    header TEXT NOT NULL, requirements TEXT NOT NULL, job_params TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('settling', 'settled')), tx TEXT, answer TEXT,
    begun_at REAL NOT NULL DEFAULT 0, looks INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (vendor_id, key),
    UNIQUE (payer, nonce)
);
CREATE TABLE IF NOT EXISTS jobs (
    job_id TEXT PRIMARY KEY, vendor_id TEXT NOT NULL, key TEXT NOT NULL, gpu_type TEXT NOT NULL,
    hours TEXT NOT NULL, amount INTEGER NOT NULL, sold_at REAL NOT NULL,
    fate TEXT NOT NULL DEFAULT '', job_order TEXT NOT NULL DEFAULT '', start TEXT NOT NULL DEFAULT '',
    failure TEXT NOT NULL DEFAULT '', exit_code INTEGER, ended_at REAL,
    UNIQUE (vendor_id, key)
);
"""
ADDED = (
    ("quotes", "job_order", "TEXT NOT NULL DEFAULT ''"),
    ("purchases", "begun_at", "REAL NOT NULL DEFAULT 0"),
    ("purchases", "looks", "INTEGER NOT NULL DEFAULT 0"),
    ("jobs", "job_order", "TEXT NOT NULL DEFAULT ''"),
    ("jobs", "start", "TEXT NOT NULL DEFAULT ''"),
    ("jobs", "failure", "TEXT NOT NULL DEFAULT ''"),
    ("jobs", "fate", "TEXT NOT NULL DEFAULT ''"),
    ("jobs", "exit_code", "INTEGER"),
    ("jobs", "ended_at", "REAL"),
)
"""Columns that older databases lack."""
OLDER_JOBS = """
UPDATE jobs SET fate = json_object('epochs', epochs, 'doomed', doomed);
ALTER TABLE jobs DROP COLUMN epochs;
ALTER TABLE jobs DROP COLUMN doomed;
ALTER TABLE jobs RENAME COLUMN started_at TO sold_at;
"""
INDEXES = """
CREATE INDEX IF NOT EXISTS quotes_by_expiry ON quotes (expires_at);
CREATE INDEX IF NOT EXISTS purchases_by_quote ON purchases (quote_id);
CREATE INDEX IF NOT EXISTS purchases_by_state ON purchases (state);
CREATE INDEX IF NOT EXISTS purchases_to_look_at ON purchases (looks) WHERE looks > 0;
CREATE INDEX IF NOT EXISTS jobs_by_start ON jobs (start);
"""
"""For the queries of each quote, payment and step of the dispatcher, which must not read every past sale."""
VERSION = 2
"""The version of the tables, kept in the database's user_version; 0 in databases older than that."""


def prepare(connection: sqlite3.Connection, path: Path, schema: str = SCHEMA) -> None:
    """Create the tables, and bring those of an older seller up to date. Raises Unreadable for a newer seller's."""
    if _version(connection) > VERSION:
        connection.close()
        raise Unreadable(f"folder: {path} was written by a newer gpuagent: pip install --upgrade 'gpuagent[seller]'")
    connection.execute("PRAGMA journal_mode=WAL")
    if _version(connection) < VERSION:
        # Before any column: an older seller is to refuse, too, what a kill leaves half upgraded.
        connection.execute(f"PRAGMA user_version={VERSION}")
    connection.executescript(schema)
    for table, column, kind in ADDED:
        if column not in _columns(connection, table):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    if "doomed" in _columns(connection, "jobs"):
        connection.executescript(f"BEGIN; {OLDER_JOBS} COMMIT;")
    connection.executescript(INDEXES)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}
