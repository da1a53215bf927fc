"""The console's files: named, sized, escaped, never rendered; a link or a copy holds what was collected, or nothing."""

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bson import ObjectId

from gpuagent.adapters.mongo import glance
from gpuagent.core.model import Settled
from gpuagent.core.status import StatusText
from gpuagent.core.work import Collecting, Completed, Owed, Underway
from gpuagent.errors import BadInput, FileAltered
from gpuagent.panels.file_copies import LINK_MAX, StoredFile, copy_files, download_link, stored_files
from gpuagent.panels.files_form import ROWS_MAX, files_table
from gpuagent.panels.run_view import phases
from gpuagent.panels.snapshot import OpenRun, activity
from gpuagent.render.palette import vendor_colours
from tests.conftest import SafetyNote
from tests.panels.conftest import Seat
from tests.support import delivered_run
from tests.support.delivered_run import STARTED_AT, metrics
from tests.support.factories import RUN
from tests.support.memory_files import MemoryFiles
from tests.support.run_states import STATES
from tests.support.world import World

Play = Callable[..., None]
COLOURS = vendor_colours(["acme"])
EVIL = '<img src=x onerror="alert(1)">.npz'


def stored_file(path: str = "model.npz", content: bytes = delivered_run.MODEL) -> StoredFile:
    return StoredFile(path, len(content), hashlib.sha256(content).hexdigest(), "output", "acme", 2)


def store(*files: StoredFile, content: bytes = delivered_run.MODEL) -> Any:
    return MemoryFiles({file.sha256: content for file in files})


def test_outputs_come_first_then_checkpoints_the_newest_try_before_others() -> None:
    first, second = ObjectId(), ObjectId()
    jobs = [
        {"vendorId": "acme", **delivered_run.lost_job(first)},
        {"vendorId": "acme", **delivered_run.resumed_job(second, first)},
        {"vendorId": "acme", "ordinal": 2},
    ]
    files = stored_files(jobs)
    assert [file.place for file in files] == [
        "try-2/output/metrics.jsonl",
        "try-2/output/model.npz",
        "try-2/output/out/sample.txt",
        "try-1/checkpoint/progress.json",
        "try-1/checkpoint/state.npz",
    ]
    drawn = files_table({"workload": "{}"}, files, COLOURS)
    model = files[1]
    assert f'title="{model.sha256}"' in drawn
    assert f"{model.sha256[:8]}…" in drawn
    assert "160.0 kB" in drawn
    assert "No files yet" in files_table({"workload": "{}"}, [], COLOURS)
    assert "has no job file" in files_table({}, [], COLOURS)
    jobs[1]["filesDeleted"] = {jobs[1]["files"][0]["sha256"]: STARTED_AT}
    assert [file.path for file in stored_files(jobs) if file.deleted] == ["model.npz"]
    assert "output, deleted since" in files_table({}, stored_files(jobs), COLOURS)
    many = files_table({}, [stored_file(f"file {number}") for number in range(ROWS_MAX + 7)], COLOURS)
    assert "and 7 more" in many


def test_a_link_carries_the_file_and_only_saves() -> None:
    file = stored_file("out/model.npz")
    link = download_link(store(file), file)
    (content,) = re.findall('href="data:application/octet-stream;base64,(.*?)"', link)
    assert base64.b64decode(content) == delivered_run.MODEL
    assert 'download="model.npz"' in link
    with pytest.raises(BadInput, match=r"a link carries up to 16\.0 MB: press Save files"):
        download_link(store(file), replace(file, bytes=LINK_MAX + 1))


def test_copies_are_the_files_tries_and_kinds_apart(tmp_path: Path) -> None:
    files = [stored_file("a/x.txt", b"one"), stored_file("b.txt", b"two")]
    collected: Any = MemoryFiles({files[0].sha256: b"one", files[1].sha256: b"two"})
    copy_files(collected, files, tmp_path / "run")
    copy_files(collected, files, tmp_path / "run")
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {Path("run/try-2/output/a/x.txt"): b"one", Path("run/try-2/output/b.txt"): b"two"}
    (tmp_path / "taken").write_text("a file, and no folder")
    with pytest.raises(BadInput, match="cannot be written"):
        copy_files(collected, files, tmp_path / "taken")


@pytest.mark.safety("a file whose name is markup or leads out of the folder, or whose content was altered in the store")
def test_hostile_names_and_altered_files(tmp_path: Path, safety_note: SafetyNote) -> None:
    file = stored_file()
    altered = store(file, content=b"<script>alert(1)</script>")
    with pytest.raises(FileAltered, match="with the SHA-256"):
        download_link(altered, file)
    with pytest.raises(FileAltered, match="with the SHA-256"):
        copy_files(altered, [file], tmp_path / "in")
    for path in ("../up.npz", "/etc/x", "a/../../b", "C:\\x", "a\0b", "x/" * 40 + "y", "nul.txt"):
        with pytest.raises(BadInput, match="it is not written"):
            copy_files(store(file), [replace(file, path=path)], tmp_path / "in")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    evil = replace(file, path=EVIL)
    for drawn in (files_table({}, [evil], COLOURS), download_link(store(evil), evil)):
        assert "<img" not in drawn
    safety_note("names shown as text, 7 paths refused, nothing of the altered file written or linked")


