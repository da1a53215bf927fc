"""Observations of finished runs leave the database for the file store and come back, killed anywhere and again."""

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, ObjectId

from gpuagent.adapters.files.gridfs import GridFsStore
from gpuagent.adapters.mongo import archives as mongo_archives
from gpuagent.adapters.mongo.values import date
from gpuagent.agent import archive as archiving
from gpuagent.agent.archive import archive_runs, restore_run
from gpuagent.agent.retention import UPLOAD_S, sweep_files
from gpuagent.core.archives import Archive, ArchiveState
from gpuagent.core.policy import Policy
from gpuagent.core.records import ReportScope
from gpuagent.core.retention import Holding
from gpuagent.errors import BadInput, FileStoreError, UnknownRun
from gpuagent.planbench.choices import recorded_decisions
from gpuagent.render.decision import decision_view
from tests.support.collected import run_with_files
from tests.support.factories import RUN
from tests.support.kill_points import killed_at
from tests.support.memory_files import MemoryFiles
from tests.support.world import World

DAY = 86_400.0
NOW = 1_800_000_000.0
RULES = Policy(keep_observations_s=int(30 * DAY))
LINES = 25


class Archived:
    """A world with runs that ended, a file store, and a clock."""

    def __init__(self, world: World) -> None:
        self.world, self.now, self.files = world, NOW, MemoryFiles()
        self.archives = world.database.archives
        self.documents: Any = world.store.connection.database

    def run(self, status: str = "completed", state: str = "completed") -> str:
        database = self.world.database
        run_id = run_with_files(database, self.files, {"a": b"a"}, state=state, status=status, ended_at=self.now)
        self.documents.observations.insert_many(observations(run_id, self.now))
        return run_id

    def stored(self, run_id: str) -> list[dict[str, Any]]:
        return list(self.documents.observations.find({"runId": ObjectId(run_id)}).sort("_id", 1))

    def archive(self, *, dry_run: bool = False) -> list[str]:
        runs = archive_runs(self.archives, self.files, RULES, self.now, dry_run=dry_run)
        return [run.run_id for run in runs]

    def restore(self, run_id: str) -> int:
        return restore_run(self.archives, self.files, run_id, self.now)

    def shown(self, run_id: str) -> set[str]:
        return {observation["type"] for observation in self.stored(run_id)}


def observations(run_id: str, at: float) -> list[dict[str, Any]]:
    """A decision that cost something, one that did not, and the lines of a job's log."""
    decision = {"action": "start_job", "vendorId": "v"}
    data = {"cost": 1200, "planner": "llm", "decidedBy": "llm", "latencyMs": 7, "decision": decision, "candidates": []}
    more = {"attempts": [], "verdicts": [], "price": Decimal128("1.25"), "context": {"archived": {"deep": ["é", None]}}}
    job_id = ObjectId()
    common = {"runId": ObjectId(run_id), "tick": 1, "timestamp": date(at)}
    return [
        {**common, "type": "agent_reasoning", "content": "v is the cheapest", "data": {**data, **more}},
        {**common, "type": "agent_reasoning", "content": "wait", "data": {"decision": decision}},
        *(
            {**common, "type": "job_log", "content": f"line {n}", "data": {}, "jobId": job_id, "position": n}
            for n in range(LINES)
        ),
    ]


@pytest.fixture
def archived(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archived]:
    monkeypatch.setattr(archiving, "BATCH", 10)
    return Archived(world)


def test_they_leave_when_their_time_is_over_and_come_back_as_they_were(archived: Archived) -> None:
    run_id = archived.run()
    before = archived.stored(run_id)
    archived.now += 30 * DAY
    assert archived.archive() == []
    archived.now += 1
    young, running = archived.run(), archived.run("running", "underway")
    assert archived.archive(dry_run=True) == [run_id]
    assert archived.stored(run_id) == before
    assert list(archive_runs(archived.archives, archived.files, Policy(), archived.now, dry_run=False)) == []
    assert archived.archive() == [run_id]
    assert archived.archive() == []
    kept = archived.stored(run_id)
    assert [observation["content"] for observation in kept] == ["v is the cheapest", "wait"]
    read = {"cost": 1200, "planner": "llm", "decidedBy": "llm", "latencyMs": 7, "archived": True}
    assert [observation["data"] for observation in kept] == [read, {"archived": True}]
    assert [len(archived.stored(other)) for other in (young, running)] == [len(before), len(before)]
    record = archived.archives.archive(run_id)
    assert record is not None
    text = gzip.decompress(archived.files.contents[record[0].sha256])
    assert [json.loads(line)["content"] for line in text.splitlines()] == [entry["content"] for entry in before]
    assert archived.restore(run_id) == len(before)
    assert archived.stored(run_id) == before
    assert archived.archives.archive(run_id) is None
    assert archived.archive() == [], "what was restored is kept as long again"
    archived.now += 30 * DAY + 1
    assert run_id in archived.archive()


def test_no_report_changes(archived: Archived) -> None:
    archived.run()
    scope = ReportScope(RUN.network, datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))

    def decisions() -> list[Any]:
        with archived.world.reads.history() as history:
            return list(history.decisions(scope))

    before = decisions()
    archived.now += 31 * DAY
    assert (len(archived.archive()), len(before)) == (1, 1)
    assert decisions() == before


def test_what_was_archived_is_said_to_be(archived: Archived) -> None:
    run_id = archived.run()
    archived.now += 31 * DAY
    archived.archive()
    kept = archived.stored(run_id)
    assert f"gpuagent run restore {run_id}" in " ".join(map(str, decision_view(kept[0])))
    with pytest.raises(BadInput, match=f"gpuagent run restore {run_id}"):
        recorded_decisions(kept)


