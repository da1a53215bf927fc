"""A seller's folder is one process's, and one seller's for ever."""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from seller.errors import BadSetting
from seller.home import LOOK_S, owned

TERMS = ("box", "eip155:84532", "0x036CbD53842c5426634e7929541eC2318f3dCF7e")


def test_one_process_has_it_at_a_time(tmp_path: Path) -> None:
    second = owned(tmp_path, *TERMS)
    with owned(tmp_path, *TERMS), pytest.raises(BadSetting, match="another seller runs in"):
        second.__enter__()
    with owned(tmp_path, *TERMS):
        pass


def test_it_is_its_forks_too_until_they_have_ended(tmp_path: Path) -> None:
    """Worker processes of a seller that was killed: the next waits until they have died."""
    waiting, waking = os.pipe()
    with owned(tmp_path, *TERMS):
        child = os.fork()
        if not child:
            os.read(waiting, 1)
            os._exit(0)
    second = owned(tmp_path, *TERMS)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(second.__enter__)
        assert wait([opening], 2 * LOOK_S).not_done
        os.write(waking, b".")
        opening.result()
    second.__exit__(None, None, None)
    os.waitpid(child, 0)
    os.close(waiting)
    os.close(waking)


@pytest.mark.parametrize("place", range(3))
def test_what_was_sold_stays_with_its_terms(tmp_path: Path, place: int) -> None:
    """On another network every payment would look as if it had never come, and its purchase would be forgotten."""
    with owned(tmp_path, *TERMS):
        pass
    changed = [*TERMS]
    changed[place] = "another"
    with (
        pytest.raises(BadSetting, match=r"and not another: write .*, or choose another folder"),
        owned(tmp_path, *changed),
    ):
        pass
    with owned(tmp_path, *TERMS):
        pass


def test_a_kill_while_it_is_written_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "seller.json.part").write_text('{"vend')
    with owned(tmp_path, *TERMS):
        pass
    assert (tmp_path / "seller.json").stat().st_mode & 0o077 == 0
