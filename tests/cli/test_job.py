"""`gpuagent job`: checks, imports and describes job files."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gpuagent.cli import app

JOB = "name: tiny\ncommand: python train.py\ninputs: [{path: train.py, file: train.py}]\n"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["job", *arguments], env={"COLUMNS": "200"})


@pytest.fixture
def job(tmp_path: Path) -> str:
    (tmp_path / "train.py").write_text("print(1)\n")
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return str(path)


def test_a_sound_job_file_is_said_to_be_sound(job: str) -> None:
    plain, document = invoke("check", job), json.loads(invoke("check", job, "-e", "EPOCHS=3", "--json").stdout)
    assert plain.exit_code == 0
    assert "is sound: tiny, 1 h of A100" in plain.stdout
    assert document["workload"]["env"] == {"EPOCHS": "3"}
    assert document["sha256"] not in plain.stdout, "another variable is another workload"


def test_check_says_what_is_wrong(job: str) -> None:
    Path(job).write_text("name: tiny\ncomand: x\n")
    result = invoke("check", job)
    assert result.exit_code == 2
    assert "job.yaml:2: comand: there is no such field: did you mean command?" in result.stderr


def test_a_variable_needs_a_value(job: str) -> None:
    result = invoke("check", job, "-e", "EPOCHS")
    assert (result.exit_code, "write NAME=VALUE" in result.stderr) == (2, True)


def test_the_schema_is_printed_as_json() -> None:
    assert json.loads(invoke("schema").stdout)["properties"]["command"]


def test_an_imported_task_is_a_sound_job_file(tmp_path: Path, job: str) -> None:
    (tmp_path / "task.yaml").write_text("name: Tiny\nrun: python train.py\nfile_mounts: {train.py: train.py}\n")
    imported = invoke("import", str(tmp_path / "task.yaml"))
    assert imported.exit_code == 0
    Path(job).write_text(imported.stdout)
    assert invoke("check", job).exit_code == 0
    assert invoke("import", str(tmp_path / "none.yaml")).exit_code == 2
