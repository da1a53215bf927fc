"""Exports that take longer than the server keeps the moment that they are read as of: each row is written once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from gpuagent.adapters.mongo import report_rows
from gpuagent.adapters.mongo.connection import Connection
from gpuagent.adapters.mongo.embedded import last_server
from gpuagent.adapters.mongo.embedded_secrets import superuser_uri
from gpuagent.adapters.mongo.report_partitions import MongoPartitions
from gpuagent.adapters.mongo.report_snapshots import SnapshotGoneError, Snapshots, bounded_reading
from gpuagent.reports import exports
from gpuagent.reports.exports import files
from gpuagent.reports.report import Report
from gpuagent.wiring.database import Database
from gpuagent.wiring.embedded import start_mongod
from tests.support import big_history, report_history
from tests.support.eventually import eventually

DAY_S = 86_400
LATER = "the rest of the report is as of a later moment: MongoDB keeps one for some minutes only"


class ForgetfulServer:
    """A MongoDB server that gives up the moments of snapshots when it is told to, and at no other time."""

    def __init__(self, superuser: MongoClient[Any]) -> None:
        self._superuser = superuser
        self._keep_for(DAY_S)

    def _keep_for(self, window_s: int) -> None:
        self._superuser.admin.command({"setParameter": 1, "minSnapshotHistoryWindowInSeconds": window_s})

    def forget(self) -> None:
        """Gives up every snapshot that is open."""
        self._keep_for(0)
        try:
            self._wait_until_gone()
        finally:
            self._keep_for(DAY_S)

    def _wait_until_gone(self) -> None:
        notes = self._superuser.notes.notes
        with self._superuser.start_session(snapshot=True) as session:

            def is_gone() -> bool:
                try:
                    with bounded_reading(60):
                        notes.find_one(session=session)
                except SnapshotGoneError:
                    return True
                notes.insert_one({})
                return False

            eventually(is_gone)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ForgetfulServer, Report]]:
    folder = tmp_path_factory.mktemp("forgetful")
    with start_mongod(folder) as mongod:
        running = last_server(folder)
        assert running
        with MongoClient[Any](superuser_uri(running["port"], folder)) as superuser:
            connection = Connection(mongod.uri, "long")
            big_history.write(connection.database, 60)
            report = report_history.report(Database(connection), "all", big_history.UNTIL)
            yield ForgetfulServer(superuser), report
            connection.close()


@pytest.mark.parametrize(("form", "times_lost"), [("journal", 2), ("focus", 1), ("csv", 1)])
def test_an_export_goes_on_where_its_moment_is_given_up(
    server: tuple[ForgetfulServer, Report],
    form: str,
    times_lost: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mongod, report = server
    monkeypatch.setattr(report_rows, "BATCH", 5)
    monkeypatch.setattr(files, "ROWS", 5)
    exports.write(report, form, tmp_path / "whole")
    assert not caplog.messages
    exports.write(report, form, tmp_path / "resumed", after(2, mongod.forget, times_lost))
    assert caplog.messages
    assert set(caplog.messages) == {LATER}
    assert contents(tmp_path / "resumed") == contents(tmp_path / "whole")


class InterruptedRows(MongoPartitions):
    """Rows whose snapshot is given up once, behind the second batch."""

    is_given_up = False

    def _batches(self, collection: str, pipeline: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
        for number, batch in enumerate(super()._batches(collection, pipeline)):
            yield batch
            if number == 1 and not self.is_given_up:
                self.is_given_up = True
                raise SnapshotGoneError


def test_rows_of_one_time_are_read_on_each_once(
    server: tuple[ForgetfulServer, Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, report = server
    monkeypatch.setattr(report_rows, "BATCH", 5)
    window = report.scope, "settledAt", report.period.since, report.period.until
    with report.open_rows() as rows, ExitStack() as sessions:
        database = rows._database
        whole = [job["jobId"] for batch in rows.settled(*window) for job in batch]
        database.jobs.update_many({"state": "settled"}, {"$set": {"settledAt": database.jobs.find_one()["settledAt"]}})
        interrupted = InterruptedRows(database, Snapshots(database.client, sessions), 60)
        interrupted.allow_later_moments()
        job_ids = [job["jobId"] for batch in interrupted.settled(*window) for job in batch]
    assert interrupted.is_given_up
    assert len(job_ids) > 10
    assert sorted(job_ids) == sorted(whole)


def test_a_page_is_of_one_moment_or_there_is_none(server: tuple[ForgetfulServer, Report]) -> None:
    """What is kept of it is believed by the signature of its moment."""
    mongod, report = server
    with report.open_rows() as rows:
        runs = rows.run_columns(report.scope, "0" * 24, "f" * 24, 1)
        assert len(runs["runId"]) == 1
        mongod.forget()
        with pytest.raises(SnapshotGoneError, match="minSnapshotHistoryWindowInSeconds"):
            rows.payments_of(["0" * 24])


def after(batches: int, act: Callable[[], None], times_max: int) -> Callable[[int], None]:
    """What counts rows, and acts after every so many batches of them, so many times at most."""
    counts: list[int] = []

    def count(rows: int) -> None:
        counts.append(rows)
        if len(counts) % batches == 0 and len(counts) // batches <= times_max:
            act()

    return count


def contents(path: Path) -> dict[str, bytes]:
    parts = [path] if path.is_file() else sorted(path.iterdir())
    return {part.name if path.is_dir() else "": part.read_bytes() for part in parts}
