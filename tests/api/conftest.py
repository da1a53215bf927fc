from collections.abc import Iterator

import pytest

from tests.support.rest_server import Served, serving
from tests.support.world import World


@pytest.fixture
def served(world: World) -> Iterator[Served]:
    """On this machine alone, without tokens."""
    with serving(world) as running:
        yield running
