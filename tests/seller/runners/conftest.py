"""A container engine for the tests of this folder, started once."""

from collections.abc import Iterator

import pytest

from tests.support.container_engine import OwnEngine, running_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[OwnEngine]:
    with running_engine() as engine:
        yield engine
