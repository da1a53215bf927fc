"""Files that take their place once they are whole: writers that are killed, that fail, and two at once."""

import hashlib
import os
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import gpuagent
from gpuagent.core.work import FileEntry
from gpuagent.errors import BadInput
from gpuagent.render.drafts import draft, output
from gpuagent.render.saving import save_below
from tests.support.memory_files import MemoryFiles

OLD, NEW = b"of last month", b"of this month"
WRITES_AND_WAITS = """\
import sys
from pathlib import Path
from gpuagent.render.drafts import draft
with draft(Path(sys.argv[1])) as file:
    file.write(b"half of")
    file.flush()
    print(flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "journal.csv"
    place.write_bytes(OLD)
    return place


def write(place: Path) -> None:
    with output(place) as file:
        file.write(NEW)


@pytest.mark.safety("an export that is killed while it writes, and another that is started beside it")
def test_a_kill_leaves_the_last_file_whole_and_two_do_not_mix(place: Path, safety_note: Any) -> None:
    command = [sys.executable, "-c", WRITES_AND_WAITS, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        with pytest.raises(BadInput, match="being written by another process"):
            write(place)
        child.kill()
    assert place.read_bytes() == OLD
    write(place)
    assert place.read_bytes() == NEW
    assert list(place.parent.iterdir()) == [place], "what the killed one left is gone"
    safety_note("the file of before stays whole; the second is refused, and written once the first has ended")


def test_what_fails_leaves_the_last_file(place: Path) -> None:
    def fill_the_disk() -> None:
        with output(place) as file:
            file.write(NEW)
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fill_the_disk()
    assert place.read_bytes() == OLD
    assert list(place.parent.iterdir()) == [place]


def test_an_output_stays_where_a_link_leads_and_as_private_as_it_was(place: Path) -> None:
    place.chmod(0o600)
    link = place.with_name("latest.csv")
    link.symlink_to(place.name)
    write(link)
    assert link.is_symlink()
    assert place.read_bytes() == NEW
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_a_draft_replaces_a_link_and_follows_none(place: Path) -> None:
    link, part = place.with_name("copy"), place.with_name(".copy.part.")
    for planted in (link, part):
        planted.symlink_to(place)
    with draft(link) as file:
        file.write(NEW)
    assert (link.is_symlink(), link.read_bytes(), place.read_bytes()) == (False, NEW, OLD)


def test_a_pipe_takes_an_output_as_it_comes(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write(pipe)
    reader.join()
    assert (read, pipe.is_fifo()) == ([NEW], True)


@pytest.mark.safety("a vendor's file with the name of another one's draft")
def test_no_file_of_a_vendor_has_the_name_of_a_draft(tmp_path: Path, safety_note: Any) -> None:
    names = (".a.part.", ".a.part", "a", ".a")
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    store = MemoryFiles({digest: name.encode() for name, digest in digests.items()})
    files = {name: FileEntry(name, len(name), digest) for name, digest in digests.items()}
    with pytest.raises(BadInput, match="ends with a dot"):
        save_below(tmp_path, files, store)
    save_below(tmp_path, {name: files[name] for name in names[1:]}, store)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: name for name in names[1:]}
    safety_note("one name is refused, and the three others are three files")


IN_PLACE = re.compile(r"""write_(?:text|bytes)\(|copyfile\(|open\(.*"[wx]b?"[,)]""")
PLACES = {
    "render/drafts.py": "the draft itself, and a pipe or a device",
    "adapters/wallets/keystore.py": "a file that may not be there before",
    "adapters/files/folder.py": "a draft, and the mark whose name says all",
    "adapters/mongo/embedded_secrets.py": "a draft",
    "adapters/mongo/embedded_supervisor.py": "a draft",
}


def test_nothing_else_of_the_package_is_written_in_place() -> None:
    package = Path(gpuagent.__file__).parent
    written = {place for place in package.rglob("*.py") if IN_PLACE.search(place.read_text())}
    assert {str(place.relative_to(package)) for place in written} == set(PLACES)
