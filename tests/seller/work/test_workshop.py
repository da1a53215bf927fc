"""What a workshop leaves of jobs that never ran."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from seller.database import Database
from seller.records import Job, Purchase
from seller.runners import JobOrder
from seller.runners.process import ProcessRunner
from seller.work.workshop import CANCELLED, SECRETS_LOST, Workshop

SECRET_WORK = json.dumps({"workload": {"command": "true", "secrets": ["TOKEN"]}})
PURCHASE = Purchase("v", "key", "", "quote-1", "0xpayer", "0xnonce", 5, "0xpayee", "", "{}", "{}")
JOB = Job("v-1", "v", "key", "A100", "1", 5, 7.0, job_order=SECRET_WORK, start="waiting")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "seller.sqlite3")) as database:
        database.begin(PURCHASE)
        database.finish(PURCHASE, JOB, "0xtx", {})
        yield database


@pytest.mark.parametrize("reason", [SECRETS_LOST, CANCELLED])
def test_of_a_job_that_never_ran_nothing_stays(database: Database, tmp_path: Path, reason: str) -> None:
    """A seller that was killed may have laid its files out."""
    runner = ProcessRunner(tmp_path / "jobs", sandbox=False)
    runner._lay_out(runner._folder_of("v-1"), JobOrder("v-1", "true", 60.0))
    workshop = Workshop(database, runner, tmp_path / "inputs", ["v"], queues=True)
    if reason == CANCELLED:
        workshop.cancel(JOB)
    else:
        workshop.settle_start(JOB)
    job = database.job("v", "v-1")
    assert job
    assert (job.start, job.failure) == ("failed", reason)
    assert list((tmp_path / "jobs").iterdir()) == []
