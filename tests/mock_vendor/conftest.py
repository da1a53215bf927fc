"""Real parts only: one running mock for all tests that can share it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.mock_buyer import Buyer
from tests.support.mock_command import selling


@pytest.fixture(scope="session")
def ready() -> Iterator[dict[str, Any]]:
    with selling(MOCK_PAYER_USDC="1000000", MOCK_SLOW_S="1") as line:
        yield line


@pytest.fixture
def buyer(ready: dict[str, Any]) -> Iterator[Buyer]:
    """A buyer at gpu_vendor_1; afterwards no fault is left on and the clock runs."""
    buyer = Buyer(ready)
    yield buyer
    buyer.control("DELETE", "faults")
    buyer.control("POST", "clock", {"freeze": False})
    buyer.close()
