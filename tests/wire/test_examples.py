"""The examples come with the program, whole: a wheel has each file that their jobs name."""

import tomllib
from pathlib import Path

from gpuagent.wire.examples import example_jobs, root_of
from gpuagent.wire.job_file import load_job
from tests.support.documents import ROOT


def test_the_wheel_has_every_file_of_the_examples() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    jobs = example_jobs()
    assert jobs
    for job in jobs.values():
        _, files = load_job(job, {})
        for file in (job, *files.values()):
            path = file.relative_to(ROOT)
            assert any(included.get(str(part)) == f"gpuagent/{part}" for part in (path, *path.parents)), path


def test_another_job_reads_its_own_folder_alone(tmp_path: Path) -> None:
    assert root_of(tmp_path / "job.yaml") == tmp_path.resolve()
    assert root_of(ROOT / "job.yaml") == ROOT.resolve()
    (job,) = [path for path in example_jobs().values() if path.parent.name == "tiny_llm"]
    assert root_of(job) == ROOT.resolve()
