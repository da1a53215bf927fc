"""The store of inputs: pieces, resumption, proof by SHA-256, bounds, and an hour of life."""

import hashlib
from collections.abc import Collection
from pathlib import Path

import pytest

from seller.work.inputs import Bounds, InputRefused, InputStore, StoreFull, TooLarge, WrongContent, WrongStart

CONTENT = b"0123456789"
NAME = hashlib.sha256(CONTENT).hexdigest()
EMPTY = hashlib.sha256(b"").hexdigest()


class Hour:
    """A clock, and the inputs that are needed."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.needed: Collection[str] = ()

    def store(self, folder: Path, **bounds: float) -> InputStore:
        return InputStore(folder, Bounds(**bounds), lambda: self.needed, lambda: self.now)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> InputStore:
    return Hour().store(tmp_path)


def test_pieces_become_a_file_and_a_cut_is_taken_up_again(store: InputStore, tmp_path: Path) -> None:
    assert store.received(NAME) == (0, False)
    assert store.put(NAME, 10, 0, CONTENT[:4]) == 4
    assert store.path(NAME) is None
    with pytest.raises(WrongStart) as refusal:
        store.put(NAME, 10, 6, CONTENT[6:])
    assert refusal.value.received == 4
    with (tmp_path / f"{NAME}.part").open("ab") as file:
        file.write(b"xx")  # a write that a kill cut off after these bytes, which were never counted
    assert store.put(NAME, 10, 4, CONTENT[4:]) == 10
    assert store.received(NAME) == (10, True)
    path = store.path(NAME)
    assert path is not None
    assert path.read_bytes() == CONTENT
    assert store.put(NAME, 10, 0, b"something else") == 10, "what is whole is not written again"
    assert path.read_bytes() == CONTENT


def test_an_empty_input(store: InputStore) -> None:
    assert store.put(EMPTY, 0, 0, b"") == 0
    assert store.received(EMPTY) == (0, True)


def test_after_a_restart_it_goes_on(tmp_path: Path) -> None:
    Hour().store(tmp_path).put(NAME, 10, 0, CONTENT[:7])
    again = Hour().store(tmp_path)
    assert again.received(NAME) == (7, False)
    again.put(NAME, 10, 7, CONTENT[7:])
    assert Hour().store(tmp_path).received(NAME) == (10, True)


def test_other_content_is_dropped(store: InputStore, tmp_path: Path) -> None:
    with pytest.raises(WrongContent):
        store.put(NAME, 10, 0, b"x" * 10)
    assert list(tmp_path.iterdir()) == []
    assert store.received(NAME) == (0, False)
    assert store.put(NAME, 10, 0, CONTENT) == 10


def test_bounds(tmp_path: Path) -> None:
    store = Hour().store(tmp_path, file=20, total=25, files=2)
    with pytest.raises(TooLarge):
        store.put(NAME, 21, 0, b"")
    with pytest.raises(TooLarge):
        store.put(NAME, 10, 0, CONTENT + b"x")
    store.put(NAME, 10, 0, CONTENT)
    store.put("a" * 64, 20, 0, b"x" * 15)
    with pytest.raises(StoreFull):
        store.put("a" * 64, 20, 15, b"x")
    with pytest.raises(StoreFull):
        store.put(EMPTY, 0, 0, b"")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 25


def test_an_hour_unpaid_and_as_long_as_it_is_needed(tmp_path: Path) -> None:
    hour = Hour()
    store = hour.store(tmp_path)
    store.put(NAME, 10, 0, CONTENT)
    store.put("a" * 64, 20, 0, b"x")
    hour.now += 3599
    store.sweep()
    assert store.received(NAME) == (10, True)
    hour.needed = {NAME}
    hour.now += 2
    store.put(EMPTY, 0, 0, b"")  # a new input makes room
    assert (store.received(NAME), store.received("a" * 64)) == ((10, True), (0, False))
    hour.needed = ()
    store.sweep()
    assert store.path(NAME) is None


@pytest.mark.parametrize("name", ["", "../x", "A" * 64, "a" * 63, f"{NAME}.part", NAME + "\n"])
def test_a_name_is_a_sha256(store: InputStore, name: str) -> None:
    for call in (lambda: store.received(name), lambda: store.path(name), lambda: store.put(name, 1, 0, b"x")):
        with pytest.raises(InputRefused):
            call()
