"""Real parts that are started once: a chain with the test USDC, and a seller as a process of its own."""

from collections.abc import Iterator

import pytest
from eth_account import Account

from mock_vendor.chain import rpc
from mock_vendor.market import PracticeMarket, open_market
from mock_vendor.settings import read_settings
from tests.support.seller_command import KEY, SellerProcess, seller_running, write_config

OFFERS = [
    {"gpu": "A100", "count": 50, "price_per_hour": 1.40, "gpu_memory": "80GB"},
    {"gpu": "T4", "count": 1, "price_per_hour": 0.35},
]


@pytest.fixture(scope="session")
def practice() -> Iterator[PracticeMarket]:
    """A chain of the seller's tests alone, a payer with a million, payees, and gas for the seller."""
    with open_market(read_settings({"MOCK_VENDORS": "3", "MOCK_PAYER_USDC": "1000000"})) as practice:
        rpc(practice.market.rpc_url, "anvil_setBalance", Account.from_key(KEY).address, hex(10**18))
        yield practice


@pytest.fixture(scope="session")
def seller(practice: PracticeMarket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SellerProcess]:
    """A seller for all tests that can share it: many A100, one T4, and no queue."""
    folder = tmp_path_factory.mktemp("seller")
    limits = {"queue": 0, "per_payer_queue": 40, "requests_per_minute": 10_000}
    with seller_running(write_config(folder, practice, offers=OFFERS, limits=limits), practice) as process:
        yield process
    assert "Traceback" not in process.log.read_text()
    assert process.child.returncode == 0
