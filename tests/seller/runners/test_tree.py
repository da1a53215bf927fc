"""Folders as a hostile job leaves them: deep, full, linked, closed, and with files that have no name."""

import os
import signal
from pathlib import Path

import pytest

from seller.runners import JobOrder, RunnerError
from seller.runners.process import ProcessRunner
from seller.runners.processes import descendants
from seller.runners.tree import DEPTH_MAX, unlinked_bytes, usage, walk
from tests.support.eventually import eventually

DEEP = "i=0; while [ $i -lt 1500 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done"
"""Deeper than Python's own way of deleting a folder goes."""


def test_sizes_and_entries(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("/usr")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**12)
    size, entries = usage(tmp_path, 100)
    assert 100_000 <= size < 200_000, "what a file takes on the disk, and not what it says"
    assert entries == 4
    assert usage(tmp_path, 2)[1] == 3, "counting ends"
    assert usage(tmp_path / "missing", 2) == (0, 0)
    assert [name for name, _ in walk(tmp_path, "folder")] == ["link"]


def test_a_deep_folder_is_an_end_and_can_be_deleted(tmp_path: Path) -> None:
    runner = ProcessRunner(tmp_path / "jobs")
    runner.start(JobOrder("job-1", f"{DEEP}; cd /job; mkdir closed; touch closed/x; chmod 0 closed; sleep 80", 60.0))
    eventually(lambda: runner.state("job-1").phase == "ended")
    assert runner.state("job-1").reason == f"it made folders that are more than {DEPTH_MAX} deep"
    runner.forget("job-1")
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_file_without_a_name_counts(tmp_path: Path) -> None:
    held = unlinked_bytes([os.getpid()], tmp_path)
    with (tmp_path / "x").open("wb") as file:
        file.write(b"x" * 100_000)
        file.flush()
        (tmp_path / "x").unlink()
        assert usage(tmp_path, 100)[0] == 0
        unlinked = unlinked_bytes([os.getpid(), os.getpid(), 2**22 - 1], tmp_path) - held
        assert 100_000 <= unlinked < 200_000


def test_a_closed_folder_is_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seller that is not root cannot look into it, and so not bound it."""
    (tmp_path / "closed").mkdir()
    real = os.open

    def refused(path: object, *arguments: object, **options: object) -> int:
        if path == "closed":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(RunnerError, match="closed a folder, 'closed', to the seller"):
        usage(tmp_path, 100)


def test_a_job_ends_when_its_bubblewrap_is_killed(tmp_path: Path) -> None:
    runner = ProcessRunner(tmp_path / "jobs")
    runner.start(JobOrder("job-1", "sleep 81.5", 60.0))
    eventually(lambda: runner.state("job-1").phase == "running")
    (supervisor,) = tmp_path.glob("jobs/*/pid")
    bubblewrap = eventually(lambda: descendants(int(supervisor.read_text())))[0]
    os.kill(bubblewrap, signal.SIGKILL)
    eventually(lambda: runner.state("job-1").phase == "ended")
    assert (runner.state("job-1").exit_code, "from outside" in runner.state("job-1").reason) == (None, True)
