"""What workers need not do each for themselves: compile the tests' modules, and import large libraries."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LARGE = {"cdp", "cdp_keys", "llm_server", "make_llm"}
"""Fixtures whose tests import a library that takes seconds of a processor."""


def import_share(environ: Mapping[str, str] = os.environ) -> None:
    """Import this worker's share of the tests' modules, before all of them are collected in their order.

    Their asserts are rewritten and compiled at the first import, and read from the cache at others.
    """
    for name in share(sorted(TESTS.rglob("test_*.py")), environ):
        with suppress(Exception):  # it is imported again, and the error told, where it is collected
            import_module(name)


def share(files: Sequence[Path], environ: Mapping[str, str]) -> list[str]:
    """The names of the modules that this worker imports first; none without other workers."""
    count = int(environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if count == 1:
        return []
    number = int(environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) % count
    bounds = (len(files) * number // count, len(files) * (number + 1) // count)
    return [".".join(file.relative_to(TESTS.parent).with_suffix("").parts) for file in files[slice(*bounds)]]


def arrange(items: list[pytest.Item]) -> None:
    """The campaign comes first: at the end, the other workers would wait for it. Next come the files whose tests
    import a large library, so that most workers need not."""
    large = {item.path for item in items if LARGE & set(getattr(item, "fixturenames", ()))}
    items.sort(key=lambda item: (item.path.name != "test_campaign.py", item.path not in large))
