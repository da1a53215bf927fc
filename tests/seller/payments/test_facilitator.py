"""Our own facilitator's transactions: numbered without gaps, and for the chain that is sold on alone."""

from contextlib import closing
from typing import Any

import pytest
import rlp
from eth_account import Account
from x402.mechanisms.evm.constants import BALANCE_OF_ABI

from seller.payments.facilitator import Signer
from seller.payments.node import Node, NodeError
from seller.payments.numbering import STALLED_S
from tests.support.rpc_proxy import RpcProxy

KEY, TOKEN, CHAIN_ID = "0x" + "1" * 64, "0x" + "a" * 40, 84532
PRICE, BALANCE = 1_000, 10**15
LEGACY_V = 35 + 2 * CHAIN_ID
REFUSED = "execution reverted: FiatTokenV2: authorization is used or canceled"


class Mempool:
    """A node that counts what is sent to it only once that is mined, which is never."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.refuses = False
        self.has = False
        self.count = 5
        self.price = PRICE

    def __call__(self, call: dict[str, Any]) -> dict[str, Any]:
        answer = {"jsonrpc": "2.0", "id": call["id"]}
        if call["method"] == "eth_getTransactionByHash":
            return answer | {"result": {"hash": call["params"][0]} if self.has else None}
        if call["method"] != "eth_sendRawTransaction":
            numbers = {"eth_getTransactionCount": self.count, "eth_getBalance": BALANCE}
            return answer | {"result": hex(numbers.get(call["method"], self.price))}
        if self.refuses:
            return answer | {"error": {"code": -32000, "message": REFUSED}}
        raw = bytes.fromhex(call["params"][0][2:])
        self.sent.append(rlp.decode(raw))
        assert Account.recover_transaction(raw) == Account.from_key(KEY).address
        return answer | {"result": "0x" + "f" * 64}


def test_transactions_are_numbered_on_and_after_a_refusal_anew() -> None:
    mempool = Mempool()
    with closing(RpcProxy(mempool)) as proxy, closing(Node(proxy.url)) as node:
        signer = Signer(node, CHAIN_ID, KEY)

        def write() -> str:
            return signer.write_contract(TOKEN, BALANCE_OF_ABI, "balanceOf", TOKEN)

        assert write() != write()
        mempool.refuses = True
        with pytest.raises(NodeError, match="authorization is used"):
            write()
        mempool.refuses = False
        write()
    assert [int.from_bytes(fields[0]) for fields in mempool.sent] == [5, 6, 5], "the chain is asked anew"
    assert {int.from_bytes(fields[6]) - LEGACY_V for fields in mempool.sent} <= {0, 1}, "valid on no other chain"
    assert proxy.batches[:5] == [2, 2, 1, 2, 1], "while a number is known, only the sending waits for its turn"


def test_what_the_node_has_is_sent_however_it_refuses_its_repetition() -> None:
    """An answer is lost, the same is sent again, and the node tries it on what is pending: it is on its way."""
    mempool = Mempool()
    mempool.refuses = mempool.has = True
    with closing(RpcProxy(mempool)) as proxy, closing(Node(proxy.url)) as node:
        signer = Signer(node, CHAIN_ID, KEY)
        first = signer.write_contract(TOKEN, BALANCE_OF_ABI, "balanceOf", TOKEN)
        mempool.refuses = False
        assert signer.write_contract(TOKEN, BALANCE_OF_ABI, "balanceOf", TOKEN) != first
    assert [int.from_bytes(fields[0]) for fields in mempool.sent] == [6], "no number is given twice"


@pytest.mark.safety("a chain that loses a seller's transaction, by a reorganization or for its price")
def test_what_the_chain_lost_holds_up_no_later_settlement(safety_note: Any) -> None:
    mempool, now = Mempool(), [1_000.0]
    with closing(RpcProxy(mempool)) as proxy, closing(Node(proxy.url)) as node:
        signer = Signer(node, CHAIN_ID, KEY, monotonic=lambda: now[0])

        def write_after(seconds: float) -> tuple[int, int]:
            """Number and price of gas of a transaction that is sent so much later."""
            now[0] += seconds
            signer.write_contract(TOKEN, BALANCE_OF_ABI, "balanceOf", TOKEN)
            return int.from_bytes(mempool.sent[-1][0]), int.from_bytes(mempool.sent[-1][1])

        assert [write_after(0), write_after(STALLED_S), write_after(0)] == [(5, PRICE), (6, PRICE), (7, PRICE)]
        number, price = write_after(1)
        assert number == 5, "nothing was mined for so long: what is next is lost"
        assert price > PRICE * 1.1, "or it is too cheap, and nodes replace it for a tenth more"
        assert write_after(1) == (6, PRICE), "the replacement has as long"
        mempool.count = 8
        assert write_after(3_600) == (8, PRICE), "the others were there, and all is mined"
        assert write_after(STALLED_S + 1)[0] == 8, "which the chain took back"
        mempool.count = 9
        assert write_after(0) == (9, PRICE)
    safety_note(f"the lost one's number is used again after {STALLED_S} s; what waited behind it goes on")


def test_the_number_of_what_was_taken_back_is_free_at_once() -> None:
    mempool = Mempool()
    with closing(RpcProxy(mempool)) as proxy, closing(Node(proxy.url)) as node:
        signer = Signer(node, CHAIN_ID, KEY)
        for _ in range(2):
            signer.write_contract(TOKEN, BALANCE_OF_ABI, "balanceOf", TOKEN)
            signer.renumber()
    assert [int.from_bytes(fields[0]) for fields in mempool.sent] == [5, 5]


@pytest.mark.safety("a node that asks a seller for a huge price of gas")
def test_no_settlement_costs_more_gas_than_the_seller_allows(safety_note: Any) -> None:
    mempool = Mempool()
    with closing(RpcProxy(mempool)) as proxy, closing(Node(proxy.url)) as node:
        signer = Signer(node, CHAIN_ID, KEY, gas_price_max=2 * PRICE)

        def write() -> str:
            return signer.write_contract(TOKEN, BALANCE_OF_ABI, "balanceOf", TOKEN)

        mempool.price = 2 * PRICE + 1
        with pytest.raises(NodeError, match="max_gas_price"):
            write()
        assert "max_gas_price" in signer.gas_problem()
        mempool.price = 2 * PRICE
        write()
        assert signer.gas_problem() == ""
        assert [int.from_bytes(fields[1]) for fields in mempool.sent] == [2 * PRICE]
        unbounded = Signer(node, CHAIN_ID, KEY, gas_price_max=10**18)
        mempool.price = BALANCE
        assert f"has {BALANCE} wei" in unbounded.gas_problem(), "before a buyer's money waits for a settlement"
    safety_note("nothing is sent above `payment.max_gas_price`, and nothing is sold meanwhile")
