"""Private files of a seller: there whole or not at all."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seller.folders import folder_bytes, kept_text, write_whole
from tests.support.kill_points import killed_at


# One that is killed leaves its file open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_text_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """With an empty salt others could tell the ids of jobs."""
    path, lines = tmp_path / "salt", 0
    while killed_at(lines, kept_text, lambda: kept_text(path, "pepper")):
        assert not path.exists() or path.read_text() == "pepper"
        path.unlink(missing_ok=True)
        lines += 1
    assert lines > 5
    assert kept_text(path, "another") == "pepper"
    assert path.stat().st_mode & 0o077 == 0


def test_of_several_that_write_at_once_one_is_there_whole(tmp_path: Path) -> None:
    """As where a job's end is seen by its killer, and by who asks for its state."""
    path, texts = tmp_path / "ended.json", [str(number) * 10_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            list(pool.map(lambda text: write_whole(path, text), texts))
            assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_of_any_depth_is_measured(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(1_100):
        folder = folder / "d"
        folder.mkdir()
    (folder / "file").write_bytes(b"x" * 50_000)
    assert folder_bytes(tmp_path) >= 50_000
    (tmp_path / "link").symlink_to("/usr")
    assert folder_bytes(tmp_path) < 50_000_000