def delivering(world: World) -> tuple[str, Any, Any]:
    """A run whose job is under way, with files and a checkpoint; its id, its job's id and the database."""
    run = world.tick(world.tick(world.start()))
    database = world.database.connection.database
    (job,) = run.jobs
    job_id = ObjectId(job.job_id)
    delivered_run.keep_files(world.ports.files)
    lost = delivered_run.lost_job(job_id)
    files = [*delivered_run.stored(delivered_run.CONTENTS, "output"), *lost["files"]]
    database.jobs.update_one({"_id": job_id}, {"$set": {"files": files, "checkpoint": lost["checkpoint"]}})
    return run.run_id, job_id, database


def test_metrics_and_files_reach_the_console_as_they_come(
    world: World, at_console: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, job_id, database = delivering(world)
    monkeypatch.chdir(tmp_path)

    async def scene(seat: Seat) -> None:
        view, files = seat.console.view, seat.console.files
        assert "No metrics yet" in view.metrics.value
        delivered_run.write_metrics(database, run_id, job_id, metrics(0, 40, every=1))
        await seat.sees(lambda: "at step 40" in view.metrics.value)
        assert list(view.metric.options) == ["loss", "tokens"]
        assert "step 40<" not in view.log.value, "the chart shows metrics, the list of everything else does not"
        view.metric.value = "tokens"
        await seat.sees(lambda: "tokens 20,480 at step 40" in view.metrics.value)
        delivered_run.write_metrics(database, run_id, job_id, metrics(41, 60, every=1))
        await seat.sees(lambda: "tokens 30,720 at step 60" in view.metrics.value)
        assert "checkpoint at 47% is kept" in view.jobs.value
        assert "so far of 1 h 00 min paid" in view.jobs.value
        assert "so far" in view.head.value
        assert files.file.value == "try-1/output/metrics.jsonl", "one is chosen from the start"
        files.file.value = "try-1/output/out/sample.txt"
        await seat.click(files.link)
        assert base64.b64encode(delivered_run.CONTENTS["out/sample.txt"]).decode() in files.message.text
        await seat.click(files.save)
        assert f"gpuagent-files/{run_id}" in files.message.text
        database.jobs.update_one({"_id": job_id}, {"$set": {"files.0.sha256": "0" * 64}})
        await seat.sees(lambda: "00000000…" in files.table.value)
        files.file.value = "try-1/output/model.npz"
        await seat.click(files.link)
        assert "the file store has no file" in files.message.text

        sha256 = hashlib.sha256(delivered_run.CONTENTS["metrics.jsonl"]).hexdigest()
        database.jobs.update_one({"_id": job_id}, {"$set": {f"filesDeleted.{sha256}": STARTED_AT}})
        await seat.sees(lambda: "deleted since" in files.table.value)
        assert "try-1/output/metrics.jsonl" not in [place for _, place in files.file.options]
        other = await asyncio.to_thread(world.start)
        files.link.click()
        seat.console.open(other.run_id)
        await seat.console.settled()
        assert files.message.text == "", "a link belongs to the run that is open"
        assert "has no job file" in files.table.value

    at_console(scene, run_id)
    model = tmp_path / "gpuagent-files" / run_id / "try-1" / "output" / "model.npz"
    assert model.read_bytes() == delivered_run.MODEL


def test_many_metrics_are_read_evenly_and_the_last_of_a_job_always(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, job_id, database = delivering(world)
    delivered_run.write_metrics(database, run_id, job_id, metrics(0, 101, every=1))
    monkeypatch.setattr(glance, "METRICS_MAX", 20)
    rows = world.reads.glance(run_id, ("metric",)).metrics
    steps = [row["metric"]["step"] for row in rows]
    assert len(steps) in range(17, 22)
    assert steps[-1] == 101
    assert steps == sorted(steps)
    assert len({later - earlier for earlier, later in pairwise(steps[:-1])}) == 1
    assert len(world.reads.glance(run_id, ("metric",), limit=500).observations) > 100, "and in the log of progress"


def test_while_files_are_fetched_the_phase_says_so() -> None:
    job = STATES["underway"]().jobs[0]
    assert isinstance(job, Settled)
    run = replace(RUN, jobs=(replace(job, work=Collecting(Completed("v", 3.0), 2.0)),))
    assert activity(run) == "files are fetched"
    assert activity(replace(RUN, jobs=(job,))) != activity(run)
    documents: Any = SimpleNamespace(run={"phase": "WAITING"})
    assert "Phase WAITING: files are fetched" in phases(OpenRun(documents, StatusText(), STARTED_AT, activity(run)))
    assert "Phase WAITING: the vendor works" in phases(OpenRun(documents, StatusText(), STARTED_AT))


def test_a_paid_vendor_that_does_not_answer_is_not_said_to_work() -> None:
    job = STATES["underway"]().jobs[0]
    assert isinstance(job, Settled)
    works = (Owed(1.0), Owed(1.0, silent_since=2.0), Underway("v", 1.0, silent_since=2.0), Underway("v", 1.0))
    captions = [activity(replace(RUN, jobs=(replace(job, work=work),))) for work in works]
    assert captions == ["the vendor names no job yet", *["the vendor does not answer"] * 2, ""]
