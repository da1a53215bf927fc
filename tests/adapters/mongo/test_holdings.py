"""Which run holds which file, in real documents, swept by a clock that the test turns: what goes, stays, is noted."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from gpuagent import settings, wiring
from gpuagent.adapters.files.folder import FolderStore
from gpuagent.adapters.mongo.values import date
from gpuagent.agent.retention import UPLOAD_S, YOUNG_S, FileSweep, sweep_files
from gpuagent.core.policy import Policy
from gpuagent.core.ports.files import FileStore
from gpuagent.errors import ConfigError
from gpuagent.wiring.database import open_database
from tests.support.collected import put_content, run_with_files
from tests.support.world import World

DAY = 86_400.0
NOW = 1_800_000_000.0


class Swept:
    """A world's records, a store in a folder, and one clock for both."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.database, self.now = world, world.database, NOW
        self.store: FileStore = FolderStore(folder, lambda: self.now)
        self.documents: Any = world.store.connection.database

    def run(self, *jobs: dict[str, bytes], **options: Any) -> str:
        return run_with_files(self.database, self.store, *jobs, ended_at=self.now, **options)

    def sweep(self, *, dry_run: bool = False) -> FileSweep:
        return sweep_files(self.store, self.database.holdings, self.world.store.policy(), self.now, dry_run=dry_run)

    def deleted(self, run_id: str) -> dict[str, float | None]:
        return {file.path: file.deleted_at for file in self.database.reads.files(run_id)}

    def has(self, content: bytes) -> bool:
        return self.store.size(hashlib.sha256(content).hexdigest()) is not None


@pytest.fixture
def swept(world: World, tmp_path: Path) -> Iterator[Swept]:
    return Swept(world, tmp_path)


def test_files_of_finished_runs_go_when_their_time_is_over(swept: Swept) -> None:
    old = swept.run({"model.npz": b"old model", "log.txt": b"shared"})
    swept.now += 20 * DAY
    young = swept.run({"model.npz": b"young model", "log.txt": b"shared"})
    running = swept.run({"model.npz": b"half a model"}, status="running")
    swept.now += 15 * DAY
    assert swept.sweep() == FileSweep(0, 0, [], 0), "without a rule everything is kept"
    swept.world.allow(keep_files_s=int(30 * DAY))
    plan = swept.sweep(dry_run=True)
    assert ([file.run_id for file in plan.files], plan.freed) == ([old], len(b"old model"))
    assert swept.has(b"old model")
    assert swept.deleted(old) == {"model.npz": None, "log.txt": None}
    assert swept.sweep().files == plan.files
    assert [swept.has(content) for content in (b"old model", b"shared", b"young model")] == [False, True, True]
    assert swept.deleted(old) == {"model.npz": swept.now, "log.txt": None}
    assert swept.sweep() == FileSweep(0, 0, [], 0)
    swept.now += 400 * DAY
    swept.sweep()
    assert all(swept.deleted(young).values())
    assert swept.deleted(running) == {"model.npz": None}
    assert swept.has(b"half a model"), "a run that is not over may need it"


def test_the_oldest_go_first_where_the_total_is_passed(swept: Swept) -> None:
    runs = []
    for number in range(3):
        runs.append(swept.run({"model.npz": f"model {number}".encode()}))
        swept.now += DAY
    swept.world.allow(keep_files_max=2 * len(b"model 0"))
    swept.sweep()
    assert [bool(swept.deleted(run_id)["model.npz"]) for run_id in runs] == [True, False, False]


@pytest.mark.parametrize("state", ["reserved", "authorized", "owed", "underway", "collecting"])
def test_a_run_that_has_ended_with_a_job_that_has_not_keeps_its_files(swept: Swept, state: str) -> None:
    """It was cancelled, and what is paid for still comes; its inputs and checkpoints may be asked for."""
    saved_as = "authorized" if state == "reserved" else state
    run_id = swept.run({"model.npz": b"model"}, state=saved_as, status="failed")
    if state == "reserved":
        swept.documents.jobs.update_one({"runId": ObjectId(run_id)}, {"$set": {"state": state}})
    swept.now += 400 * DAY
    swept.world.allow(keep_files_s=60)
    assert swept.sweep().files == []
    assert swept.deleted(run_id) == {"model.npz": None}


