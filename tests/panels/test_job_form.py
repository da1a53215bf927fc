"""The form's job: pasted, uploaded with its inputs, or an example; what is wrong with it is said, nothing starts."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gpuagent.core.workload import from_canonical
from gpuagent.errors import BadInput
from gpuagent.panels.job_form import JobForm
from gpuagent.wire.download import Download
from gpuagent.wire.egress import egress
from gpuagent.wire.examples import example_jobs
from tests.panels.conftest import Seat
from tests.support.world import World

Play = Callable[..., None]
SCRIPT = b"print('by the form')\n"
JOB = "name: tiny\ncommand: python train.py\nmax_duration: 30m\ninputs: [{path: src/train.py, file: ./src/train.py}]\n"
DOWNLOAD = Download(egress({}))


def uploaded(**files: bytes) -> tuple[dict[str, Any], ...]:
    """The value of an upload as a browser sets it."""
    return tuple(
        {
            "name": name.replace("_", "."),
            "type": "",
            "size": len(content),
            "content": memoryview(content),
            "last_modified": datetime(2026, 1, 1, tzinfo=UTC),
        }
        for name, content in files.items()
    )


def test_a_job_is_started_from_the_form(world: World, at_console: Play) -> None:
    async def scene(seat: Seat) -> None:
        form = seat.console.launch_form
        form.job.upload.value = uploaded(job_yaml=JOB.encode(), train_py=SCRIPT)
        assert "tiny: 0.5 h of A100, 1 input; uploaded: train.py" in form.job.note
        assert (form.fields["goal"].widget.value, form.fields["hours"].widget.disabled) == ("", True)
        await seat.click(form.dry_run)
        assert hashlib.sha256(SCRIPT).hexdigest() in form.message.text
        await seat.click(form.launch)
        run = world.store.load(seat.console.run_id)
        assert (run.goal, run.max_hours) == ("tiny", Decimal("0.5"))
        assert from_canonical(run.workload).inputs[0].sha256 == hashlib.sha256(SCRIPT).hexdigest()
        await seat.sees(lambda: f"job tiny {from_canonical(run.workload).sha256[:12]}" in seat.screen())
        form.job.text.value = ""
        assert (form.fields["goal"].widget.value, form.fields["hours"].widget.disabled) == ("Fine-tune tiny-llm", False)

    at_console(scene)
    assert b"".join(world.ports.files.read(hashlib.sha256(SCRIPT).hexdigest())) == SCRIPT


def test_what_is_wrong_with_a_job_is_said_and_starts_nothing(world: World, at_console: Play) -> None:
    async def scene(seat: Seat) -> None:
        form = seat.console.launch_form
        form.job.text.value = "name: tiny\ncomand: <b>x</b>\n"
        assert "job:2: comand: there is no such field: did you mean command?" in form.job.note
        assert form.launch.disabled
        assert form.dry_run.disabled
        with pytest.raises(BadInput, match="job need attention"):
            form.order()
        form.job.text.value = JOB
        await seat.click(form.launch)
        assert "src/train.py: there is no file" in form.message.text

    at_console(scene)
    assert world.reads.runs() == []


def test_an_example_is_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    form = JobForm(lambda: None)
    assert "tiny_llm" in example_jobs()
    form.example.value = "tiny_llm"
    job = form.sealed(DOWNLOAD)
    assert job
    assert {entry.path for entry in job.workload.inputs} > {"train.py", "texts/start.md"}
    assert {str(entry.sha256) for entry in job.workload.inputs} == {*job.sources}
    for sha256, source in job.sources.items():
        assert hashlib.sha256(b"".join(source())).hexdigest() == sha256


def test_files_lie_below_the_notebook_and_uploads_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/train.py").write_bytes(b"beside the notebook\n")
    (tmp_path.parent / "outside.py").write_bytes(b"x")
    form = JobForm(lambda: None)
    assert form.sealed(DOWNLOAD) is None
    form.text.value = JOB
    job = form.sealed(DOWNLOAD)
    assert job
    assert job.workload.inputs[0].sha256 == hashlib.sha256(b"beside the notebook\n").hexdigest()
    form.upload.value = uploaded(train_py=SCRIPT)
    job = form.sealed(DOWNLOAD)
    assert job
    assert [b"".join(source()) for source in job.sources.values()] == [SCRIPT]
    form.text.value = JOB.replace("./src/train.py", "../outside.py")
    with pytest.raises(BadInput, match="lies outside of"):
        form.sealed(DOWNLOAD)
    form.text.value = JOB.replace("./src/train.py}", f"./src/train.py, sha256: {'0' * 64}}}")
    with pytest.raises(BadInput, match="the job file names 000"):
        form.sealed(DOWNLOAD)
