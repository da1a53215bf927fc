"""`gpuagent run files`, `run logs` and `files sweep`, on the documents of a run whose work travelled."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from gpuagent.core.model import Run
from tests.support import delivered_run
from tests.support.delivered_run import CONTENTS, MODEL, PROGRESS
from tests.support.world import World

Command = Callable[..., Result]


@pytest.fixture
def run(world: World) -> Run:
    """A run whose second job delivered."""
    world.market.outcomes("gpu_vendor_1", "0")
    run = world.finish(world.start(budget=5))
    delivered_run.deliver(world.store.connection.database, world.ports.files, run.run_id)
    return run


def files(gpuagent: Command, run: Run, *options: str) -> Result:
    return gpuagent("run", "files", run.run_id, *options, COLUMNS="300")


def test_files_are_listed_and_saved_as_they_came(
    run: Run, gpuagent: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = files(gpuagent, run).stdout
    digest = hashlib.sha256(MODEL).hexdigest()
    for text in ("model.npz", digest, "gpu_vendor_2", "checkpoint", "progress.json"):
        assert text in table
    listed = json.loads(files(gpuagent, run, "--json", "--kind", "output").stdout)["files"]
    assert {file["path"]: file["bytes"] for file in listed} == {path: len(c) for path, c in CONTENTS.items()}
    assert digest in files(gpuagent, run, "--get", "model.npz").stdout
    assert Path("model.npz").read_bytes() == MODEL
    files(gpuagent, run, "--get", "progress.json", "-o", "elsewhere.json")
    assert Path("elsewhere.json").read_bytes() == PROGRESS
    files(gpuagent, run, "--all", "results")
    results = {str(path.relative_to("results")): path.read_bytes() for path in Path("results").rglob("*.*")}
    assert results == CONTENTS
    assert not list(tmp_path.rglob("*.part*"))


def test_slips_are_explained_and_write_nothing(run: Run, gpuagent: Command, tmp_path: Path, world: World) -> None:
    place = tmp_path / "here"
    for options, words in (
        (("--get", "model.npy"), "the run has no file 'model.npy'"),
        (("--get", "model.npz", "--all", str(place)), "write --get PATH"),
        (("-o", str(place)), "write --get PATH"),
        (("--get", "model.npz", "-o", "/proc/none/model"), "cannot be written"),
        (("--get", "model.npz", "--vendor", "gpu_vendor_1"), "the run has no file"),
    ):
        result = files(gpuagent, run, *options)
        assert result.exit_code != 0
        assert words in result.stderr
    assert not place.exists()
    place.mkdir()
    (place / "out").symlink_to(tmp_path)
    assert "leads out of" in files(gpuagent, run, "--all", str(place)).stderr
    world.ports.files.delete(hashlib.sha256(MODEL).hexdigest())
    assert "the file store has no file" in files(gpuagent, run, "--get", "model.npz", "-o", str(place / "m")).stderr
    assert not (place / "m").exists()


def test_logs_are_those_of_the_run_by_vendor(run: Run, gpuagent: Command, world: World) -> None:
    lines = gpuagent("run", "logs", run.run_id, "--follow").stdout.splitlines()
    assert len(lines) == len(world.observations(run, "job_log"))
    second = gpuagent("run", "logs", run.run_id, "--vendor", "gpu_vendor_2", "--json").stdout.splitlines()
    assert {json.loads(line)["vendorId"] for line in second} == {"gpu_vendor_2"}
    assert 0 < len(second) < len(lines)


def test_retention_by_command(run: Run, gpuagent: Command, world: World) -> None:
    sweep = json.loads(gpuagent("files", "sweep", "--json").stdout)
    assert (sweep["files"], sweep["fileBytes"]) == ([], 0)
    changed = gpuagent("policy", "set", "--keep-files-max", "1kB", "--why", "a full disk")
    assert changed.exit_code == 0, changed.output
    plan = json.loads(gpuagent("files", "sweep", "--dry-run", "--json").stdout)
    assert len(plan["files"]) == len(CONTENTS) + 2
    assert world.ports.files.size(hashlib.sha256(MODEL).hexdigest()) == len(MODEL), "a dry run deletes nothing"


def test_observations_are_archived_by_the_policy_and_restored(
    run: Run, gpuagent: Command, world: World, tmp_path: Path
) -> None:
    where = {"FILE_STORE": f"file://{tmp_path}/files", "COLUMNS": "200"}
    observations = world.reads.documents(run.run_id)["observations"]
    assert "gpuagent policy set --keep-observations" in gpuagent("run", "archive", **where).stdout
    world.allow(keep_observations_s=1)
    world.store.connection.database.runs.update_many({}, {"$set": {"updatedAt": delivered_run.STARTED_AT}})
    assert gpuagent("run", "archive", "--dry-run", **where).stdout == "would archive the observations of 1 run\n"
    report = json.loads(gpuagent("run", "archive", "--json", **where).stdout)
    assert (report["runs"], report["observations"]) == ([run.run_id], len(observations))
    assert f"gpuagent run restore {run.run_id}" in gpuagent("run", "status", run.run_id, **where).stdout
    assert f"run {run.run_id} put back into the database" in gpuagent("run", "restore", run.run_id, **where).stdout
    assert world.reads.documents(run.run_id)["observations"] == observations
