"""The verdict on a settlement: a transfer that may be on its way is never said to be dead."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from eth_account import Account
from x402.mechanisms.evm.constants import ERR_NONCE_ALREADY_USED, ERR_TRANSACTION_FAILED, ERR_TRANSFER_EVENT_MISMATCH
from x402.schemas import PaymentRequirements, SettleResponse

from seller.payments.market import Account as Payer
from seller.payments.market import Market
from seller.payments.payment import Payment, read_payment
from seller.payments.settlement import Dead, Paid
from seller.payments.till import REVERTS_MAX, Till, Unknown
from tests.support.mock_buyer import Buyer
from tests.support.rpc_proxy import RpcProxy

RECEIPT = "eth_getTransactionReceipt"


@pytest.fixture
def node(ready: dict[str, Any]) -> Iterator[RpcProxy]:
    with closing(RpcProxy(ready["chain"]["rpcUrl"])) as node:
        yield node


@pytest.fixture
def till(ready: dict[str, Any], node: RpcProxy) -> Iterator[Till]:
    """A till on the mock's chain; the buyer pays its gas, too."""
    chain, payer = ready["chain"], ready["chain"]["payer"]
    account = Payer(payer["address"], payer["privateKey"])
    market = Market(node.url, chain["network"], chain["asset"], chain["assetName"], chain["assetVersion"], account)
    with closing(Till(market)) as till:
        yield till


@pytest.fixture
def offer(till: Till, ready: dict[str, Any]) -> PaymentRequirements:
    return till.offer(1_000, ready["vendors"][0]["payTo"])


def test_a_payment_that_was_sent_on_is_dead_by_the_chains_word_alone(
    till: Till, offer: PaymentRequirements, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer = Account.create()
    payment = read_payment(buyer.sign(offer, private_key=payer.key.to_0x_hex()))
    assert isinstance(till.settle(payment, offer, first=True), Dead), "nothing was ever sent on, and it has no money"
    repeated = till.settle(payment, offer, first=False)
    assert isinstance(repeated, Unknown), "a seller that was killed may have sent it on, while there was money"

    buyer.token.functions.transfer(payer.address, 1_000).transact({"from": buyer.payer["address"]})
    assert isinstance(till.settle(payment, offer, first=False), Paid)
    refuse(monkeypatch, till)
    assert isinstance(till.settle(payment, offer, first=False), Paid), "the chain is asked, and nobody else"


@pytest.mark.parametrize(
    "changes",
    [{"amount": "999"}, {"pay_to": "0x" + "1" * 40}, {"asset": "0x" + "2" * 40}],
    ids=["less", "another payee", "no token"],
)
def test_what_the_chain_would_carry_out_is_taken_for_the_offer_alone_that_it_pays(
    till: Till, offer: PaymentRequirements, buyer: Buyer, changes: dict[str, str]
) -> None:
    payment = read_payment(buyer.sign(offer))
    assert till.objection(payment, offer) is None
    assert till.objection(payment, offer.model_copy(update=changes))


def test_a_sale_takes_five_exchanges_with_the_chain(
    till: Till, offer: PaymentRequirements, buyer: Buyer, node: RpcProxy
) -> None:
    """Verify, look up and simulate with number and price, send, receipt, look up again."""
    for _ in range(2):  # the first sale looks at the token's contract, and asks for the number once more in its turn
        node.batches.clear()
        node.methods.clear()
        payment = read_payment(buyer.sign(offer))
        assert till.objection(payment, offer) is None
        assert isinstance(till.settle(payment, offer, first=True), Paid)
    looks_in_vain = node.methods.count(RECEIPT) - 2
    assert len(node.batches) - looks_in_vain <= 5, node.methods


def refuse(monkeypatch: pytest.MonkeyPatch, till: Till) -> None:
    """Whoever settles is not to be asked any more."""

    def fail(*_: object) -> Callable[[], None]:
        raise AssertionError("asked to settle what is on chain")

    monkeypatch.setattr(till, "_settled", fail)


@pytest.mark.safety("a contract that pays, whose transfer succeeds when it is tried out and reverts when it is sent")
def test_a_transfer_that_reverts_is_sent_no_third_time(
    till: Till, offer: PaymentRequirements, buyer: Buyer, monkeypatch: pytest.MonkeyPatch, safety_note: Any
) -> None:
    attempts: list[Payment] = []

    def revert(payment: Payment, _: PaymentRequirements) -> SettleResponse:
        attempts.append(payment)
        reason, tx = ERR_TRANSACTION_FAILED, "0x" + "7" * 64
        return SettleResponse(success=False, error_reason=reason, transaction=tx, network=offer.network)

    monkeypatch.setattr(till, "_settled", revert)
    payment, second = (read_payment(buyer.sign(offer)) for _ in range(2))
    for number in range(REVERTS_MAX + 2):
        assert isinstance(till.settle(payment, offer, first=number == 0), Unknown), (
            "it may be paid by another all along"
        )
    assert len(attempts) == REVERTS_MAX
    till.settle(second, offer, first=True)
    assert attempts[-1] is second
    safety_note(
        f"each authorization costs the gas of {REVERTS_MAX} transactions at most, and takes a place until it ends"
    )


@pytest.mark.parametrize("tx", ["", "0x" + "7" * 64])
def test_a_nonce_that_one_node_shows_as_used_and_another_does_not_is_undecided(
    till: Till, offer: PaymentRequirements, buyer: Buyer, monkeypatch: pytest.MonkeyPatch, tx: str
) -> None:
    """A provider has many nodes, of which some lag: what another account has relayed is no payment that never comes."""
    reason = ERR_TRANSFER_EVENT_MISMATCH if tx else ERR_NONCE_ALREADY_USED
    answer = SettleResponse(success=False, error_reason=reason, transaction=tx, network=offer.network)
    monkeypatch.setattr(till, "_settled", lambda *_: answer)
    assert isinstance(till.settle(read_payment(buyer.sign(offer)), offer, first=True), Unknown)
