"""A vendor that was killed: what it had sold and not started is started once, and what ran is adopted."""

import hashlib
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from mock_vendor.runner import open_runner
from mock_vendor.settings import Sandbox, read_settings
from seller.database import Database
from seller.errors import BadSetting
from seller.records import Job, Quote
from seller.work.workshop import SECRETS_LOST
from tests.support.mock_buyer import Buyer
from tests.support.mock_command import launched, ready_line, selling
from tests.support.work_orders import (
    TRAINING,
    WorkOrderAtMock,
    checkpointed,
    ended,
    leaves_no_trace,
    look,
    run_job,
    training,
    workload,
)

SECRET = "hf_not_a_real_one_either"
OLDER = """
CREATE TABLE quotes (
    quote_id TEXT PRIMARY KEY, vendor_id TEXT NOT NULL, amount INTEGER NOT NULL, pay_to TEXT NOT NULL,
    gpu_type TEXT NOT NULL, hours TEXT NOT NULL, expires_at REAL NOT NULL
);
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY, vendor_id TEXT NOT NULL, key TEXT NOT NULL, gpu_type TEXT NOT NULL,
    hours TEXT NOT NULL, epochs INTEGER NOT NULL, amount INTEGER NOT NULL, doomed INTEGER NOT NULL,
    started_at REAL NOT NULL,
    UNIQUE (vendor_id, key)
);
INSERT INTO quotes VALUES ('quote-1', 'v', 5, '0x', 'A100', '1', 9.0);
INSERT INTO jobs VALUES ('job-1', 'v', 'k', 'A100', '1', 3, 5, 0, 7.0);
"""


def test_every_job_is_started_once_whenever_the_vendor_was_killed(tmp_path: Path) -> None:
    settings = {"MOCK_DATA_DIR": str(tmp_path), "MOCK_KEEP_JOBS": "1"}
    counted = workload("echo run >> runs; cat runs", outputs=[{"path": "runs"}])
    secret = workload("echo ${#TOKEN}", secrets=["TOKEN"])
    with launched(**settings) as child:
        buyer = Buyer(ready_line(child))
        running = run_job(buyer, training(stop="2"), TRAINING)
        checkpointed(buyer, running, 0.5)
        before_start = run_job(buyer, workload("cat a", {"a": b"input"}), b"input")
        after_start = run_job(buyer, counted)
        sent_again, lost = WorkOrderAtMock(buyer, secret), WorkOrderAtMock(buyer, secret)
        with_secrets = [order.pay(secrets={"TOKEN": SECRET}).json()["vendorJobId"] for order in (sent_again, lost)]
        for job_id in (before_start, after_start, *with_secrets):
            ended(buyer, job_id)
        os.kill(child.pid, signal.SIGKILL)
    buyer.close()
    assert leaves_no_trace(tmp_path, SECRET)
    forget_start(tmp_path, after_start)
    for job_id in (before_start, *with_secrets):
        forget_start(tmp_path, job_id, with_folder=True)

    with selling(**settings) as ready:
        buyer = Buyer(ready)
        assert look(buyer, running)["status"] == "running", "what ran goes on"
        assert ended(buyer, before_start)["logs"] == ["input"]
        assert ended(buyer, after_start)["logs"] == ["run"], "it had been started: not twice"
        for order in (sent_again, lost):
            order.buyer = buyer
        assert sent_again.pay(secrets={"TOKEN": SECRET}).json()["vendorJobId"] == with_secrets[0]
        assert ended(buyer, with_secrets[0])["logs"] == [str(len(SECRET))], "sent again, they are there again"
        status = look(buyer, with_secrets[1])
        assert (status["status"], status["exitCode"], status["errorMessage"]) == ("failed", None, SECRETS_LOST)
        assert lost.pay(secrets={"TOKEN": SECRET}).json()["vendorJobId"] == with_secrets[1]
        assert look(buyer, with_secrets[1])["errorMessage"] == SECRETS_LOST
        assert buyer.http.post("/job-cancel", json={"vendorJobId": running}).status_code == 200
        assert ended(buyer, running)["errorMessage"] == "the buyer cancelled it"
        buyer.close()
    assert leaves_no_trace(tmp_path, SECRET)


def forget_start(folder: Path, job_id: str, with_folder: bool = False) -> None:
    """Puts the vendor back to where its payment is settled, and the start is not noted; or not even done."""
    with sqlite3.connect(folder / "vendor.sqlite3") as database:
        changed = database.execute("UPDATE jobs SET start = 'waiting' WHERE job_id = ?", (job_id,))
        assert changed.rowcount == 1
    database.close()
    if with_folder:
        shutil.rmtree(folder / "jobs" / hashlib.sha256(job_id.encode()).hexdigest()[:32])


def test_older_databases_open(tmp_path: Path) -> None:
    older = sqlite3.connect(tmp_path / "vendor.sqlite3")
    older.executescript(OLDER)
    older.close()
    for _ in range(2):
        database = Database(tmp_path / "vendor.sqlite3")
        assert database.quote("quote-1") == Quote("quote-1", "v", 5, "0x", "A100", "1", 9.0)
        assert database.job("v", "job-1") == Job("job-1", "v", "k", "A100", "1", 5, 7.0, fate='{"epochs":3,"doomed":0}')
        assert database.jobs_with_work(vendor_id="v") == []
        database.close()


def test_without_bubblewrap_jobs_run_without_and_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    runner, (notice,) = open_runner(read_settings({}), tmp_path / "jobs")
    runner.close()
    assert "without a sandbox" in notice
    assert "apt-get install bubblewrap" in notice
    with pytest.raises(BadSetting, match=r"MOCK_SANDBOX=required: .*apt-get install bubblewrap"):
        open_runner(read_settings({"MOCK_SANDBOX": Sandbox.REQUIRED}), tmp_path / "jobs")
    for wrong in ({"MOCK_SANDBOX": "maybe"}, {"MOCK_KEEP_JOBS": "1"}, {"MOCK_KEEP_JOBS": "yes"}):
        with pytest.raises(BadSetting, match=next(iter(wrong))):
            read_settings(wrong)
