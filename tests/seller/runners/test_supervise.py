"""The supervisor of a job, with programs of its test's own: when paid time begins, and what bounds a process without a
control group.
"""

import io
import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from seller.runners import Limits, RunnerError, supervise
from seller.runners.cgroup import Cgroup
from seller.runners.job_folder import JobFolder
from seller.runners.process_program import ProcessProgram
from seller.runners.supervise import Supervision
from tests.support.eventually import eventually

ORDER = {"command": "run", "setup": "", "outputs": [], "checkpoint": "", "durationS": 60.0}


class FakeProgram:
    """A program that has ended with 0 unless it is to go on."""

    def __init__(self, goes_on: bool = False, error: Exception | None = None) -> None:
        self.goes_on, self.error, self.is_ended = goes_on, error, False

    def wait(self, seconds: float) -> bool:
        return not self.goes_on

    def processes(self) -> list[int]:
        return []

    def problem(self) -> str:
        if self.error:
            raise self.error
        return ""

    def end(self) -> None:
        self.is_ended = True

    def result(self) -> tuple[int | None, str]:
        return 0, ""


class FakeIsolation:
    """Programs as they are given. preparation: what happens meanwhile."""

    def __init__(self, *programs: FakeProgram, preparation: Callable[[], str] = str) -> None:
        self.programs, self.preparation = list(programs), preparation

    def prepare(self, reason_to_end: Callable[[], str]) -> str:
        return self.preparation()

    def launch(self, command: str | Sequence[str], secrets: Mapping[str, str]) -> FakeProgram:
        if not self.programs:
            raise RunnerError("no more programs")
        return self.programs.pop(0)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    folder = JobFolder(tmp_path)
    folder.work.mkdir()
    folder.checkpoints.mkdir()
    folder.log.touch()
    return folder


@pytest.fixture
def run(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int | None, str]]:
    def run(
        isolation: FakeIsolation,
        limits: Limits = Limits(),  # noqa: B008
        clock: Callable[[], float] = time.monotonic,
        **order: object,
    ) -> tuple[int | None, str]:
        monkeypatch.setattr(supervise, "open_isolation", lambda *_: isolation)
        document = {**ORDER, "limits": {name: getattr(limits, name) for name in limits.__slots__}, **order}
        return Supervision(folder, document, None, clock).run({})

    return run


def test_the_paid_time_begins_after_the_pull(run: Callable[..., tuple[int | None, str]]) -> None:
    hours = [0.0]

    def clock() -> float:
        return hours[0] * 3600

    def pull() -> str:
        hours[0] += 1
        return ""

    program = FakeProgram(goes_on=True)
    program.problem = lambda: "reached"  # type: ignore[method-assign]
    assert run(FakeIsolation(program, preparation=pull), clock=clock) == (None, "reached"), (
        "an hour of pulling is not the buyer's"
    )
    hours[0] = 0.0

    def work() -> str:
        hours[0] += 0.4 / 60
        return "worked on and on" if hours[0] > 1 else ""

    program.problem = work  # type: ignore[method-assign]
    assert run(FakeIsolation(program), clock=clock) == (None, "the paid time has ended")
    assert program.is_ended


def test_a_machine_whose_clock_is_set_takes_no_paid_time_away(
    run: Callable[..., tuple[int | None, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    program, days, waits = FakeProgram(goes_on=True), count(), iter([False, False, True])
    monkeypatch.setattr("time.time", lambda: next(days) * 86_400.0)
    program.wait = lambda seconds: next(waits)  # type: ignore[method-assign]
    assert run(FakeIsolation(program)) == (0, "")


def test_what_is_not_to_be_had_starts_nothing(run: Callable[..., tuple[int | None, str]]) -> None:
    isolation = FakeIsolation(FakeProgram(), preparation=lambda: "no such image")
    assert run(isolation) == (None, "no such image")
    assert isolation.programs


def test_a_supervisor_that_fails_ends_the_program(run: Callable[..., tuple[int | None, str]]) -> None:
    program = FakeProgram(goes_on=True, error=OSError("the disk is full"))
    assert run(FakeIsolation(program)) == (None, "it could not be started: the disk is full")
    assert program.is_ended


@pytest.mark.parametrize(
    ("content", "limits", "words"),
    [
        ("x" * 100_000, Limits(disk=50_000), "it used more than 0 MB of disk"),
        ("x", Limits(files=1), "it made more than 1 files"),
        ("x", Limits(disk=10**9), ""),
    ],
)
def test_the_folder_is_looked_at(
    run: Callable[..., tuple[int | None, str]], folder: JobFolder, content: str, limits: Limits, words: str
) -> None:
    for name in ("a", "b"):
        (folder.work / name).write_text(content)
    program = FakeProgram(goes_on=True)
    waits = iter([False, True])
    program.wait = lambda seconds: next(waits)  # type: ignore[method-assign]
    assert run(FakeIsolation(program), limits)[1] == words


def test_outputs_are_bounded(run: Callable[..., tuple[int | None, str]], folder: JobFolder) -> None:
    (folder.work / "a").write_bytes(b"x" * 3_000_000)
    (folder.work / "link").symlink_to("a")
    limits = Limits(outputs=4_000_000)
    assert run(FakeIsolation(FakeProgram()), limits, outputs=["a", "a", "link", "missing"]) == (0, "")
    (folder.work / "b").write_bytes(b"x" * 3_000_000)
    words = "its outputs are 6 MB, and this seller delivers 4"
    assert run(FakeIsolation(FakeProgram()), limits, outputs=["a", "b"]) == (None, words)


@pytest.mark.parametrize(
    ("limits", "words"),
    [(Limits(pids=6), "it ran more than 6 processes"), (Limits(memory=3_000_000), "more than its memory (3 MB)")],
)
def test_without_a_control_group_processes_are_watched(limits: Limits, words: str) -> None:
    argv = ["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 79 & done; wait"]
    program = ProcessProgram(subprocess.Popen(argv, start_new_session=True), Cgroup({}), limits)
    eventually(program.problem)
    assert words in program.problem()
    begin = time.monotonic()
    program.end()
    assert time.monotonic() - begin < 40
    program.result()
    assert program.processes()[1:] == []


@pytest.mark.parametrize("handed_over", [b"", b'{"TOKEN": "hal', b'{"OTHER": "x"}'])
def test_without_its_secrets_a_job_never_runs(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch, handed_over: bytes
) -> None:
    """A seller that is killed while it starts a job leaves its supervisor with a part of them, or with none."""
    folder.order.write_text(json.dumps({**ORDER, "secrets": ["TOKEN"]}))
    monkeypatch.setattr(supervise.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(handed_over)))
    monkeypatch.setattr(supervise, "open_isolation", lambda *_: pytest.fail("it runs"))
    supervise.main(folder, None)
    end = json.loads(folder.ended.read_text())
    assert (end["exitCode"], end["reason"]) == (None, supervise.SECRETS_LOST)
