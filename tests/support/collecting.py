"""What workers need not do each for themselves: compile the tests' modules, and import large libraries."""

import os
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LARGE = {"cdp", "cdp_keys", "llm_server", "make_llm"}
"""Fixtures whose tests import a library that takes seconds of a processor."""
LONG = (
    *("browser/test_notebooks.py", "schedule/test_papermill.py", "practice/test_demo.py", "browser/test_page.py"),
    *("panels/test_notebooks.py", "reports/test_kept_charts.py", "fleet/test_troubles.py", "fleet/test_cluster.py"),
    *("panels/test_comparison.py", "cli/test_report.py", "seller/test_seller_process.py", "api/test_schema.py"),
)
"""Files with tests that take longest, but for the campaign; those that take more before others."""


def import_share(environ: Mapping[str, str] = os.environ) -> None:
    """Import this worker's share of the tests' modules, before all of them are collected in their order.

    Their asserts are rewritten and compiled at the first import, and read from the cache at others.
    """
    for name in share(sorted(TESTS.rglob("test_*.py")), environ):
        with suppress(Exception):  # it is imported again, and the error told, where it is collected
            import_module(name)


def share(files: Sequence[Path], environ: Mapping[str, str]) -> list[str]:
    """The names of the modules that this worker imports first; none without other workers."""
    if (count := _workers(environ)) == 1:
        return []
    number = int(environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) % count
    bounds = (len(files) * number // count, len(files) * (number + 1) // count)
    return [".".join(file.relative_to(TESTS.parent).with_suffix("").parts) for file in files[slice(*bounds)]]


def arrange(items: list[pytest.Item], environ: Mapping[str, str] = os.environ) -> None:
    """The longest tests come first, as at the end the other workers would wait for them.

    The first worker begins with the campaign. Next come the files whose tests import a large library, so that most
    workers need not. The other workers begin with the files of LONG: xdist gives each an equal part of the tests in
    their order, and then lets those that are done take from the ends of others.
    """
    large = {item.path for item in items if LARGE & set(getattr(item, "fixturenames", ()))}
    items.sort(key=lambda item: (item.path.name != "test_campaign.py", item.path not in large))
    if (workers := _workers(environ)) == 1:
        return
    rest, count = deque(item for item in items if _name(item) not in LONG), len(items)
    beginnings = [
        [item for item in items if _name(item) in LONG[number :: workers - 1]] for number in range(workers - 1)
    ]
    items.clear()
    for number, beginning in enumerate(([], *beginnings)):
        size = (count - len(items)) // (workers - number)
        items += beginning
        items += [rest.popleft() for _ in range(min(len(rest), size - len(beginning)))]


def _name(item: pytest.Item) -> str:
    """The item's file, as LONG names it."""
    return f"{item.path.parent.name}/{item.path.name}"


def _workers(environ: Mapping[str, str]) -> int:
    return int(environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
