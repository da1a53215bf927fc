"""What a seller's start leaves behind, also one that was killed."""

from pathlib import Path

from seller.opening import SystemClock, _salt
from tests.support.kill_points import killed_at


def test_the_salt_of_job_ids_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path, lines = tmp_path / "salt", 0
    while killed_at(lines, SystemClock, lambda: _salt(path)):
        lines += 1
        assert not path.exists() or len(path.read_text()) == 64, f"killed before line {lines}"
        path.unlink(missing_ok=True)
    assert lines > 4
    assert _salt(path) == _salt(path) == path.read_text()
