"""The stub lists with their sellers, and the client that reads them."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from gpuagent.adapters.discovery.client import HttpDiscovery
from tests.support.discovery_lists import DiscoveryLists


@pytest.fixture
def stub() -> Iterator[DiscoveryLists]:
    with closing(DiscoveryLists()) as lists:
        yield lists


@pytest.fixture
def client() -> Iterator[HttpDiscovery]:
    with closing(HttpDiscovery()) as discovery:
        yield discovery
