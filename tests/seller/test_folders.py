"""Private files of a seller: there whole or not at all."""

from pathlib import Path

import pytest

from seller.folders import folder_bytes, kept_text
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


def test_a_folder_of_any_depth_is_measured(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(1_100):
        folder = folder / "d"
        folder.mkdir()
    (folder / "file").write_bytes(b"x" * 50_000)
    assert folder_bytes(tmp_path) >= 50_000
    (tmp_path / "link").symlink_to("/usr")
    assert folder_bytes(tmp_path) < 50_000_000
