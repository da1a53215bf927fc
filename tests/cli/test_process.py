"""The process of a command: its imports are not searched for garbage, and what it leaves is not taken apart."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuagent.cli.process import loading


@pytest.fixture
def thawed() -> Iterator[None]:
    """What was set apart is looked at again, and garbage is searched for, as before the test."""
    yield
    gc.unfreeze()
    gc.enable()


def test_what_was_loaded_is_never_looked_at_again(thawed: None) -> None:
    gc.unfreeze()
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled(), "what is read and drawn afterwards may leave garbage"
    assert gc.get_freeze_count()


def test_garbage_is_searched_for_again_where_an_import_fails(thawed: None) -> None:
    with pytest.raises(ModuleNotFoundError), loading():
        raise ModuleNotFoundError
    assert gc.isenabled()


def test_a_full_disk_is_one_line() -> None:
    """Also where output is buffered, and meets the disk at the end."""
    code = "import sys; from gpuagent.cli import main; sys.argv = ['gpuagent', '--version']; main()"
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", code]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "gpuagent: the output cannot be written: No space left on device\n")


def test_a_process_leaves_as_it_should_say() -> None:
    """With the exit code of its command, its output written, and all that lives set apart."""
    code = (
        "import atexit, gc, sys; from gpuagent.cli import main; sys.argv = ['gpuagent', 'no-such-command'];"
        "atexit.register(lambda: print(gc.get_freeze_count() > 10_000)); main()"
    )
    process = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (2, "True\n")
    assert "no-such-command" in process.stderr