@pytest.mark.parametrize("state", ["authorized", "underway", "collecting"])
def test_a_run_whose_money_or_work_is_undecided_keeps_them(archived: Archived, state: str) -> None:
    run_id = archived.run("failed", state)
    archived.now += 400 * DAY
    assert archived.archive() == []
    assert len(archived.stored(run_id)) == LINES + 2


@pytest.mark.parametrize("module", [archive_runs, mongo_archives.MongoArchives], ids=["agent", "database"])
def test_killed_at_every_line_it_loses_nothing(archived: Archived, module: Callable[..., object]) -> None:
    """Between two kills the file and the database together always hold all that there was."""
    run_id = archived.run()
    before = archived.stored(run_id)
    archived.now += 31 * DAY
    number, step = 0, 5
    while killed_at(number, module, archived.archive):
        _check_whole(archived, run_id, before)
        number += step
    archived.archive()
    assert len(archived.stored(run_id)) == 2
    number = 0
    while killed_at(number, module, lambda: archived.archives.archive(run_id) and archived.restore(run_id)):
        _check_whole(archived, run_id, before)
        number += step
    assert archived.stored(run_id) == before


def _check_whole(archived: Archived, run_id: str, before: list[dict[str, Any]]) -> None:
    record = archived.archives.archive(run_id)
    if record is None:
        assert archived.stored(run_id) == before
    else:
        lines = gzip.decompress(archived.files.contents[record[0].sha256]).splitlines()
        assert len(lines) == record[0].observations == len(before)


def test_a_file_that_is_not_as_it_was_written_takes_nothing_out(archived: Archived) -> None:
    run_id = archived.run()
    before = archived.stored(run_id)
    archived.now += 31 * DAY
    with pytest.raises(FileStoreError, match="does not hold"):
        list(archive_runs(archived.archives, _Liar(), RULES, archived.now, dry_run=False))
    assert (archived.stored(run_id), archived.archives.archive(run_id)) == (before, None)


def test_a_file_that_is_lost_holds_up_no_other_run(archived: Archived) -> None:
    lost, other = archived.run(), archived.run()
    archived.now += 31 * DAY
    assert archived.archives.begin(lost, Archive("0" * 64, 1, LINES + 2), archived.now)
    with pytest.raises(FileStoreError):
        archived.archive()
    assert [len(archived.stored(run_id)) for run_id in (lost, other)] == [LINES + 2, 2]


class _Liar(MemoryFiles):
    """A file store that keeps something else than it was given."""

    def finish(self, upload: str, sha256: str, size: int) -> None:
        super().finish(upload, sha256, size)
        self.contents[sha256] = b"something else"


def test_two_sweeps_and_a_restorer_do_not_undo_each_other(archived: Archived) -> None:
    """One sweep stands still before its last batch; another ends the archiving, and a user restores the run."""
    run_id = archived.run()
    before = archived.stored(run_id)
    archived.now += 31 * DAY
    slow = archived.archives
    lines = list(slow.lines(run_id))
    archived.archive()
    (archive, state) = slow.archive(run_id) or (Archive("", 0, 0), ArchiveState.RESTORING)
    assert state is ArchiveState.ARCHIVED
    archived.restore(run_id)
    assert not slow.take_out(run_id, archive, lines)
    assert not slow.put_back(run_id, archive, lines)
    assert not slow.move(run_id, archive, ArchiveState.ARCHIVING, ArchiveState.ARCHIVED)
    assert archived.stored(run_id) == before
    assert slow.begin(run_id, archive, archived.now)
    assert not slow.begin(run_id, archive, archived.now)
    with pytest.raises(BadInput, match="is being archived"):
        archived.restore(run_id)


def test_what_cannot_be_restored_says_why(archived: Archived) -> None:
    with pytest.raises(BadInput, match="nothing to restore"):
        archived.restore(archived.run())
    with pytest.raises(UnknownRun):
        archived.restore(str(ObjectId()))


def test_a_sweep_of_the_files_leaves_archives_alone(archived: Archived) -> None:
    run_id = archived.run()
    archived.now += 31 * DAY
    archived.archive()
    record = archived.archives.archive(run_id)
    assert record is not None
    rules = Policy(keep_files_s=60, keep_files_max=1)
    sweep_files(archived.files, archived.world.database.holdings, rules, archived.now + 2 * UPLOAD_S, dry_run=False)
    assert record[0].sha256 in archived.files.contents
    assert archived.restore(run_id) == LINES + 2


def test_a_sweep_beside_it_leaves_what_is_archived_anew(archived: Archived) -> None:
    """The same observations are the same file, which was here before and has been no run's since it was restored."""
    files = GridFsStore(archived.documents, lambda: archived.now)
    run_id = archived.run()
    before = len(archived.stored(run_id))
    archived.files = files  # type: ignore[assignment]
    archived.now += 31 * DAY
    archived.archive()
    archived.restore(run_id)
    archived.now += 31 * DAY

    class StaleHoldings:
        """What was read before the run was archived anew."""

        def holdings(self) -> Iterator[Holding]:
            archived.archive()
            return iter(())

        def note_deleted(self, run_id: str, sha256: str, at: float) -> None:
            raise AssertionError("no file of a run is deleted")

    sweep_files(files, StaleHoldings(), Policy(), archived.now, dry_run=False)
    assert len(archived.stored(run_id)) == 2
    assert archived.restore(run_id) == before
