"""Vendors for worker processes, which have no clock that a test could turn."""

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gpuagent.practice import stack
from tests.support.market import Market
from tests.support.world import World, build_world


@pytest.fixture(scope="package")
def quick_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quick")


@pytest.fixture(scope="package")
def quick_market(quick_folder: Path) -> Iterator[Market]:
    """Vendors whose paid hour takes half a second, on a mongod of their own."""
    with stack.start(quick_folder, PORT="0", MOCK_SPEED="7200") as running, closing(Market(running)) as market:
        yield market


@pytest.fixture
def quick(quick_market: Market) -> Iterator[World]:
    with build_world(quick_market, f"fleet-{secrets.token_hex(4)}") as world:
        yield world
