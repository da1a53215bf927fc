"""The store of inputs: pieces, resumption, proof by SHA-256, bounds, and an hour of life."""

import hashlib
from collections.abc import Collection
from pathlib import Path

import pytest

from seller.work.inputs import (
    SWEEP_S,
    Bounds,
    InputRefused,
    InputStore,
    StoreFull,
    TooLarge,
    WrongContent,
    WrongStart,
    _name,
)

CONTENT = b"0123456789"
NAME = hashlib.sha256(CONTENT).hexdigest()
KEY, OTHER_KEY = "of-this-order-0001", "of-another-order-1"
EMPTY = hashlib.sha256(b"").hexdigest()


class Hour:
    """A clock, and the inputs that are needed."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.needed: Collection[tuple[str, str]] = ()

    def store(self, folder: Path, **bounds: float) -> InputStore:
        return InputStore(folder, Bounds(**bounds), lambda: self.needed, lambda: self.now)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> InputStore:
    return Hour().store(tmp_path)


def test_pieces_become_a_file_and_a_cut_is_taken_up_again(store: InputStore, tmp_path: Path) -> None:
    assert store.received(KEY, NAME) == (0, False)
    assert store.put(KEY, NAME, 10, 0, CONTENT[:4]) == 4
    assert store.path(KEY, NAME) is None
    with pytest.raises(WrongStart) as refusal:
        store.put(KEY, NAME, 10, 6, CONTENT[6:])
    assert refusal.value.received == 4
    with (tmp_path / f"{_name(KEY, NAME)}.part").open("ab") as file:
        file.write(CONTENT[4:6])  # all of a piece that a kill left, in this process or another
    with pytest.raises(WrongStart) as refusal:
        store.put(KEY, NAME, 10, 4, CONTENT[4:])
    assert refusal.value.received == 6
    assert store.put(KEY, NAME, 10, 6, CONTENT[6:]) == 10
    assert store.received(KEY, NAME) == (10, True)
    path = store.path(KEY, NAME)
    assert path is not None
    assert path.read_bytes() == CONTENT
    assert store.put(KEY, NAME, 10, 0, b"something else") == 10, "what is whole is not written again"
    assert path.read_bytes() == CONTENT


def test_an_empty_input(store: InputStore) -> None:
    assert store.put(KEY, EMPTY, 0, 0, b"") == 0
    assert store.received(KEY, EMPTY) == (0, True)


def test_after_a_restart_it_goes_on(tmp_path: Path) -> None:
    Hour().store(tmp_path).put(KEY, NAME, 10, 0, CONTENT[:7])
    again = Hour().store(tmp_path)
    assert again.received(KEY, NAME) == (7, False)
    again.put(KEY, NAME, 10, 7, CONTENT[7:])
    assert Hour().store(tmp_path).received(KEY, NAME) == (10, True)


def test_other_content_is_dropped(store: InputStore, tmp_path: Path) -> None:
    with pytest.raises(WrongContent):
        store.put(KEY, NAME, 10, 0, b"x" * 10)
    assert list(tmp_path.iterdir()) == []
    assert store.received(KEY, NAME) == (0, False)
    assert store.put(KEY, NAME, 10, 0, CONTENT) == 10


def test_inputs_are_bounded_in_bytes_and_number(tmp_path: Path) -> None:
    store = Hour().store(tmp_path, file=20, total=25, files=2)
    with pytest.raises(TooLarge):
        store.put(KEY, NAME, 21, 0, b"")
    with pytest.raises(TooLarge):
        store.put(KEY, NAME, 10, 0, CONTENT + b"x")
    store.put(KEY, NAME, 10, 0, CONTENT)
    store.put(KEY, "a" * 64, 20, 0, b"x" * 15)
    with pytest.raises(StoreFull):
        store.put(KEY, "a" * 64, 20, 15, b"x")
    with pytest.raises(StoreFull):
        store.put(KEY, EMPTY, 0, 0, b"")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 25


def test_the_inputs_of_an_order_are_not_weighed_against_all_others_one_by_one(tmp_path: Path) -> None:
    """Hundreds of inputs beside thousands: a look at all of them for each would outlast the buyer's patience."""
    looks, now = list[float](), [1_000_000.0]

    def needed() -> Collection[tuple[str, str]]:
        looks.append(now[0])
        return ()

    store = InputStore(tmp_path, None, needed, lambda: now[0])
    contents = [bytes([number]) for number in range(50)]
    for content in contents:
        store.put(KEY, hashlib.sha256(content).hexdigest(), 1, 0, content)
    assert len(looks) == 1
    now[0] -= 86_400  # a clock that is set back holds no look up
    store.put(OTHER_KEY, EMPTY, 0, 0, b"")
    assert len(looks) == 2


def test_an_hour_unpaid_and_as_long_as_it_is_needed(tmp_path: Path) -> None:
    hour = Hour()
    store = hour.store(tmp_path)
    store.put(KEY, NAME, 10, 0, CONTENT)
    store.put(KEY, "a" * 64, 20, 0, b"x")
    hour.now += 3599
    store.sweep()
    assert store.received(KEY, NAME) == (10, True)
    hour.needed = {(KEY, NAME)}
    hour.now += SWEEP_S
    store.put(KEY, EMPTY, 0, 0, b"")  # a new input makes room
    assert (store.received(KEY, NAME), store.received(KEY, "a" * 64)) == ((10, True), (0, False))
    hour.needed = ()
    store.sweep()
    assert store.path(KEY, NAME) is None


@pytest.mark.parametrize("name", ["", "../x", "A" * 64, "a" * 63, f"{NAME}.part", NAME + "\n"])
def test_a_name_is_a_sha256(store: InputStore, name: str) -> None:
    for call in (
        lambda: store.received(KEY, name),
        lambda: store.path(KEY, name),
        lambda: store.put(KEY, name, 1, 0, b"x"),
    ):
        with pytest.raises(InputRefused):
            call()


def test_an_input_belongs_to_the_order_that_it_was_sent_for(store: InputStore, tmp_path: Path) -> None:
    store.put(KEY, NAME, 10, 0, CONTENT)
    assert store.path(OTHER_KEY, NAME) is None
    assert store.received(OTHER_KEY, NAME) == (0, False)
    with pytest.raises(WrongContent):
        store.put(OTHER_KEY, NAME, 10, 0, b"x" * 10)
    assert store.put(OTHER_KEY, NAME, 10, 0, CONTENT[:4]) == 4
    assert store.path(OTHER_KEY, NAME) is None
    store.put(OTHER_KEY, NAME, 10, 4, CONTENT[4:])
    assert store.location(OTHER_KEY, NAME).read_bytes() == CONTENT
    assert store.location(KEY, NAME) != store.location(OTHER_KEY, NAME)


def test_what_was_paid_for_before_inputs_had_keys_is_run_with_what_it_was_sent(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    hour = Hour()
    hour.now = tmp_path.stat().st_mtime + 7200
    hour.needed = {(KEY, NAME)}
    store = hour.store(tmp_path)
    assert store.path(KEY, NAME) is None, "no new order has it"
    store.sweep()
    assert store.location(KEY, NAME).read_bytes() == CONTENT
    hour.needed = ()
    store.sweep()
    assert not (tmp_path / NAME).exists()
