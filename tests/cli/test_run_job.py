"""`gpuagent run` with a job file: its inputs are kept, its name is shown, and a dry run says what would be sent."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from gpuagent.core.workload import from_canonical
from tests.support.world import World

SCRIPT = "print('by the command line')\n"
JOB = """\
name: tiny
command: python train.py
env: {EPOCHS: "3"}
max_duration: 90m
inputs: [{path: train.py, file: train.py}]
"""
BUDGET = ("--budget", "5")
Command = Callable[..., Result]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    (folder / "job.yaml").write_text(JOB)
    return folder / "job.yaml"


def refused(world: World, result: Result) -> str:
    """Nothing was written: no run."""
    assert result.exit_code == 2, result.output
    assert world.reads.runs() == []
    return result.stderr


def test_a_run_of_a_job_file(world: World, gpuagent: Command, job: Path) -> None:
    started = gpuagent("run", "start", "--job", str(job), *BUDGET, "-e", "EPOCHS=9", "-e", "SEED=1", "--json")
    run = json.loads(started.stdout)["run"]
    workload = from_canonical(run["workload"])
    assert (run["goal"], run["maxHours"], workload.env) == ("tiny", 1.5, {"EPOCHS": "9", "SEED": "1"})
    digest = hashlib.sha256(SCRIPT.encode()).hexdigest()
    assert b"".join(world.ports.files.read(digest)) == SCRIPT.encode()
    shown = gpuagent("run", "status", run["_id"]).stdout
    assert f"job tiny {run['workloadHash'][:12]}" in shown


def test_a_dry_run_says_what_would_be_sent_to_whom(world: World, gpuagent: Command, job: Path) -> None:
    job.write_text(JOB + "secrets: [HF_TOKEN]\nimage: python:3.12-slim\n")
    result = gpuagent("run", "dry-run", "--job", str(job), COLUMNS="300", HF_TOKEN="hf_not_shown")
    digest = hashlib.sha256(SCRIPT.encode()).hexdigest()
    for text in ("python:3.12-slim", "python train.py", f"29 bytes, SHA-256 {digest}", "HF_TOKEN", "EPOCHS=3",
                 "no vendor: none is trusted", "nothing was signed"):  # fmt: skip
        assert text in result.stdout
    assert "hf_not_shown" not in result.output
    assert world.reads.runs() == []
    assert world.ports.files.size(digest) is None
    job.write_text(JOB)
    document = json.loads(gpuagent("run", "dry-run", "--job", str(job), "--json").stdout)
    assert document["job"]["goesTo"] == ["gpu_vendor_1", "gpu_vendor_2", "gpu_vendor_3"]
    several = gpuagent("run", "start", "--dry-run", "--job", str(job), *BUDGET, "--count", "2", "--json")
    assert json.loads(several.stdout)["jobs"] == 2
    again = gpuagent("run", "start", "--dry-run", "--job", str(job), *BUDGET, "--json")
    assert json.loads(again.stdout)["job"] == document["job"]
    assert world.reads.runs() == []


def test_a_delay_after_which_jobs_are_hedged(world: World, gpuagent: Command, job: Path) -> None:
    start = ("run", "start", *BUDGET, "--goal", "x")
    assert "no duration" in refused(world, gpuagent(*start, "--hedge-after", "soon"))
    assert "say the unit: 15s, 15m or 15h" in refused(world, gpuagent(*start, "--hedge-after", "15"))
    assert "2 times from the beginning" in refused(world, gpuagent(*start, "--hedge-after", "60s", "--open-jobs", "2"))
    assert "hedged when 15 min late" in gpuagent(*start, "--hedge-after", "15m").stdout
    (run,) = world.reads.runs()
    like = ("run", "start", "--like", str(run["_id"]))
    assert "hedged when 15 min late" in gpuagent(*like).stdout
    assert "hedged" not in gpuagent(*like, "--hedge-after", "0").stdout


def test_slips_are_explained_and_start_nothing(world: World, gpuagent: Command, job: Path) -> None:
    start = ("run", "start", *BUDGET)
    assert "--job FILE with what is to run" in refused(world, gpuagent(*start))
    assert "write NAME=VALUE" in refused(world, gpuagent(*start, "--job", str(job), "-e", "EPOCHS"))
    assert "name it by --job" in refused(world, gpuagent(*start, "--goal", "x", "-e", "A=1"))
    assert "looks like a secret" in refused(world, gpuagent(*start, "--job", str(job), "-e", "API_KEY=hunter2"))
    assert "the order for 1:" in refused(world, gpuagent(*start, "--job", str(job), "--hours", "1"))
    assert "the order for H100" in refused(world, gpuagent(*start, "--job", str(job), "--gpu", "H100"))
    assert "one of the two" in refused(world, gpuagent("run", "dry-run"))
    assert "one of the two" in refused(world, gpuagent("run", "dry-run", "a" * 24, "--job", str(job)))
    (job.parent / "train.py").unlink()
    assert "train.py: there is no file" in refused(world, gpuagent(*start, "--job", str(job)))
    (job.parent / "train.py").mkdir()
    assert "is a folder: name each of its files" in refused(world, gpuagent(*start, "--job", str(job)))


def test_inputs_lie_below_the_job_file_or_below_a_root_that_the_user_names(
    world: World, gpuagent: Command, job: Path
) -> None:
    outside = job.parent.parent / "key.pem"
    outside.write_text("private\n")
    link = job.parent / "link.py"
    link.symlink_to(outside)
    for file in ("../key.pem", str(outside), "link.py"):
        job.write_text(JOB.replace("file: train.py", f"file: {file}"))
        assert "lies outside of" in refused(world, gpuagent("run", "start", *BUDGET, "--job", str(job)))
    (job.parent / "near.py").symlink_to(job.parent / "train.py")
    job.write_text(JOB.replace("file: train.py", "file: near.py"))
    assert gpuagent("job", "check", str(job)).exit_code == 0
    job.write_text(JOB.replace("file: train.py", "file: ../key.pem"))
    result = gpuagent("run", "start", *BUDGET, "--job", str(job), "--root", str(job.parent.parent))
    assert result.exit_code == 0, result.output


def test_a_run_is_started_like_another_but_for_what_is_said(world: World, job: Path, gpuagent: Command) -> None:
    first = json.loads(
        gpuagent("run", "start", "--job", str(job), "--budget", "4", "--tag", "x", "--open-jobs", "2", "--json").stdout
    )["run"]
    again = json.loads(gpuagent("run", "start", "--like", first["_id"], "--json").stdout)["run"]
    kept = ("goal", "budgetTotal", "gpuType", "maxHours", "workloadHash", "tags", "jobsOpenMax", "vendorIds", "planner")
    assert [again[name] for name in kept] == [first[name] for name in kept]
    changed = gpuagent(
        "run", "start", "--like", first["_id"], "--budget", "2", "--goal", "b", "--tag", "y", "--user", "eve", "--json"
    )
    run = json.loads(changed.stdout)["run"]
    assert (run["budgetTotal"], run["goal"], run["tags"], run["userId"]) == ("2000000", "b", ["y"], "eve")
    assert "no run" in gpuagent("run", "start", "--like", "0" * 24).output
    assert "--budget USD" in gpuagent("run", "start", "--goal", "x").output
    assert len(world.reads.runs()) == 3


def test_lists_are_filtered_sorted_and_turned(world: World, gpuagent: Command) -> None:
    ids = [world.start(budget=5 - number, user_id=f"u{number % 2}").run_id for number in range(4)]

    def listed(*options: str) -> list[int]:
        runs = json.loads(gpuagent("run", "list", "--json", *options).stdout)["runs"]
        return [ids.index(run["_id"]) for run in runs]

    assert listed("--user", "u1") == [3, 1]
    assert listed("--sort", "budget") == [0, 1, 2, 3]
    assert listed("--sort", "budget:asc", "--limit", "2") == [3, 2]
    assert listed("--status", "running", "--phase", "planning", "--text", ids[2]) == [2]
    assert listed("--tag", "none") == []
    page = json.loads(gpuagent("run", "list", "--json", "--limit", "3", "--sort", "budget").stdout)
    assert listed("--sort", "budget", "--before", page["next"]) == [3]
    text = gpuagent("run", "list", "--limit", "3").output
    assert f"next page: --before {ids[1]}" in text
    assert listed("--before", ids[1]) == [0]
    assert "no run matches" in gpuagent("run", "list", "--vendor", "gpu_vendor_1").output
    for wrong in (("--status", "over"), ("--sort", "goal"), ("--before", "x")):
        assert gpuagent("run", "list", *wrong).exit_code == 2
