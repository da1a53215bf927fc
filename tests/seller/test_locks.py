"""Locks and memory of several processes: one holder at a time, freed by a kill, and nothing torn by one."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from seller.locks import KeyLocks, ProcessLock, ThreadLock
from seller.work.secrets import SharedSecrets
from tests.support.eventually import eventually


@contextmanager
def child(work: Callable[[], object]) -> Iterator[None]:
    """A child process that has done this, and then waits: it is killed at the end of the block."""
    done, doing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            work()
            os.write(doing, b".")
            signal.pause()
        finally:
            os._exit(1)
    os.close(doing)
    try:
        assert os.read(done, 1) == b"."
        yield
    finally:
        os.close(done)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_key_is_one_processes_until_it_is_killed(tmp_path: Path) -> None:
    locks = KeyLocks(tmp_path)
    acquired, stack = Event(), ExitStack()

    def take() -> None:
        with locks.hold("vendor", "key"):
            acquired.set()

    thread = Thread(target=take)
    with child(lambda: stack.enter_context(locks.hold("vendor", "key"))):
        thread.start()
        with locks.hold("vendor", "another key"):
            pass
        assert not acquired.is_set()
    thread.join(60)
    assert acquired.is_set()


def test_keys_of_one_process_wait_for_none_but_themselves() -> None:
    locks, acquired = KeyLocks(), Event()

    def take() -> None:
        with locks.hold("vendor", "key 7"):
            acquired.set()

    thread = Thread(target=take)
    with ExitStack() as stack:
        for number in range(5_000):
            stack.enter_context(locks.hold("vendor", f"key {number}"))
        thread.start()
        assert not acquired.wait(0.05), "its own key is held"
    thread.join(60)
    assert acquired.is_set()


def test_a_file_that_cannot_be_opened_leaves_no_lock_behind(tmp_path: Path) -> None:
    """As where the process has as many files open as it may."""
    lock = ProcessLock(tmp_path / "missing" / "lock")
    with pytest.raises(FileNotFoundError), lock.hold():
        pytest.fail("it is not held")
    (tmp_path / "missing").mkdir()
    with lock.hold():
        pass


@pytest.mark.parametrize("shared", [True, False])
def test_numbers_are_kept_between_holders(tmp_path: Path, shared: bool) -> None:
    lock = ProcessLock(tmp_path / "lock", 2) if shared else ThreadLock(2)
    with lock.hold() as numbers:
        assert (numbers[0], numbers[1]) == (0, 0)
        numbers[1] = 2**40
    with lock.hold() as numbers:
        assert (numbers[0], numbers[1]) == (0, 2**40)


def test_numbers_are_those_of_a_process_and_its_forks(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path / "lock", 1)

    def count_up() -> None:
        with lock.hold() as numbers:
            numbers[0] += 7

    with child(count_up):
        pass
    with lock.hold() as numbers:
        assert numbers[0] == 7


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SharedSecrets]:
    with closing(SharedSecrets(ProcessLock(tmp_path / "secrets", 1))) as store:
        yield store


def test_secrets_outlive_the_process_that_took_them(store: SharedSecrets, tmp_path: Path) -> None:
    with child(lambda: store.put("vendor", "key", {"TOKEN": "hf_value", "OTHER": "ü"})):
        pass
    assert store.get("vendor", "key") == {"TOKEN": "hf_value", "OTHER": "ü"}
    assert store.get("vendor", "another key") == {}
    with child(lambda: store.drop("vendor", "key")):
        pass
    assert store.get("vendor", "key") == {}
    store.drop("vendor", "key")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b""], "they are in no file"


def test_a_kill_while_secrets_are_written_loses_none(store: SharedSecrets) -> None:
    def write_without_end() -> None:
        for number in range(1_000_000_000):
            store.put("vendor", "other", {"TOKEN": "x" * (number % 100_000)})

    store.put("vendor", "key", {"TOKEN": "hf_value"})
    for _ in range(10):
        with child(Thread(target=write_without_end, daemon=True).start):
            eventually(lambda: store.get("vendor", "other"))
        assert store.get("vendor", "key") == {"TOKEN": "hf_value"}
        store.drop("vendor", "other")
