"""How the tests' workers share what each would else do for itself."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.collecting import LONG, TESTS, arrange, share


def test_each_module_is_in_the_share_of_one_worker() -> None:
    files = sorted((TESTS / "docs").glob("test_*.py"))
    names = [f"tests.docs.{file.stem}" for file in files]
    shares = [
        share(files, {"PYTEST_XDIST_WORKER_COUNT": "3", "PYTEST_XDIST_WORKER": f"gw{number}"}) for number in range(3)
    ]
    assert [name for each in shares for name in each] == names
    assert all(shares)
    assert share(files, {}) == []


def test_the_longest_files_stand_where_workers_begin() -> None:
    files = [file for file in sorted(TESTS.rglob("test_*.py")) for _ in range(3)]
    for workers in (1, 2, 3, 5):
        items: list[Any] = [SimpleNamespace(path=file) for file in files]
        arrange(items, {"PYTEST_XDIST_WORKER_COUNT": str(workers)})
        paths: list[Path] = [item.path for item in items]
        assert sorted(paths) == files
        assert paths[0].name == "test_campaign.py"
        size = len(files) // workers
        begun = [path for number in range(1, workers) for path in paths[number * size :][: size // 2]]
        assert {str(TESTS / name) for name in LONG} <= set(map(str, begun)) or workers == 1
