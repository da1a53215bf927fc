"""FACILITATOR_URL: a third party verifies and settles. Whatever it says, the chain alone decides what is paid."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from eth_account import Account

from mock_vendor.chain import rpc
from tests.support.mock_buyer import Buyer, new_key
from tests.support.mock_command import final_output, launched, selling
from tests.support.mock_facilitator import PAID_NOTHING, Facilitator, Fault, hosted

KEY = "0x" + "6f" * 32
PRICE = 1_400_000


def own_chain(ready: dict[str, Any], url: str) -> dict[str, str]:
    chain = ready["chain"]
    return {
        "CHAIN_RPC_URL": chain["rpcUrl"],
        "X402_NETWORK": chain["network"],
        "X402_ASSET": chain["asset"],
        "X402_ASSET_NAME": chain["assetName"],
        "MOCK_PAY_TO": ready["vendors"][1]["payTo"],
        "FACILITATOR_URL": url,
    }


@pytest.fixture(scope="module")
def shared_facilitator(ready: dict[str, Any]) -> Iterator[Facilitator]:
    chain = ready["chain"]
    rpc(chain["rpcUrl"], "anvil_setBalance", Account.from_key(KEY).address, hex(10**18))
    with hosted(chain["rpcUrl"], chain["network"], KEY) as facilitator:
        yield facilitator


@pytest.fixture(scope="module")
def vendor(ready: dict[str, Any], shared_facilitator: Facilitator) -> Iterator[dict[str, Any]]:
    """A mock that has no key of its own."""
    with selling(**own_chain(ready, shared_facilitator.url)) as line:
        yield line


@pytest.fixture
def facilitator(shared_facilitator: Facilitator) -> Facilitator:
    shared_facilitator.faults.clear()
    shared_facilitator.requests.clear()
    return shared_facilitator


@pytest.fixture
def customer(vendor: dict[str, Any], ready: dict[str, Any], facilitator: Facilitator) -> Iterator[Buyer]:
    buyer = Buyer(vendor)
    buyer.payer = ready["chain"]["payer"]
    yield buyer
    buyer.close()


@contextmanager
def spending(buyer: Buyer, amount: int) -> Iterator[None]:
    before = buyer.balance()
    yield
    assert before - buyer.balance() == amount


def order(buyer: Buyer) -> tuple[str, str, str]:
    """Quote, key and signed payment of a purchase that is still to be made."""
    quote_id, key = buyer.quote_id(), new_key()
    return quote_id, key, buyer.payment_for(buyer.submit(quote_id, key))


def test_it_sells_by_a_hosted_facilitator(vendor: dict[str, Any], customer: Buyer, facilitator: Facilitator) -> None:
    assert vendor["chain"]["facilitator"] == facilitator.url
    with spending(customer, PRICE):
        assert customer.submit(*order(customer)).status_code == 200
    assert facilitator.requests == ["/verify", "/settle"]
    transfer = customer.transfers()[-1]
    transaction = rpc(
        customer.ready["chain"]["rpcUrl"], "eth_getTransactionByHash", transfer.transactionHash.to_0x_hex()
    )
    assert transaction["from"].lower() == Account.from_key(KEY).address.lower()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, b"oops"),
        Fault(200, b"oops"),
        Fault(200, {"isValid": "perhaps"}),
        Fault(hang_up=True),
        Fault(307, b"", location="http://127.0.0.1:1/verify"),
    ],
    ids=["500", "no JSON", "nonsense", "hung up", "redirect"],
)
def test_without_a_verdict_the_buyer_may_try_again(customer: Buyer, facilitator: Facilitator, fault: Fault) -> None:
    purchase = order(customer)
    facilitator.faults["/verify"] = fault
    with spending(customer, 0):
        answer = customer.submit(*purchase)
    assert (answer.status_code, answer.json()["message"]) == (503, "the facilitator does not answer")
    with spending(customer, PRICE):
        assert customer.submit(*purchase).status_code == 200


def test_what_it_finds_invalid_is_not_sold(customer: Buyer, facilitator: Facilitator) -> None:
    purchase = order(customer)
    facilitator.faults["/verify"] = Fault(200, {"isValid": False, "invalidReason": "it_does_not_like_you"})
    answer = customer.submit(*purchase)
    assert (answer.status_code, answer.json()["error"]) == (402, "it_does_not_like_you")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, b"oops", work=True),
        Fault(hang_up=True, work=True),
        Fault(200, {"success": False, "errorReason": "no", "transaction": "", "network": "eip155:31337"}, work=True),
    ],
    ids=["500", "hung up", "denied"],
)
def test_what_was_settled_is_sold_whatever_it_says(customer: Buyer, facilitator: Facilitator, fault: Fault) -> None:
    facilitator.faults["/settle"] = fault
    with spending(customer, PRICE):
        assert customer.submit(*order(customer)).status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, b"oops"),
        Fault(hang_up=True),
        Fault(200, {"success": False, "errorReason": "no", "transaction": "", "network": "eip155:31337"}),
        Fault(200, PAID_NOTHING),
    ],
    ids=["500", "hung up", "denied", "it says that it is paid"],
)
def test_what_was_not_settled_is_not_sold_whatever_it_says(
    customer: Buyer, facilitator: Facilitator, fault: Fault
) -> None:
    purchase = order(customer)
    facilitator.faults["/settle"] = fault
    with spending(customer, 0):
        answer = customer.submit(*purchase)
    assert (answer.status_code, answer.json()["error"]) == (503, "settlement_pending")
    with spending(customer, PRICE):
        assert customer.submit(*purchase).status_code == 200, "the same payment, sent again"


def ends(environment: dict[str, str]) -> str:
    """What the command says as it ends, before it ever sells."""
    with launched(**environment) as child:
        code, out, errors = final_output(child)
    assert (code, out) == (2, "")
    assert len(errors.splitlines()) == 1, errors
    return errors


def test_one_that_is_not_there(ready: dict[str, Any]) -> None:
    assert "no facilitator answers there (ConnectError" in ends(own_chain(ready, "http://127.0.0.1:1"))


def test_one_that_settles_elsewhere(ready: dict[str, Any], facilitator: Facilitator) -> None:
    kinds = [{"x402Version": 2, "scheme": "exact", "network": "eip155:8453"}]
    facilitator.faults["/supported"] = Fault(200, {"kinds": kinds, "extensions": [], "signers": {}})
    errors = ends(own_chain(ready, facilitator.url))
    assert "it does not settle on eip155:31337, but on eip155:8453" in errors
    facilitator.faults["/supported"] = Fault(200, {"kinds": [], "extensions": [], "signers": {}})
    assert "but on nothing" in ends(own_chain(ready, facilitator.url))


def test_settings_that_cannot_be_meant(ready: dict[str, Any]) -> None:
    settings = own_chain(ready, "http://127.0.0.1:1")
    assert "both set: choose who settles" in ends({**settings, "FACILITATOR_PRIVATE_KEY": KEY})
    assert "set CHAIN_RPC_URL too" in ends({"FACILITATOR_URL": "https://x402.example"})
    assert "write https://" in ends({**settings, "FACILITATOR_URL": "http://x402.example"})
    assert "FACILITATOR_URL or FACILITATOR_PRIVATE_KEY" in ends({**settings, "FACILITATOR_URL": ""})