def test_inputs_and_checkpoints_are_held_by_whatever_names_them(swept: Swept) -> None:
    done = swept.run({"model.npz": b"model"})
    sha256 = {name: put_content(swept.store, name.encode(), name) for name in ("input", "checkpoint", "resumed")}
    entry = {name: {"path": name, "bytes": len(name), "sha256": key} for name, key in sha256.items()}
    for run_id, status in ((done, "completed"), (swept.run({"x": b"x"}, status="running"), "running")):
        workload = json.dumps({"inputs": [entry["input"], {"path": "u", "url": "https://x", "sha256": "0" * 64}]})
        swept.documents.runs.update_one({"_id": ObjectId(run_id)}, {"$set": {"workload": workload}})
        more = {"checkpoint": {"files": [entry["checkpoint"]]}, "jobParams": {"resume": {"files": [entry["resumed"]]}}}
        swept.documents.jobs.update_one({"runId": ObjectId(run_id)}, {"$set": more})
        if status == "running":
            running = run_id
    swept.now += 400 * DAY
    swept.world.allow(keep_files_s=60)
    swept.sweep()
    assert [swept.has(name) for name in (b"model", b"input", b"checkpoint", b"resumed")] == [False, True, True, True]
    swept.documents.runs.update_one(
        {"_id": ObjectId(running)}, {"$set": {"status": "failed", "updatedAt": date(swept.now - DAY)}}
    )
    assert len(swept.sweep().files) == 7, "three of either run, and x"
    assert not any(map(swept.has, (b"input", b"checkpoint", b"resumed", b"x")))
    assert swept.sweep().files == []


def test_content_of_no_run_goes_after_a_day(swept: Swept) -> None:
    """Inputs of a run that was never started, or a checkpoint that a newer one has replaced."""
    run_id = swept.run({"model.npz": b"model"})
    put_content(swept.store, b"input", "of a run that was not started")
    swept.now += UPLOAD_S - 1
    assert (swept.sweep().strays, swept.has(b"input")) == (0, True)
    swept.now += 2
    assert (swept.sweep(dry_run=True).strays, swept.has(b"input")) == (5, True)
    assert (swept.sweep().strays, swept.has(b"input")) == (5, False)
    assert (swept.has(b"model"), swept.deleted(run_id)) == (True, {"model.npz": None})


def test_what_is_just_proven_again_stays(swept: Swept) -> None:
    """A tick has brought the content of an old run for a young one, and has not saved that yet."""
    old = swept.run({"model.npz": b"model"})
    swept.now += 400 * DAY
    swept.world.allow(keep_files_s=60)
    put_content(swept.store, b"model", "of a run that does not name it yet")
    swept.now += YOUNG_S - 1
    assert swept.sweep().files == []
    assert swept.deleted(old) == {"model.npz": None}
    swept.now += 2
    assert len(swept.sweep().files) == 1


def test_a_sweep_that_was_killed_is_finished_by_the_next(swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = swept.run({"model.npz": b"model"})
    swept.now += 400 * DAY
    swept.world.allow(keep_files_s=60)
    with monkeypatch.context() as patched:
        patched.setattr(type(swept.database.holdings), "note_deleted", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            swept.sweep()
    assert (swept.has(b"model"), swept.deleted(run_id)) == (False, {"model.npz": None})
    assert len(swept.sweep().files) == 1
    assert swept.deleted(run_id) == {"model.npz": swept.now}


def test_a_mark_outlives_a_later_save_of_the_job(swept: Swept) -> None:
    run_id = swept.run({"model.npz": b"model"})
    swept.now += 400 * DAY
    swept.world.allow(keep_files_s=60)
    swept.sweep()
    files = swept.documents.jobs.find_one({"runId": ObjectId(run_id)})["files"]
    swept.documents.jobs.update_one({"runId": ObjectId(run_id)}, {"$set": {"files": files}})
    assert swept.deleted(run_id) == {"model.npz": swept.now}


def test_uploads_that_nothing_came_to_for_a_day_go(swept: Swept) -> None:
    swept.store.extend("job-1", 0, [b"half"], 8)
    swept.now += UPLOAD_S - 1
    assert swept.sweep().uploads == 0
    swept.now += 2
    assert swept.sweep(dry_run=True).uploads == 4
    assert swept.store.received("job-1") == 4
    assert swept.sweep().uploads == 4
    assert swept.store.received("job-1") == 0


def test_two_databases_in_one_store_are_told_apart_by_the_ids_that_they_made(swept: Swept, tmp_path: Path) -> None:
    environment = {**swept.world.environment, "FILE_STORE": f"file://{tmp_path}/shared"}
    other = {**environment, "MONGODB_DB_NAME": f"{swept.database.name}_beside"}
    stray = hashlib.sha256(b"model").hexdigest()
    with ExitStack() as closing:
        stores = []
        for environ in (environment, other):
            setting = settings.read(environ)
            database = closing.enter_context(open_database(setting))
            assert database.holdings.identity() == database.holdings.identity()
            stores.append((database, closing.enter_context(wiring.open_files(setting, database))))
        (ours, our_files), (theirs, their_files) = stores
        closing.callback(theirs.store.connection.client.drop_database, theirs.name)
        put_content(our_files, b"model", "job-1")
        with pytest.raises(ConfigError, match=f"{ours.name}.*{ours.holdings.identity()}"):
            sweep_files(their_files, theirs.holdings, Policy(), NOW * 2, dry_run=False)
        assert our_files.size(stray)
        assert sweep_files(our_files, ours.holdings, Policy(), NOW * 2, dry_run=False).strays == 5
