"""The parent of worker processes: one worker at a place at a time, replaced however it ends, none without a parent."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from seller.command import stop_cleanly
from seller.errors import BadSetting, Unreadable
from seller.workers import DRAINED, FAILED, MISCONFIGURED, Alive, run_workers
from tests.support.eventually import eventually

LOOK_S = 0.03
Places = dict[int, psutil.Process]


class Parent:
    """A process that runs workers, each of which notes its place in a file of its own."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.process, self._folder = psutil.Process(pid), folder

    def workers(self) -> Places:
        """Those that serve, by place."""
        serving = {child.pid: child for child in self.process.children()}
        notes = [(int(path.name), int(path.read_text() or 0)) for path in self._folder.glob("[0-9]")]
        return {place: serving[pid] for place, pid in notes if pid in serving}

    def both(self) -> Places:
        return eventually(lambda: places if len(places := self.workers()) == 2 else None)

    def replaced(self, place: int, before: psutil.Process) -> psutil.Process:
        return eventually(lambda: new if (new := self.workers().get(place)) and new != before else None)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code, minus the signal that has killed it."""
        os.kill(self.process.pid, number)
        return self.exit_code()

    def exit_code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.process.pid, 0)[1])


def serve(folder: Path) -> Callable[[int, Alive], bool]:
    """Work that does nothing, until there is a file that has it drain."""

    def work(place: int, alive: Alive) -> bool:
        (folder / str(place)).write_text(str(os.getpid()))
        while not (folder / "drain").exists() or place:
            alive()
            time.sleep(LOOK_S / 4)
        return True

    return work


@contextmanager
def parent(folder: Path, work: Callable[[int, Alive], bool] | None = None) -> Iterator[Parent]:
    pid = os.fork()
    if not pid:
        _be_parent(folder, work or serve(folder))
    started = Parent(pid, folder)
    try:
        yield started
        if started.process.is_running():
            workers = started.process.children()
            assert started.end() == 0
            assert not [worker for worker in workers if worker.is_running()], "it ends last"
    finally:
        with suppress(ChildProcessError, ProcessLookupError):
            os.waitpid(pid, os.WNOHANG)
            os.kill(pid, signal.SIGKILL)  # of a test that has failed
            os.waitpid(pid, 0)


def _be_parent(folder: Path, work: Callable[[int, Alive], bool]) -> NoReturn:
    code: object = FAILED
    try:
        stop_cleanly()
        run_workers(2, work, (folder / "ready").touch, (folder / "ending").touch, LOOK_S)
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        os._exit(code if isinstance(code, int) else FAILED)


def test_a_worker_that_is_killed_is_replaced_at_its_place(tmp_path: Path) -> None:
    with parent(tmp_path) as running:
        workers = running.both()
        eventually((tmp_path / "ready").exists)
        for place in (0, 1):
            workers[place].kill()
            running.replaced(place, workers[place])
        assert running.process.num_threads() == 1, "a fork of several threads may be born with a lock that nobody frees"


@pytest.mark.safety("A worker process of a seller hangs with what the others wait for: it is killed, and replaced")
def test_a_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    with parent(tmp_path) as running:
        workers = running.both()
        eventually((tmp_path / "ready").exists)
        workers[1].suspend()
        running.replaced(1, workers[1])


@pytest.mark.safety("The parent of a seller's workers is killed: no worker outlives it, not even one that hangs")
def test_no_worker_outlives_its_parent(tmp_path: Path) -> None:
    with parent(tmp_path) as running:
        workers = running.both()
        workers[1].suspend()
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
        _, alive = psutil.wait_procs([*workers.values()], timeout=60)
        for process in alive:
            process.kill()
        assert not alive


def test_one_that_has_drained_the_seller_ends_all(tmp_path: Path) -> None:
    with parent(tmp_path) as running:
        workers = running.both()
        eventually((tmp_path / "ready").exists)
        (tmp_path / "drain").touch()
        assert running.exit_code() == 0
        assert (tmp_path / "ending").exists()
        assert not [worker for worker in workers.values() if worker.is_running()]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadSetting("no"), MISCONFIGURED),
        (Unreadable("no"), FAILED),
        (ValueError("no"), FAILED),
        (SystemExit(0), FAILED),
    ],
)
def test_where_a_worker_cannot_start_the_parent_ends_like_it(tmp_path: Path, error: BaseException, code: int) -> None:
    def work(place: int, alive: Alive) -> bool:
        if place:
            raise error
        return serve(tmp_path)(place, alive)

    with parent(tmp_path, work) as running:
        assert running.exit_code() == code
        assert not (tmp_path / "ready").exists()


def test_how_a_worker_ends_says_whether_the_seller_is_drained() -> None:
    assert DRAINED not in {0, FAILED, MISCONFIGURED, *range(-64, 0)}
