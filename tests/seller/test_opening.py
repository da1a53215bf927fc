"""The parts of a seller as its configuration asks for them, on a real chain: folder, salt, token, and who settles."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from fastapi.testclient import TestClient

from mock_vendor.chain import rpc
from mock_vendor.market import PracticeMarket
from seller.api.app import create_app
from seller.config import read_config
from seller.errors import BadSetting
from seller.opening import open_shop
from seller.shop import Shop
from tests.support.mock_buyer import Buyer, new_key
from tests.support.mock_facilitator import PAID_NOTHING, Facilitator, Fault, hosted
from tests.support.seller_command import KEY, write_config
from tests.support.seller_desk import order

SETTLER = "0x" + "5f" * 32
PRICE = 1_400_000


@contextmanager
def opened(folder: Path, practice: PracticeMarket, /, key: str = KEY, **fields: Any) -> Iterator[Shop]:
    config = read_config(write_config(folder, practice, **fields))
    environment = {"SELLER_PRIVATE_KEY": key} if key else {}
    with open_shop(config, environment | {"SELLER_BEARER": "a token for buyers"}) as shop:
        yield shop


def test_the_folder_is_one_sellers(tmp_path: Path, practice: PracticeMarket) -> None:
    with opened(tmp_path, practice) as shop:
        salt = shop.salt
        assert len(salt) == 64
        with pytest.raises(BadSetting, match="another seller runs in"), opened(tmp_path, practice):
            pytest.fail("two sellers would sell the same places")
    folder = tmp_path / "seller-data"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "salt").stat().st_mode & 0o777 == 0o600
    with opened(tmp_path, practice) as shop:
        assert shop.salt == salt, "ids of jobs stay what they were"


def test_a_folder_that_cannot_be_made(tmp_path: Path, practice: PracticeMarket) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSetting, match=r"folder: .* cannot be made"), opened(tmp_path, practice, folder="file/x"):
        pytest.fail("there is no folder")


def test_without_a_key_or_a_chain_nothing_opens(tmp_path: Path, practice: PracticeMarket) -> None:
    with pytest.raises(BadSetting, match="set SELLER_PRIVATE_KEY"), opened(tmp_path, practice, key=""):
        pytest.fail("nobody settles")
    nowhere = {"token": {"address": "0x" + "12" * 20}}
    with pytest.raises(BadSetting, match="no contract is deployed there"), opened(tmp_path, practice, **nowhere):
        pytest.fail("there is no token")
    assert not (tmp_path / "seller-data").exists(), "and leaves nothing"


def test_a_token_that_buyers_present(tmp_path: Path, practice: PracticeMarket) -> None:
    with opened(tmp_path, practice, bearer_variable="SELLER_BEARER") as shop:
        http = TestClient(create_app(shop))
        assert http.get("/.well-known/x402").json()["gpuagent"]["bearer"] is True
        for headers in ({}, {"Authorization": "Bearer another"}):
            for path in ("/quote", "/submit-job"):
                assert http.post(path, json={}, headers=headers).status_code == 401
        known = {"Authorization": "Bearer a token for buyers"}
        assert http.post("/submit-job", json={"jobParams": order()}, headers=known).status_code == 402
        http.close()
    with (
        pytest.raises(BadSetting, match="set NO_SUCH to the token"),
        opened(tmp_path, practice, bearer_variable="NO_SUCH"),
    ):
        pytest.fail("anybody could buy")


@pytest.fixture
def facilitator(practice: PracticeMarket) -> Iterator[Facilitator]:
    rpc(practice.market.rpc_url, "anvil_setBalance", Account.from_key(SETTLER).address, hex(10**18))
    with hosted(practice.market.rpc_url, practice.market.network, SETTLER) as facilitator:
        yield facilitator


class DeskBuyer(Buyer):
    """A buyer at a seller in this process."""

    def __init__(self, shop: Shop, practice: PracticeMarket) -> None:
        assert practice.payer
        payer = {"address": practice.payer.address, "privateKey": practice.payer.private_key}
        chain = {"rpcUrl": shop.market.rpc_url, "asset": shop.market.asset, "payer": payer}
        super().__init__({"url": "http://seller.example", "secret": "none", "chain": chain})
        self.http.close()
        self.http = TestClient(create_app(shop), base_url="http://seller.example")

    def pay(self, params: dict[str, Any], header: str | None = None, key: str = "") -> Any:
        headers = {"PAYMENT-SIGNATURE": header, "Idempotency-Key": key} if header else {}
        return self.http.post("/submit-job", json={"jobParams": params}, headers=headers)


def test_a_hosted_facilitator_settles_and_the_chain_decides(
    tmp_path: Path, practice: PracticeMarket, facilitator: Facilitator
) -> None:
    """Without a key of its own. A facilitator that lies costs nobody a job, and sells none."""
    with opened(tmp_path, practice, key="", facilitator_url=facilitator.url) as shop:
        buyer = DeskBuyer(shop, practice)
        params, key = order("hosted"), new_key()
        header = buyer.payment_for(buyer.pay(params))
        facilitator.faults["/settle"] = Fault(body=PAID_NOTHING)
        lied = buyer.pay(params, header, key)
        assert (lied.status_code, lied.json()["error"]) == (503, "settlement_pending")
        assert shop.database.jobs_with_work() == []
        before = buyer.balance()
        facilitator.faults["/settle"] = Fault(status=500, body=b"lost the answer", work=True)
        assert buyer.pay(params, header, key).status_code == 200, "it is on chain, whatever was answered"
        assert before - buyer.balance() == PRICE
        assert "signature" not in buyer.http.post("/quote", json={"jobType": "job", **params}).json()
        buyer.close()


def test_the_name_that_jobs_were_sold_under_stays(tmp_path: Path, practice: PracticeMarket) -> None:
    """Its buyers come back with the ids they have."""
    with opened(tmp_path, practice) as shop:
        buyer = DeskBuyer(shop, practice)
        params = order("kept")
        sold = buyer.pay(params, buyer.payment_for(buyer.pay(params)), new_key())
        assert sold.status_code == 200
        buyer.close()
    with (
        pytest.raises(BadSetting, match="write vendor_id: box_in_the_cellar"),
        opened(tmp_path, practice, name="A new name"),
    ):
        pytest.fail("the job of before would not be found")
    with opened(tmp_path, practice, name="A new name", vendor_id="box_in_the_cellar") as shop:
        assert [job.job_id for job in shop.database.jobs_with_work()] == [sold.json()["vendorJobId"]]
