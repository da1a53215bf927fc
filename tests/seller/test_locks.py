"""Locks and memory of several processes: one holder at a time, freed by a kill, and nothing torn by one."""

import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from seller.locks import Election, KeyLocks, LockedFile, LockedMemory, read_number, write_number
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
    held, kept = Event(), ExitStack()

    def take() -> None:
        with locks.hold("vendor", "key"):
            held.set()

    thread = Thread(target=take)
    with child(lambda: kept.enter_context(locks.hold("vendor", "key"))):
        thread.start()
        with locks.hold("vendor", "another key"):
            pass
        assert not held.is_set()
    thread.join(10)
    assert held.is_set()


def test_one_process_is_elected_until_it_is_killed(tmp_path: Path) -> None:
    election, elsewhere = (Election(tmp_path / "place") for _ in range(2))
    with child(lambda: check(elsewhere.is_won())):
        assert not election.is_won()
    assert election.is_won()
    assert election.is_won()
    other = Election(tmp_path / "place")
    assert not other.is_won()
    election.close()
    assert other.is_won()
    other.close()


def check(holds: bool) -> None:
    assert holds


@pytest.mark.parametrize("shared", [True, False])
def test_a_number_is_kept_between_holders(tmp_path: Path, shared: bool) -> None:
    content = LockedFile(tmp_path / "number") if shared else LockedMemory()
    with content.hold() as held:
        assert read_number(held) == 0
        write_number(held, 1_000)
        write_number(held, 7)
    with content.hold() as held:
        assert read_number(held) == 7


def test_a_number_that_was_cut_off_is_none() -> None:
    assert read_number(io.BytesIO(b"")) == 0
    assert read_number(io.BytesIO(b"12x")) == 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SharedSecrets]:
    with closing(SharedSecrets(LockedFile(tmp_path / "secrets"))) as store:
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
